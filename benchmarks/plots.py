"""The pictures: one SVG of horizontal bars a work, on a logarithmic scale; written by hand, no library."""

from __future__ import annotations

import math
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks import results
from benchmarks.works import ALL, WORKS, Work

FOLDER = Path(__file__).parent / "plots"
LABEL, WIDTH, ROW = 110, 620, 22
OURS, FLOOR, OTHER = "#c0392b", "#888888", "#5b7fa6"


def write() -> None:
    kept = results.load()
    FOLDER.mkdir(exist_ok=True)
    for work in WORKS:
        numbers = kept["works"].get(work.name)
        if work.measure is not None and numbers:
            (FOLDER / f"{work.name}.svg").write_text(_bars(work, numbers, f"{kept['date']}, {kept['machine']}"))


def _bars(work: Work, numbers: dict[str, list[float]], source: str) -> str:
    rows = [(peer, results.median(numbers[peer])) for peer in ALL if numbers.get(peer)]
    rows.sort(key=lambda row: row[1], reverse=work.better == "more")
    least, most = min(value for _, value in rows), max(value for _, value in rows)
    low = math.log10(least) - 0.3
    scale = (WIDTH - LABEL - 110) / max(math.log10(most) - low, 0.1)
    height = 46 + ROW * len(rows) + 22
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(work.title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" font-size="14" font-weight="bold" fill="#222222">{escape(work.title)}, '
        f"{escape(work.unit)} ({work.better} is better)</text>",
    ]
    for index, (peer, value) in enumerate(rows):
        y = 36 + ROW * index
        length = max((math.log10(value) - low) * scale, 2.0)
        colour = {"ours": OURS, "floor": FLOOR}.get(peer, OTHER)
        name = {"ours": "simpledist", "floor": "bare Redis", "pool": "ProcessPool"}.get(peer, peer)
        parts += [
            f'<text x="{LABEL - 6}" y="{y + 14}" text-anchor="end" fill="#222222">{name}</text>',
            f'<rect x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{ROW - 6}" fill="{colour}"/>',
            f'<text x="{LABEL + length + 6:.1f}" y="{y + 14}" fill="#222222">{_number(value)}</text>',
        ]
    parts.append(
        f'<text x="8" y="{height - 8}" font-size="10" fill="#666666">{escape(source)}; logarithmic scale</text></svg>'
    )
    return "\n".join(parts) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    write()
