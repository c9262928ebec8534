"""Distributions: what people install to have a module that an import did not find.

Owns how an import says that a module is missing, and the names of distributions that differ from those of their
modules. Pure, but for `installed_with` and `versions_on`, which read what is installed here. Asked by the worker that
lacks a module, by the caller whose call it refused, and by the monitor, which can look into neither.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module

from simpledist.interruption import suppressed

# As Python words it: `No module named 'pandas'`, also `... 'xml.nope'; 'xml' is not a package`.
_MISSING = re.compile(r"No module named '?([A-Za-z_]\w{0,99})")
# As installers name the folder, or the file, that says what is installed: `scikit_learn-1.5.2.dist-info`.
_INSTALLED = re.compile(r"([A-Za-z0-9][\w.]{0,59})-([0-9][\w.+!]{0,29})(?:-py[\d.]+)?\.(?:dist|egg)-info")
MOST_LISTED = 300  # distributions of one machine that others are informed of
# The distributions that are known by another name than their module. Any other has its own: that is right for most.
_OTHERWISE = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "igraph": "python-igraph",
    "jwt": "PyJWT",
    "osgeo": "GDAL",
    "pkg_resources": "setuptools",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}


def missing_module(text: str) -> str:
    """Return the top name of the module that an import did not find, by the words of its error; "" for another error.

    Example:
        >>> missing_module("ModuleNotFoundError: No module named 'sklearn.svm'")
        'sklearn'
    """
    found = _MISSING.search(text)
    return found[1] if found else ""


def known_as(module: str) -> str:
    """Return the distribution that has this module, as far as its name tells."""
    return _OTHERWISE.get(module, module)


@lru_cache(maxsize=1000)
def installed_with(module: str) -> str:
    """Return the distribution that has this module here, "" for a module of no distribution. Takes a tenth of a second.

    Never raises: what is installed here may be damaged.
    """
    try:
        found = import_module("importlib.metadata").packages_distributions().get(module)
    except Exception:  # noqa: BLE001 - whatever stands in the folders of other people's packages
        return ""
    return min(found) if found else ""


def versions_on(path: Iterable[str]) -> dict[str, str]:
    """Return the distributions that are installed in these folders, each with its version: the first of a name counts.

    By the names of files alone, so it takes a few milliseconds; of many the first MOST_LISTED in the alphabet.
    """
    found: dict[str, str] = {}
    for folder in path:
        with suppressed(OSError):  # not there, a zip file, not ours to read
            for name in sorted(os.listdir(folder or ".")):
                if one := _INSTALLED.fullmatch(name):
                    found.setdefault(one[1].replace("_", "-").lower(), one[2])
    return dict(sorted(found.items())[:MOST_LISTED])
