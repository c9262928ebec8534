"""The table: benchmarks/RESULTS.md, and the part of it that the README shows."""

from __future__ import annotations

from pathlib import Path

from benchmarks import results
from benchmarks.works import ALL, WORKS, Work

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
TITLES = {"floor": "bare Redis", "ours": "**simpledist**", "pool": "ProcessPool", "rq": "RQ", "saq": "SAQ"}


def write() -> None:
    """Write RESULTS.md, and the README's table where it has the marks for one."""
    kept = results.load()
    table = _peers(kept["works"], kept.get("absent", {}))
    head = (
        f"Measured on {kept['date']}: {kept['machine']}. Medians; in brackets half their spread, where there was more "
        "than one round. Read ratios, not absolutes: the machine was shared."
    )
    text = f"# Results\n\n{head}\n\n{table}\n\n## simpledist alone\n\n{_alone(kept['works'])}\n"
    (HERE / "RESULTS.md").write_text(text)
    readme = README.read_text()
    if BEGIN in readme:
        before, _, rest = readme.partition(BEGIN)
        after = rest.partition(END)[2]
        README.write_text(f"{before}{BEGIN}\n{head}\n\n{table}\n{END}{after}")


def _peers(works: results.Rounds, absent: dict[str, str]) -> str:
    """One column a work, one line a peer; of a peer that was never measured, why."""
    columns = [one for one in WORKS if one.measure is not None and one.name in works]
    lines = [
        "| | " + " | ".join(f"{one.title}, {one.unit}" for one in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for peer in ALL:
        cells = [_cell(one, works[one.name].get(peer)) for one in columns]
        if any(cell != "-" for cell in cells):
            lines.append(f"| {_title(peer)} | " + " | ".join(cells) + " |")
        elif peer in absent:
            lines.append(f"| {_title(peer)} | {absent[peer]} |" + " |" * (len(columns) - 1))
    return "\n".join(lines)


def _title(peer: str) -> str:
    return TITLES.get(peer, peer.capitalize())


def _cell(work: Work, numbers: list[float] | None) -> str:
    if not numbers:
        return "-"
    told = _number(results.median(numbers))
    return told if len(numbers) == 1 else f"{told} ({results.spread(numbers):.0%})"


def _alone(works: results.Rounds) -> str:
    lines = ["| | |", "|---|---|"]
    for work in WORKS:
        if work.figure is not None and work.name in works:
            numbers = works[work.name]
            told = ", ".join(
                (f"{what}: " if what != "ours" else "") + _number(results.median(rounds))
                for what, rounds in numbers.items()
            )
            lines.append(f"| {work.title} | {told} {work.unit} |".replace("  ", " "))
    return "\n".join(lines)


def _number(number: float) -> str:
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


if __name__ == "__main__":
    write()
