"""Distributions: what people install to have a module that an import did not find.

Owns how an import says that a module is missing, and the names of distributions that differ from those of their
modules. Pure, but for `installed_with`, which reads what is installed here. Asked by the worker that lacks a module, by
the caller whose call it refused, and by the monitor, which can look into neither.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module

# As Python words it: `No module named 'pandas'`, also `... 'xml.nope'; 'xml' is not a package`.
_MISSING = re.compile(r"No module named '?([A-Za-z_]\w{0,99})")
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
