"""Values as an operator reads them: written as in TOML, on one line, of bounded length, without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

LONGEST: Final = 200  # characters of a value in a message
PASSWORD: Final = re.compile(
    r"([^\s/:@]*):(?!//).*@", re.DOTALL
)  # user:password@host, with or without a scheme
QUERY: Final = re.compile(r"(://[^?]*\?).*", re.DOTALL)
SECRET_NAME: Final = re.compile(r"passw|secret|token|credential|api_?key", re.IGNORECASE)
HIDDEN: Final = "***"


def without_secrets(text: str) -> str:
    """A text with the password and the query of a URL hidden: `http://user:***@host`."""
    return QUERY.sub(rf"\g<1>{HIDDEN}", PASSWORD.sub(rf"\g<1>:{HIDDEN}@", text))


def shown(value: object) -> str:
    """A value as text, secrets hidden; None is `not set`."""
    if value is None:
        return "not set"
    text = _written(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def shown_of_unknown(name: str, value: object) -> str:
    """The value of a key that nobody knows: hidden when its name says that it is a secret."""
    return HIDDEN if SECRET_NAME.search(name) else shown(value)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {shown_of_unknown(key, item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return repr(without_secrets(str(value)))
