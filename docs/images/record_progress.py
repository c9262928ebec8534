"""Records docs/images/progress.svg: a real run in a real terminal, whose only worker is killed in the middle.

Run it in the clone: `.venv/bin/python docs/images/record_progress.py`. Each frame is what the terminal got.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from html import escape
from pathlib import Path

from rich.console import Console
from rich.text import Text

from simpledist.cluster import Cluster

ROOT = Path(__file__).parents[2]
PROGRAM = """
import fns, simpledist
with simpledist.connect() as client:
    pi = simpledist.worker_function(client, "pi", fns.pi)
    for future in simpledist.track([pi.submit(seed, throws=500_000) for seed in range(60)], "pi"):
        pass
"""
KILL_AT = "30/60"
FRAMES = 40
WIDTH, LINE, SIZE = 100, 18, 13
CONSOLE = Console()
BRIGHT = {"#008000": "#8ae234", "#808000": "#fce94f", "#800000": "#ef2929"}  # the eight colours, on dark ground


def frames() -> list[tuple[float, str]]:
    """(seconds, line with its escape codes), as they were drawn."""
    drawn: list[tuple[float, str]] = []
    with Cluster("fns", workers=1, slots=2, folder=ROOT / "demo") as cluster:
        ours, theirs = pty.openpty()
        environment = {**os.environ, "SIMPLEDIST_REDIS_URL": cluster.url, "COLUMNS": str(WIDTH)}
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT / "demo", env=environment, stderr=theirs)
        os.close(theirs)
        began = time.monotonic()
        try:
            while data := os.read(ours, 65536):
                for line in re.split(r"[\r\n]+", data.decode()):
                    if "pi" in line and "/60" in line:
                        drawn.append((time.monotonic() - began, re.sub(r"\x1b\[[0-9;?]*[A-Zl-ln-z]", "", line)))
                        if KILL_AT in line and cluster.workers[0].running:
                            cluster.workers[0].kill()
        except OSError:
            process.wait()
        os.close(ours)
    return drawn


def spans(line: str) -> str:
    text = Text.from_ansi(line)
    pieces: list[str] = []
    for segment in text.render(CONSOLE):
        style = segment.style
        colour = style.color.get_truecolor().hex if style and style.color else "#d3d7cf"
        colour = BRIGHT.get(colour, colour)
        weight = ' font-weight="bold"' if style and style.bold else ""
        pieces.append(f'<tspan fill="{colour}"{weight}>{escape(segment.text)}</tspan>')
    return "".join(pieces)


def svg(drawn: list[tuple[float, str]]) -> str:
    first, last = drawn[0][0], drawn[-1][0]
    step = max(len(drawn) // FRAMES, 1)
    kept = [*drawn[:-1:step], drawn[-1]]
    total = last - first + 2.0  # the end stands for a while
    groups: list[str] = []
    for number, (at, line) in enumerate(kept):
        shown = (at - first) / total * 100
        gone = (kept[number + 1][0] - first) / total * 100 if number + 1 < len(kept) else 100
        keys = f"@keyframes f{number}{{0%,{shown:.2f}%{{opacity:0}}{shown + 0.01:.2f}%,{gone:.2f}%{{opacity:1}}"
        keys += f"{min(gone + 0.01, 100):.2f}%,100%{{opacity:{int(gone == 100)}}}}}"
        style = f"{keys}#f{number}{{animation:f{number} {total:.1f}s infinite step-end}}"
        still = "" if number + 1 == len(kept) else ' opacity="0"'  # without animation: the last frame
        text = f'<text id="f{number}" x="12" y="24" xml:space="preserve"{still}>{spans(line)}</text>'
        groups.append(f"<style>{style}</style>{text}")
    width = round(WIDTH * SIZE * 0.61) + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {LINE + 20}" width="{width}" '
        f'font-family="ui-monospace,Menlo,Consolas,monospace" font-size="{SIZE}">'
        f'<rect width="100%" height="100%" rx="6" fill="#1e1e1e"/>{"".join(groups)}</svg>\n'
    )


if __name__ == "__main__":
    (Path(__file__).parent / "progress.svg").write_text(svg(frames()))
