"""The dashboard's token, from the file that $SIMPLEDIST_WEB_TOKEN_FILE names: one rule for all that serve the pages."""

from __future__ import annotations

import os
from pathlib import Path

from simpledist.errors import ConfigurationError

TOKEN_VARIABLE = "SIMPLEDIST_WEB_TOKEN_FILE"
TOKEN_CHARACTERS = 32


def web_token() -> str | None:
    """Return the token that a browser must send; None where no file is named. Raises ConfigurationError."""
    path = os.environ.get(TOKEN_VARIABLE)
    if not path:
        return None
    try:
        token = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"${TOKEN_VARIABLE} {path}: {error}") from None
    if len(token) < TOKEN_CHARACTERS:
        raise ConfigurationError(
            f"${TOKEN_VARIABLE} {path}: a token has {TOKEN_CHARACTERS} characters or more: simpledist secret FILE"
        )
    return token
