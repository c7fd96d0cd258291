"""The settings out of their layers: defaults < `ammon.toml` < `<source>.toml` < environment.

Every value keeps where it came from. Everything that is wrong is collected and told at once, one line each:
file or environment, key, value, and what is allowed. docs/configuration.md is written for the operator.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.keys import KEYS, PREFIX, Key
from config.settings import SOURCES, Settings
from config.shown import shown, shown_of_unknown
from config.values import PROJECT_ROOT

CONFIG_DIR: Final = "AMMON_CONFIG_DIR"
ENABLED_SOURCES: Final = "AMMON_SOURCES"
TESTS_PREFIX: Final = "AMMON_TEST_"  # left to the tests and to whoever runs them
FILES: Final[Mapping[str, tuple[str, ...]]] = {  # file -> path of the group that its keys belong to
    "ammon.toml": (),
    **{f"{source}.toml": (source,) for source in SOURCES},
}
VARIABLES: Final[Mapping[str, Key]] = {variable: key for key in KEYS.values() for variable in key.variables}
LONGEST_NAME: Final = 100  # characters of a wrong key that are shown and compared with the known ones
DEFAULT: Final = "default"
ENVIRONMENT: Final = "environment"


class ConfigError(ValueError):
    """Configuration that cannot be used. The text, one line for each thing wrong, is for the operator."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The effective settings, and for every dotted key where its value came from."""

    settings: Settings
    origins: Mapping[str, str]  # "default", "config/neuromorpho.toml" or "environment AMMON_PORT"


@dataclass(frozen=True, slots=True)
class _Given:
    """One value that somebody has set."""

    key: Key
    value: object
    where: str  # the file, or `ENVIRONMENT`
    name: str  # of the key, as it is spelled there

    @property
    def origin(self) -> str:
        return f"{ENVIRONMENT} {self.name}" if self.where == ENVIRONMENT else self.where

    def line(self, allowed: str) -> str:
        return f"{self.where}: {self.name} = {shown(self.value)}: {allowed}"


@dataclass(slots=True)
class _Findings:
    """What the layers hold, later ones last, and what is wrong in them."""

    given: list[_Given] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def load(environ: Mapping[str, str], root: Path = PROJECT_ROOT) -> Loaded:
    """The settings of this installation, out of the files of its configuration folder and `environ`.

    Relative paths are relative to `root`. Raises `ConfigError` naming everything that is wrong.
    """
    root = root.absolute()
    findings = _Findings()
    folder = _folder(environ, root, findings)
    if folder is not None:
        _read_files(folder, root, findings)
    _read_environment(environ, findings)
    accepted = {item.key.name: item for item in findings.given if _accepts(item, root, findings)}
    settings = _build(accepted, root, findings)
    if settings is None or findings.problems:
        raise ConfigError(findings.problems)
    origins = {name: accepted[name].origin if name in accepted else DEFAULT for name in KEYS}
    return Loaded(settings, MappingProxyType(origins))


def describe(loaded: Loaded) -> list[tuple[str, str, str]]:
    """(dotted key, value with secrets hidden, origin) of every key, in the order of the documentation."""
    return [(name, shown(_value(loaded.settings, key)), loaded.origins[name]) for name, key in KEYS.items()]


def _value(settings: Settings, key: Key) -> Any:
    value: Any = settings
    for name in key.path:
        value = getattr(value, name)
    return value


# Files


def _folder(environ: Mapping[str, str], root: Path, findings: _Findings) -> Path | None:
    """The folder of the configuration files. Only a folder that was asked for must be there."""
    asked = environ.get(CONFIG_DIR, "").strip()
    if not asked:
        return root / "config"
    folder = root / asked
    if not _is_folder(folder):
        findings.problems.append(
            f"{ENVIRONMENT}: {CONFIG_DIR} = {shown(asked)}: the path of an existing folder is allowed"
        )
        return None
    return folder


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, or within a folder that is closed to us
        return False


def _read_files(folder: Path, root: Path, findings: _Findings) -> None:
    for name, group in FILES.items():
        path = folder / name
        where = _place(path, root)
        table = _parsed(path, where, findings)
        _read_table(table, group, (), where, findings)
    # A mistyped file name would otherwise be overlooked, and its keys with it.
    for path in sorted(folder.glob("*.toml")):
        if path.name not in FILES:
            findings.problems.append(
                f"{_place(path, root)}: no such configuration file; "
                f"the nearest is {_nearest(path.name, FILES)}, allowed are {', '.join(FILES)}"
            )


