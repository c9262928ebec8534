"""The dashboard: Flask pages over the read model. Reads only; imports nothing that could unpickle.

Served by the distributor, or alone: `flask --app simpledist_web run`.
"""

from .app import create_app

__all__ = ["create_app"]
