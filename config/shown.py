"""Values as an operator reads them: written as in TOML, on one line, of bounded length, without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

LONGEST: Final = 200  # characters of a value in a message
SECRET_NAME: Final = re.compile(r"passw|secret|token|credential|api_?key", re.IGNORECASE)
HIDDEN: Final = "***"


def without_secrets(text: str) -> str:
    """A text with the password and the query of a URL hidden: `http://user:***@host`.

    Holds also for what is no URL but was meant as one: everything from the first colon to the last `@`.
    """
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        return _without_password(text)
    address, mark, query = _without_password(rest).partition("?")
    return scheme + slashes + address + mark + (HIDDEN if query else "")


def _without_password(text: str) -> str:
    end = text.rfind("@")
    colon = text.find(":", 0, max(end, 0))
    return text if colon < 0 else f"{text[: colon + 1]}{HIDDEN}{text[end:]}"


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
    if isinstance(value, int) and value.bit_length() > LONGEST:  # Python refuses thousands of decimal digits
        return hex(value)
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {shown_of_unknown(key, item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return repr(without_secrets(str(value)))