def _place(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _parsed(path: Path, where: str, findings: _Findings) -> dict[str, Any]:
    """The table of a TOML file; a file that is not there is an empty one."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        findings.problems.append(f"{where}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        findings.problems.append(f"{where}: no UTF-8 text (at line {line})")
    except ValueError as error:  # TOMLDecodeError, or a number of more digits than Python reads
        findings.problems.append(f"{where}: no TOML: {error}")
    return {}


def _read_table(
    table: Mapping[str, Any], group: tuple[str, ...], inside: tuple[str, ...], where: str, findings: _Findings
) -> None:
    """Take a table's values. `group` is what the file's keys belong to, `inside` the table's own path."""
    for name, value in table.items():
        path = (*inside, name)
        full = (*group, *path)
        key = KEYS.get(".".join(full)) if all("." not in part for part in full) else None
        if key is not None:
            findings.given.append(_Given(key, value, where, key.name.removeprefix(".".join((*group, "")))))
        elif isinstance(value, dict) and (value or _within(full)):
            _read_table(value, group, path, where, findings)
        else:
            findings.problems.append(_unknown_key(path, value, group, where))


def _within(path: tuple[str, ...]) -> list[str]:
    """The names of the keys within a group; none when there is no such group."""
    return list(dict.fromkeys(key.path[len(path)] for key in KEYS.values() if key.path[: len(path)] == path))


def _unknown_key(path: tuple[str, ...], value: object, group: tuple[str, ...], where: str) -> str:
    name = ".".join(part if re.fullmatch(r"[\w-]+", part) else repr(part) for part in path)[:LONGEST_NAME]
    seen = f"{where}: {name} = {shown_of_unknown(name, value)}"
    members = _within((*group, *path))
    if members:
        return f"{seen}: a table with {', '.join(members)} is allowed"
    known = [".".join(key.path[len(group) :]) for key in KEYS.values() if key.path[: len(group)] == group]
    siblings = _within((*group, *path[:-1])) or _within(group)
    return f"{seen}: no such key; the nearest is {_nearest(name, known)}, allowed are {', '.join(siblings)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like a wrong one; a name that is right but in another group comes first."""
    candidates = list(known)
    last = name.rpartition(".")[2]
    same = [candidate for candidate in candidates if candidate.rpartition(".")[2] == last]
    return difflib.get_close_matches(name, same or candidates, n=1, cutoff=0.0)[0]


# Environment


def _read_environment(environ: Mapping[str, str], findings: _Findings) -> None:
    _read_enabled_sources(environ, findings)
    for key in KEYS.values():
        item = next(filter(None, (_variable(name, key, environ) for name in key.variables)), None)
        if item is not None:
            findings.given.append(item)
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(TESTS_PREFIX):
            _check_known(name, environ[name], findings)


def _variable(name: str, key: Key, environ: Mapping[str, str]) -> _Given | None:
    """What a variable sets. An empty one is an empty list, and for any other kind as if it were not set."""
    text = environ.get(name, "").strip()
    if not text and (key.kind != "list" or name not in environ):
        return None
    return _Given(key, key.parse(text), ENVIRONMENT, name)


def _read_enabled_sources(environ: Mapping[str, str], findings: _Findings) -> None:
    """`AMMON_SOURCES` turns the sources that it names on and all others off."""
    if ENABLED_SOURCES not in environ:
        return
    text = environ[ENABLED_SOURCES]
    names = {item.strip() for item in text.split(",")} - {""}
    for name in sorted(names - set(SOURCES)):
        findings.problems.append(
            f"{ENVIRONMENT}: {ENABLED_SOURCES} = {shown(text)}: {shown(name)} is no source; the nearest is "
            f"{_nearest(name, SOURCES)}, allowed are {', '.join(SOURCES)}"
        )
    for source in SOURCES:
        key = KEYS[f"{source}.enabled"]
        findings.given.append(_Given(key, source in names, ENVIRONMENT, ENABLED_SOURCES))


def _check_known(name: str, text: str, findings: _Findings) -> None:
    known = (*VARIABLES, ENABLED_SOURCES, CONFIG_DIR)
    if name not in known:
        findings.problems.append(
            f"{ENVIRONMENT}: {name} = {shown_of_unknown(name, text)}: no such variable; the nearest is "
            f"{_nearest(name, known)}, docs/configuration.md lists all that are allowed"
        )


# Values


def _accepts(item: _Given, root: Path, findings: _Findings) -> bool:
    """Whether a value is allowed for its key, also where a later layer replaces it."""
    try:
        item.key.check(item.value, root)
    except ValidationError as error:
        reasons = "; ".join(filter(None, dict.fromkeys(map(_reason, error.errors(include_url=False)))))
        findings.problems.append(
            item.line(f"{item.key.rule.allowed} is allowed{reasons and f' ({reasons})'}")
        )
        return False
    return True


def _reason(detail: ErrorDetails) -> str:
    """What our own check says; pydantic's words add nothing to what is allowed."""
    return str(detail["ctx"]["error"]) if detail["type"] == "value_error" else ""


def _build(accepted: Mapping[str, _Given], root: Path, findings: _Findings) -> Settings | None:
    """The settings of values that are allowed one by one; None when they contradict each other."""
    tree: dict[str, Any] = {}
    for key in KEYS.values():  # every group is there, so that paths within it are made from `root`
        table = tree
        for part in key.path[:-1]:
            table = table.setdefault(part, {})
        if key.name in accepted:
            table[key.path[-1]] = accepted[key.name].value
    try:
        return Settings.model_validate(tree, context={"root": root})
    except ValidationError as error:
        findings.problems.extend(_contradictions(error, accepted))
        return None


def _contradictions(error: ValidationError, accepted: Mapping[str, _Given]) -> Iterator[str]:
    """One line for each group whose values, allowed one by one, do not go together."""
    for detail in error.errors(include_url=False):
        group = ".".join(map(str, detail["loc"]))
        involved = [item for name, item in accepted.items() if name.startswith(f"{group}.")]
        seen = " and ".join(f"{item.where}: {item.name} = {shown(item.value)}" for item in involved)
        yield f"{seen}: {_reason(detail) or detail['msg']}"
