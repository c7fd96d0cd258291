"""When a source is refreshed: the five fields of crontab, checked before anything starts.

The scheduler (APScheduler's `CronTrigger.from_crontab`) counts weekdays from Monday = 0, crontab from
Sunday = 0. So that `0` means what crontab says, weekdays are rewritten as names, which both understand.
Months are rewritten as numbers: the scheduler does not take `4-sep` or a step after names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")  # as crontab counts them, 7 = sun again
WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # as they are written out
LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month
ITEM: Final = re.compile(
    r"(?:(?P<all>\*)|(?P<first>[0-9]+|[a-z]+)(?:-(?P<last>[0-9]+|[a-z]+))?)(?:/(?P<step>[0-9]+))?"
)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: Mapping[str, int] = field(default_factory=dict)


FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, {name: number for number, name in enumerate(MONTHS, start=1)}),
    _Field("day of week", 0, 7, {name: number for number, name in enumerate(WEEKDAYS)}),
)


def normalise_schedule(text: str) -> str:
    """Crontab text with single blanks, weekdays by name and months by number; `never` and empty are empty.

    Raises `ValueError` with the reason, also for a day that never comes, such as 31 February.
    """
    parts = text.lower().split()
    if parts in ([], ["never"]):
        return ""
    if len(parts) != len(FIELDS):
        raise ValueError(f"{len(parts)} fields instead of 5")
    _, _, days, months, weekdays = (_values(part, spec) for part, spec in zip(parts, FIELDS, strict=True))
    if all(min(days) > LONGEST[month - 1] for month in months):
        raise ValueError(f"day {min(days)} never comes in month {parts[3]}")
    months_by_number = re.sub("[a-z]+", lambda name: str(FIELDS[3].names[name[0]]), parts[3])
    return " ".join([*parts[:3], months_by_number, _weekday_names(weekdays)])


def _values(part: str, spec: _Field) -> frozenset[int]:
    """Every number that one field stands for."""
    return frozenset(number for item in part.split(",") for number in _item(item, spec))


def _item(item: str, spec: _Field) -> range:
    match = ITEM.fullmatch(item)
    if match is None:
        raise ValueError(f"{spec.name} {item!r} is none of *, */n, a, a-b, a-b/n")
    if match["all"]:
        # Crontab's seven weekdays, not the eighth that repeats Sunday.
        first, last = spec.lowest, 6 if spec.highest == 7 else spec.highest
    else:
        first = _number(match["first"], spec)
        last = _number(match["last"], spec) if match["last"] else first
        if match["last"] == "sun" and first:
            last = 7  # the week may end with Sunday: fri-sun
    if last < first:
        raise ValueError(f"{spec.name} {item!r} ends before it begins")
    return range(first, last + 1, _step(match["step"], first, last, item, spec))


def _number(text: str, spec: _Field) -> int:
    if not text.isdecimal():
        if text not in spec.names:
            raise ValueError(f"{spec.name} {text!r} is not known")
        return spec.names[text]
    number = int(text[:4])
    if not spec.lowest <= number <= spec.highest or len(text) > 2:
        raise ValueError(f"{spec.name} {text} is outside {spec.lowest}-{spec.highest}")
    return number


def _step(text: str | None, first: int, last: int, item: str, spec: _Field) -> int:
    if text is None:
        return 1
    step = int(text[:4])
    if not 1 <= step <= last - first:
        raise ValueError(f"{spec.name} {item!r}: the step must be 1 to {last - first}")
    return step


def _weekday_names(numbers: frozenset[int]) -> str:
    names = {WEEKDAYS[number % 7] for number in numbers}
    return "*" if len(names) == len(WEEK) else ",".join(name for name in WEEK if name in names)
