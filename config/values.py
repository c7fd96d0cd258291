"""The kinds of values that settings have: each with what is allowed, in code and in words.

The functions here are pure. Their `ValueError`s never repeat the value, which may hold a password.
"""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo

from config.schedule import normalise_schedule

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent
NO_CONTACT: Final = "its operator has set no contact"

HOST: Final = re.compile(r"(?=.{1,253}$)\w[\w-]{0,62}(\.\w[\w-]{0,62})*\.?", re.ASCII)
EXPECTED: Final = re.compile(r"\s*([0-9]{1,12})\s*-\s*([0-9]{1,12})?\s*", re.ASCII)
CONTACT: Final = re.compile(r"[!-'*-\[\]-~]+@[!-'*-\[\]-~]+|https?://[!-'*-\[\]-~]+", re.ASCII)
TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # RFC 9110, 5.6.2
# Hippocampome.org splits queries at blanks and brackets, and finds its operators also within words.
MARKER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+\-./]{0,99}", re.ASCII)
OPERATOR: Final = re.compile("and|or|not|include|exclude", re.IGNORECASE)
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed for a key, in words that complete "... is allowed"."""

    allowed: str
    default: str | None = None  # in words, where the default depends on the machine or on other keys


@dataclass(frozen=True, slots=True)
class Expected:
    """How many records a healthy refresh yields, both ends included."""

    minimum: int
    maximum: int | None = None  # None: any number

    def __str__(self) -> str:
        return f"{self.minimum}-{'' if self.maximum is None else self.maximum}"


def parse_expected(value: object) -> Expected:
    """`MIN-MAX` or `MIN-` as a range. Raises `ValueError`."""
    if isinstance(value, Expected):
        return value
    match = EXPECTED.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("it is neither MIN-MAX nor MIN-")
    maximum = None if match[2] is None else int(match[2])
    if maximum is not None and maximum < int(match[1]):
        raise ValueError("the maximum is below the minimum")
    return Expected(int(match[1]), maximum)


def _absolute(path: Path, info: ValidationInfo) -> Path:
    """A path from the project's root (`root` of the validation's context), `~` being the home folder."""
    root: Path = (info.context or {}).get("root", PROJECT_ROOT)
    try:
        return root / path.expanduser()
    except RuntimeError as error:
        raise ValueError("its home folder is not known") from error


def _path_text(value: object) -> object:
    """Refuse texts that no path can have, before `Path` turns an empty one into the current folder."""
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise ValueError("it is empty" if not value.strip() else "it holds a null character")
    return value


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        # Digits and dots alone are a mistyped address, not a name.
        return HOST.fullmatch(text) is not None and re.fullmatch(r"[0-9.]+", text) is None
    return True


def _host(text: str) -> str:
    host = text.removeprefix("[").removesuffix("]") if text.startswith("[") else text
    if not _is_host(host):
        raise ValueError("it is no host")
    return host


def _split(text: str) -> SplitResult:
    """The parts of an http(s) URL without query. Raises `ValueError`."""
    if re.fullmatch(r"[!-~]+", text, re.ASCII) is None:
        raise ValueError("it is empty or holds blanks or characters outside ASCII")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        # Its own message may quote a piece of a password.
        raise ValueError("it is no URL") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("it begins with neither http:// nor https://")
    if not host or not _is_host(host) or port == 0:
        raise ValueError("it names no host or a wrong port")
    if "?" in text or "#" in text:
        raise ValueError("it has a query or a fragment")
    return parts


def _server_url(text: str) -> str:
    _split(text)
    return text.rstrip("/")


def _plain_url(text: str) -> str:
    if "@" in _split(text).netloc:
        raise ValueError("it holds a user name or a password")
    return text.rstrip("/")


def _public_url(text: str | None) -> str | None:
    return None if text is None else _plain_url(text)


def _origin(text: str) -> str:
    if text == "*":
        return text
    url = _plain_url(text)
    if urlsplit(url).path:
        raise ValueError("an origin has no path")
    return url.lower()


def _method(text: str) -> str:
    if text.upper() not in METHODS:
        raise ValueError(f"a method is none of {', '.join(METHODS)}")
    return text.upper()


def _header(text: str) -> str:
    if TOKEN.fullmatch(text) is None:
        raise ValueError("an item is no name of a header")
    return text


def _contact(text: str) -> str:
    if text != NO_CONTACT and CONTACT.fullmatch(text) is None:
        raise ValueError("it is neither")
    return text


def _time_zone(text: str) -> str:
    if text != "UTC":  # known also where the machine has no database of time zones
        try:
            zoneinfo.ZoneInfo(text)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("this machine does not know it") from error
    return text


def _log_level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ValueError("it is none of them")
    return text.upper()


def _alone(items: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in items and len(items) > 1:
        raise ValueError("* stands for all and needs no other item")
    return items


def _marker(text: str) -> str:
    if MARKER.fullmatch(text) is None:
        raise ValueError("the site splits queries at blanks and brackets")
    if operator := OPERATOR.search(text):
        raise ValueError(f"the site takes the {operator[0]} in it for an operator")
    return text


def _region(text: str) -> str:
    return "" if text == "*" else text  # `*` can also be said in the environment, where empty is not set


def _all_different(items: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(items)) != len(items):
        raise ValueError("an item stands there twice")
    return items


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Switch = Annotated[bool, Field(strict=True), Rule("true or false")]
Names = Annotated[tuple[Name, ...], Rule("a list of non-empty texts")]
FilePath = Annotated[
    Path, BeforeValidator(_path_text), AfterValidator(_absolute), Rule("the path of a folder")
]
Host = Annotated[
    str, AfterValidator(_host), Rule("a host name or an IP address such as 127.0.0.1, 0.0.0.0 or ::")
]
Port = Annotated[int, Field(strict=True, ge=1, le=65_535), Rule("a whole number from 1 to 65535")]
Bytes = Annotated[int, Field(strict=True, ge=1_024), Rule("a whole number of at least 1024")]
PlainUrl = Annotated[
    str, AfterValidator(_plain_url), Rule("an http:// or https:// URL without user, query and fragment")
]
ServerUrl = Annotated[
    str,
    AfterValidator(_server_url),
    Rule("an http:// or https:// URL without query and fragment"),
]
PublicUrl = Annotated[
    str | None,
    AfterValidator(_public_url),
    Rule(
        "an http:// or https:// URL without user, query and fragment",
        default="`http://<host>:<port>`, with 127.0.0.1 for a host of 0.0.0.0 and ::1 for ::",
    ),
]
Contact = Annotated[str, AfterValidator(_contact), Rule("an e-mail address or an http:// or https:// URL")]
TimeZone = Annotated[
    str, AfterValidator(_time_zone), Rule("UTC or a name of the IANA database such as Europe/Zurich")
]
LogLevel = Annotated[str, AfterValidator(_log_level), Rule(f"one of {', '.join(LOG_LEVELS)}")]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...],
    AfterValidator(_alone),
    Rule('a list of origins such as "https://example.org" or of "*" alone'),
]
Methods = Annotated[
    tuple[Annotated[str, AfterValidator(_method)], ...], Rule(f"a list out of {', '.join(METHODS)}")
]
Headers = Annotated[
    tuple[Annotated[str, AfterValidator(_header)], ...], Rule("a list of names of HTTP headers")
]
Schedule = Annotated[
    str,
    AfterValidator(normalise_schedule),
    Rule("a crontab text of five fields (minute, hour, day of month, month, day of week) or never"),
]
ExpectedRange = Annotated[
    Expected, BeforeValidator(parse_expected), Rule("MIN-MAX or MIN- such as 5000-400000 or 5000-")
]
Rate = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False), Rule("a number of at least 0")]
Concurrency = Annotated[int, Field(strict=True, ge=1, le=32), Rule("a whole number from 1 to 32")]
Retries = Annotated[int, Field(strict=True, ge=0, le=10), Rule("a whole number from 0 to 10")]
Seconds = Annotated[
    float, Field(strict=True, gt=0, le=3_600, allow_inf_nan=False), Rule("a number above 0 and up to 3600")
]
Workers = Annotated[
    int,
    Field(strict=True, ge=1, le=64),
    Rule("a whole number from 1 to 64", default="the number of processor cores, at most 2"),
]
Threads = Annotated[int, Field(strict=True, ge=2, le=256), Rule("a whole number from 2 to 256")]
Markers = Annotated[
    tuple[Annotated[str, AfterValidator(_marker)], ...],
    Rule("a list of marker names out of letters, digits and + - . /"),
]
RegionKey = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200),
    AfterValidator(_region),
    Rule("a text of at most 200 characters"),
]
Morphologies = Annotated[
    tuple[Literal["Axons", "Dendrites", "Soma"], ...],
    AfterValidator(_all_different),
    Rule("a list out of Axons, Dendrites, Soma"),
]
