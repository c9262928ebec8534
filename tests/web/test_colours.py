"""The colours of functions: people with each kind of colour blindness tell them apart, on light and on dark ground.

Colours are seen through the matrices of Machado, Oliveira and Fernandes (2009) at full severity and compared in OKLab.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

STYLE = (Path(__file__).parents[2] / "web" / "static" / "style.css").read_text()
APART = 0.1  # the palette of Okabe and Ito, made for colour-blind people, reaches 0.076
CONTRAST = 2.5  # of a swatch to its sheet; its name stands beside it

VISIONS = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)

Triple = tuple[float, float, float]


def times(matrix: tuple[Triple, ...], vector: Triple) -> Triple:
    first, second, third = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return first, second, third


def linear(colour: str) -> Triple:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def seen(colour: str, vision: str) -> Triple:
    """Return where a colour is in OKLab for somebody who sees like this."""
    red, green, blue = (min(max(part, 0.0), 1.0) for part in times(VISIONS[vision], linear(colour)))
    first, second, third = (part ** (1 / 3) for part in times(TO_CONES, (red, green, blue)))
    return times(TO_LAB, (first, second, third))


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def palette(scheme: int) -> list[str]:
    pairs = re.findall(r"--c\d: light-dark\((#\w{6}), (#\w{6})\)", STYLE)
    assert len(pairs) == 8
    return [pair[scheme] for pair in pairs]


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_any_two_of_the_eight_colours_can_be_distinguished(scheme: int, vision: str) -> None:
    for one, other in itertools.combinations(palette(scheme), 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen(one, vision), seen(other, vision), strict=True)) ** 0.5
        assert distance > APART, f"{one} and {other}"


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_stands_out_from_its_sheet(scheme: int) -> None:
    sheet = re.search(r"--sheet: light-dark\((#\w{6}), (#\w{6})\)", STYLE)
    assert sheet is not None
    for colour in palette(scheme):
        low, high = sorted((luminance(colour), luminance(sheet[scheme + 1])))
        assert (high + 0.05) / (low + 0.05) > CONTRAST, colour
