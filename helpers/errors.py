"""Everything that Ammon raises on purpose, without a word about HTTP.

    HubError
    ├── InvalidArguments        the caller asked for something that does not exist or is not allowed
    ├── NotFound                a record or index that is not there
    ├── BadConfiguration        a wrong key or value; stops the start
    ├── UpstreamError           a source did not give what was asked for
    │   ├── UpstreamUnavailable     no answer, a broken one, 429 or 5xx after all retries
    │   ├── UpstreamRefused         a 4xx: asking again would not help
    │   ├── UpstreamChanged         an answer of another shape than documented
    │   └── UnsafeAddress           a URL, redirect or address that must not be asked
    ├── InvalidItem             one raw item that cannot become a record (goes to quarantine)
    ├── RefreshHeld             a refresh whose result must be accepted by an operator
    ├── LeaseHeld               another process refreshes
    ├── StorageUnavailable      the engine cannot answer now
    └── Busy                    a bounded resource is taken; try again

`str(error)` is written for the reader: what was wrong, what is allowed, the value seen.
`routes/errors.py` is the only place that knows the HTTP statuses.
"""

from __future__ import annotations


class HubError(Exception):
    """Base of all deliberate errors."""


class InvalidArguments(HubError):
    """An argument of a request names something unknown or not allowed."""


class NotFound(HubError):
    """A record, index or page that does not exist."""


class BadConfiguration(HubError):
    """A configuration key or value that cannot be used; names file, key, value and what is allowed."""


class UpstreamError(HubError):
    """A source did not give what was asked for."""


class UpstreamUnavailable(UpstreamError):
    """No usable answer after all retries: broken connection, time-out, 429 or 5xx."""


class UpstreamRefused(UpstreamError):
    """A 4xx answer; `status` tells which."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UpstreamChanged(UpstreamError):
    """An answer of another shape than the source documents."""


class UnsafeAddress(UpstreamError):
    """A URL, redirect target or network address that must not be asked."""


class InvalidItem(HubError):
    """One raw item that cannot become a record; the message is the reason shown in quarantine."""


class RefreshHeld(HubError):
    """A refresh is kept back for an operator; the message is the reason."""


class LeaseHeld(HubError):
    """Another process holds the lease; the message says who."""


class StorageUnavailable(HubError):
    """The engine cannot answer now (starting, broken, disk full); never an empty result."""


class Busy(HubError):
    """A bounded resource is taken; try again after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
