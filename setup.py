"""What pyproject.toml cannot say: what is made on the way to a wheel lies elsewhere, and nothing stays in the tree."""

import atexit
import shutil
import tempfile

from setuptools import setup

elsewhere = tempfile.mkdtemp(prefix="simpledist-build-")
atexit.register(shutil.rmtree, elsewhere, ignore_errors=True)
setup(options={"build": {"build_base": elsewhere}, "egg_info": {"egg_base": elsewhere}})
