"""The settings themselves: what each kind of value allows, and that shipped files and docs name every key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.keys import KEYS
from config.loading import CONFIG_DIR, ENABLED_SOURCES, FILES, VARIABLES, load
from config.reference import PAGE, filled, keys_of, table
from config.settings import SOURCES, Allowed, NeuroMorphoSettings, Settings
from config.values import PROJECT_ROOT, Expected
from config.version import read_version

GROUPS = ("ammon", *SOURCES)


def allowed(name: str, value: object) -> bool:
    try:
        KEYS[name].check(value, PROJECT_ROOT)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "0.0.0.0"),
        ("host", "::"),
        ("host", "[::1]"),
        ("host", "ammon.example.org"),
        ("port", 1),
        ("port", 65535),
        ("public_url", None),
        ("public_url", "https://example.org/ammon"),
        ("elasticsearch.url", "https://elastic:p%40ss@search_1:9200"),
        ("elasticsearch.url", "http://[::1]:9200/"),
        ("neuromorpho.base_url", "http://127.0.0.1:9100/neuromorpho"),
        ("neuromorpho.rate", 0),
        ("neuromorpho.rate", 0.5),
        ("neuromorpho.concurrency", 32),
        ("neuromorpho.expected", "0-"),
        ("neuromorpho.expected", " 5 - 5 "),
        ("neuromorpho.tls", "legacy"),
        ("neuromorpho.brain_regions", []),
        ("hippocampome.layers.CA3", "01?10"),
        ("hippocampome.morphologies", []),
        ("hippocampome.markers", ["PV", "5HT-3"]),
        ("modeldb.region_key", "dentate gyrus"),
        ("contact", "lab@example.org"),
        ("contact", "https://example.org/contact"),
        ("timezone", "Europe/Zurich"),
        ("log_level", "debug"),
        ("cors.origins", ["https://example.org", "http://localhost:3000"]),
        ("cors.methods", ["get"]),
        ("data_dir", "a folder/näher"),
    ],
)
def test_allowed_values(name: str, value: object) -> None:
    assert allowed(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", ""),
        ("host", "http://localhost"),
        ("host", "localhost:8000"),
        ("host", "two words"),
        ("host", "1.2.3"),
        ("host", "a" * 300),
        ("host", "a-" * 200 + "!"),
        ("port", 0),
        ("port", 65536),
        ("port", True),
        ("port", 8000.0),
        ("port", "8000"),
        ("public_url", ""),
        ("public_url", "/ammon"),
        ("public_url", "ftp://example.org"),
        ("elasticsearch.url", "localhost:9200"),
        ("elasticsearch.url", "http://host:99999"),
        ("elasticsearch.url", "http://host:port"),
        ("elasticsearch.url", "http://[::1"),
        ("elasticsearch.url", "http://"),
        ("elasticsearch.url", "http://host/?a=b"),
        ("elasticsearch.url", ["http://host"]),
        ("neuromorpho.base_url", "https://user:secret@neuromorpho.org"),
        ("neuromorpho.base_url", "https://neuromorpho.org/#a"),
        ("neuromorpho.base_url", "https://neuro morpho.org"),
        ("neuromorpho.base_url", "https://néuro.org"),
        ("neuromorpho.rate", -0.1),
        ("neuromorpho.rate", float("nan")),
        ("neuromorpho.rate", float("inf")),
        ("neuromorpho.rate", True),
        ("neuromorpho.concurrency", 0),
        ("neuromorpho.concurrency", 33),
        ("neuromorpho.concurrency", 1.5),
        ("neuromorpho.timeout_s", 0),
        ("neuromorpho.expected", "10-5"),
        ("neuromorpho.expected", "-5"),
        ("neuromorpho.expected", "5"),
        ("neuromorpho.expected", 5),
        ("neuromorpho.expected", {"minimum": 5}),
        ("neuromorpho.enabled", 1),
        ("neuromorpho.enabled", "true"),
        ("neuromorpho.tls", "Legacy"),
        ("neuromorpho.brain_regions", "hippocampus"),
        ("neuromorpho.brain_regions", ["hippocampus", " "]),
        ("neuromorpho.brain_regions", [1]),
        ("neuromorpho.brain_regions", None),
        ("hippocampome.layers.CA3", "????"),
        ("hippocampome.layers.CA1", "???2"),
        ("hippocampome.layers.CA1", "????\n"),
        ("hippocampome.morphologies", ["Axon"]),
        ("hippocampome.morphologies", ["Soma", "Soma"]),
        ("hippocampome.markers", ["GABAa \\delta"]),
        ("hippocampome.markers", ["MOR"]),
        ("modeldb.region_key", 5),
        ("contact", ""),
        ("contact", "nobody"),
        ("contact", "a@b.org\r\nX-Other: 1"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../etc/passwd"),
        ("timezone", ""),
        ("log_level", "LOUD"),
        ("storage", "sqlite"),
        ("threads", 1),
        ("workers", 0),
        ("cors.origins", ["*", "https://example.org"]),
        ("cors.origins", ["https://example.org/path"]),
        ("cors.origins", ["example.org"]),
        ("cors.methods", ["BREW"]),
        ("cors.headers", ["Two Words"]),
        ("max_body_bytes", 10),
        ("data_dir", ""),
        ("data_dir", "a\0b"),
        ("data_dir", 5),
        ("internal.folder", []),
    ],
)
def test_values_that_are_not_allowed(name: str, value: object) -> None:
    assert not allowed(name, value)


def test_values_are_brought_to_one_form(tmp_path: Path) -> None:
    settings = Settings(
        host="[::1]",
        public_url="https://example.org/ammon/",
        log_level="debug",
        data_dir=tmp_path / "x",
        neuromorpho={
            "base_url": "http://127.0.0.1:9100/neuromorpho/",
            "schedule": "0 0 * * 0",
            "expected": "0-",
        },
        modeldb={"region_key": "*"},
        cors={"origins": ["https://Example.org/"], "methods": ["get"]},
    )
    assert settings.host == "::1"
    assert settings.effective_public_url == "https://example.org/ammon"
    assert settings.log_level == "DEBUG"
    assert settings.data_dir == tmp_path / "x"
    assert settings.neuromorpho.base_url == "http://127.0.0.1:9100/neuromorpho"
    assert settings.neuromorpho.schedule == "0 0 * * sun"
    assert settings.neuromorpho.expected == Expected(0, None)
    assert settings.modeldb.region_key == ""
    assert settings.cors.origins == ("https://example.org",)
    assert settings.cors.methods == ("GET",)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("ammon.example.org", "http://ammon.example.org:80"),
    ],
)
def test_the_public_url_follows_from_host_and_port(host: str, url: str) -> None:
    assert Settings(host=host, port=80).effective_public_url == url


def test_settings_are_frozen_and_strict_about_names() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.port = 1
    with pytest.raises(ValidationError):
        Settings(prot=1)
    with pytest.raises(ValidationError):
        NeuroMorphoSettings(brain_region=())


def test_an_item_cannot_be_demanded_and_forbidden() -> None:
    with pytest.raises(ValidationError, match="axon, soma cannot be both"):
        Allowed(allowed=("Axon", "Soma"), not_allowed=("soma", "axon"))


def test_a_password_is_not_shown_by_a_representation_or_an_error() -> None:
    settings = Settings(elasticsearch={"url": "http://user:secret@host"})
    assert "secret" not in repr(settings)
    assert settings.elasticsearch.url == "http://user:secret@host"
    with pytest.raises(ValidationError) as refused:
        Settings(elasticsearch={"url": "http://user:se/cret@host"})
    assert "cret" not in str(refused.value)


def test_the_sections_are_those_of_the_sources() -> None:
    assert SOURCES == ("neuromorpho", "hippocampome", "modeldb", "internal")
    assert Settings().source("modeldb") is not None
    with pytest.raises(KeyError):
        Settings().source("port")


def test_every_key_says_what_it_means_and_allows() -> None:
    for key in KEYS.values():
        assert len(key.meaning) > 5, key.name
        assert key.rule.allowed, key.name


def test_environment_names_follow_the_rule() -> None:
    for name, key in KEYS.items():
        if name != "elasticsearch.url":
            assert key.variables == (f"AMMON_{name.replace('.', '_').upper()}",)
    assert KEYS["elasticsearch.url"].variables == ("ELASTICSEARCH_URL", "ELASTIC_SEARCH_URL")


def test_no_two_keys_share_a_name_in_the_environment() -> None:
    names = [name for key in KEYS.values() for name in key.variables]
    assert len(set(names)) == len(names) == len(VARIABLES)
    assert {CONFIG_DIR, ENABLED_SOURCES}.isdisjoint(names)


@pytest.mark.parametrize("group", GROUPS)
def test_the_documentation_has_the_table_of_every_key(group: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    # `python -m config.reference` makes the tables anew.
    assert table(group) in page
    assert filled(page) == page


def test_every_key_stands_in_one_table() -> None:
    assert sorted(key.name for group in GROUPS for key in keys_of(group)) == sorted(KEYS)


def shipped_lines(group: str) -> dict[str, tuple[str, bool, str]]:
    """Key -> (its line without `# `, whether it is commented out, the line above) of a shipped file."""
    lines = (PROJECT_ROOT / "config" / f"{group}.toml").read_text(encoding="utf-8").splitlines()
    found = {}
    for above, line in zip(["", *lines], lines, strict=False):
        if match := re.fullmatch(r"(# )?(([\w.]+) = .+)", line):
            found[match[3]] = (match[2], match[1] is not None, above)
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_the_shipped_file_names_every_key_with_its_default(group: str) -> None:
    lines = shipped_lines(group)
    keys = {key.name.removeprefix(f"{group}."): key for key in keys_of(group)}
    assert sorted(lines) == sorted(keys)
    for name, (line, commented, above) in lines.items():
        assert above.startswith("#"), f"{name} is not explained"
        key = keys[name]
        if commented and key.rule.default is None:  # what an operator has changed is the operator's
            assert leaf(tomllib.loads(line), name) == plain(key.info.get_default()), name


def leaf(value: Any, name: str) -> Any:
    for part in name.split("."):
        value = value[part]
    return value


def plain(value: Any) -> Any:
    """A default as TOML has it."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path | Expected) else value


def test_the_shipped_files_with_every_key_uncommented_are_allowed(tmp_path: Path) -> None:
    for group in GROUPS:
        text = "\n".join(line for line, _, _ in shipped_lines(group).values())
        (tmp_path / f"{group}.toml").write_text(text, encoding="utf-8")
    loaded = load({CONFIG_DIR: str(tmp_path)})
    assert {origin.rpartition("/")[2] for origin in loaded.origins.values()} == set(FILES)


@pytest.mark.parametrize("text", ["1.2.0", "1.2.0\n", "v0.1.0-3-gabcdef\n"])
def test_the_version_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "VERSION").write_text(text, encoding="utf-8")
    assert read_version(tmp_path) == text.strip()


@pytest.mark.parametrize("text", ["", " \n", "1.0 2.0", "1\n2", "\x00", "(1)"])
def test_no_version_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "VERSION").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="one version such as"):
        read_version(tmp_path)


def test_the_shipped_version_is_one() -> None:
    assert re.match(r"\d+\.\d+", read_version())
