"""The queries of the example NeuroMorpho.Org: `species:rat,mouse AND brain_region:"dentate gyrus"`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from helpers.example_upstream.messages import Item

_PLAIN: Final = (
    "neuron_id neuron_name species gender strain age_scale min_weight max_weight age_classification min_age "
    "max_age domain attributes protocol experiment_condition stain slicing_thickness slicing_direction "
    "reconstruction_software objective_type magnification archive reference_pmid reference_doi "
    "original_format deposition_date upload_date brain_region cell_type"
)
# Name in a query -> (key of a record, place in its list).
FIELDS: Final[dict[str, tuple[str, int | None]]] = {
    **{name: (name, None) for name in _PLAIN.split()},
    "Physical_Integrity": ("physical_Integrity", None),
    **{f"{key}_{place}": (key, place - 1) for key in ("brain_region", "cell_type") for place in (1, 2, 3)},
}
ALIASES: Final = {"Neuron_id": "neuron_id"}  # as the morphometry API spells it

_CLAUSES = re.compile(r"\s+AND\s+(?=\w+\s*:)")
_VALUE = re.compile(
    r'\s*(?:"((?:[^"\\]|\\.)*)"'  # quoted
    r"|\[\s*(\S+)\s+TO\s+(\S+)\s*\]"  # a range
    r'|((?:[^,"\[\\]|\\.)+))'  # bare
    r"\s*(?:,|$)"
)
Test = Callable[[str], bool]


def terms(record: Item, field: str) -> list[str]:
    """The values under which a record is found in a field."""
    key, place = FIELDS[field]
    value = record.get(key)
    values = value if isinstance(value, list) else [] if value in (None, "") else [value]
    return [str(item) for item in (values if place is None else values[place : place + 1])]


@dataclass(frozen=True, slots=True)
class Clause:
    """A record passes when any of its values in the field passes any test."""

    field: str
    tests: tuple[Test, ...]

    def holds(self, record: Item) -> bool:
        """Whether a record passes."""
        return any(test(value.lower()) for value in terms(record, self.field) for test in self.tests)


def clauses_of_text(text: str) -> list[Clause]:
    """The clauses of a `q` or `fq`, all of which must hold. Raises `ValueError` for no query."""
    found = []
    for part in _CLAUSES.split(text.strip()):
        name, _, rest = part.partition(":")
        tests: list[Test] = []
        while match := _VALUE.match(rest):
            tests.append(_test(*match.groups()))
            rest = rest[match.end() :]
        if rest or not tests:
            raise ValueError(f"cannot read {part!r}")
        found.append(Clause(_field(name.strip()), tuple(tests)))
    return found


def clauses_of_body(body: bytes) -> list[Clause]:
    """The clauses of a JSON body `{"species": ["rat", "mouse"]}`. Raises `ValueError` for any other."""
    asked: Any = json.loads(body)
    if not isinstance(asked, dict) or not all(isinstance(values, list) for values in asked.values()):
        raise ValueError("an object of lists is expected")
    return [
        Clause(_field(name), tuple(str(value).lower().__eq__ for value in values))
        for name, values in asked.items()
    ]


def _field(name: str) -> str:
    name = ALIASES.get(name, name)
    if name not in FIELDS:
        raise ValueError(f"undefined field {name}")
    return name


def _test(quoted: str | None, low: str | None, high: str | None, bare: str | None) -> Test:
    if low is not None and high is not None:
        return _range(low, high)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted).lower().__eq__
    text = (bare or "").strip().lower()
    if re.search(r"(?<!\\)\s", text):  # an unquoted second word is another query, which finds nothing
        return lambda value: False
    wild = {"*": ".*", "?": "."}
    pieces = re.findall(r"\\.|.", text, re.DOTALL)
    pattern = re.compile("".join(wild.get(piece) or re.escape(piece[-1]) for piece in pieces), re.DOTALL)
    return lambda value: pattern.fullmatch(value) is not None


def _range(low: str, high: str) -> Test:
    def inside(value: str) -> bool:
        try:
            place: Any = float(value)
            ends: list[Any] = [None if end == "*" else float(end) for end in (low, high)]
        except ValueError:
            place, ends = value, [None if end == "*" else end.lower() for end in (low, high)]
        return (ends[0] is None or ends[0] <= place) and (ends[1] is None or place <= ends[1])

    return inside
