"""The layers of the settings: which wins, where a value came from, and what is said of wrong ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from config.keys import KEYS
from config.loading import ConfigError, Loaded, describe, load
from config.settings import Settings

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A project folder with these files in `config/`: `write(ammon="port = 1")`."""

    def written(**files: str) -> Path:
        (tmp_path / "config").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "config" / f"{name}.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return written


def problems(root: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(environ or {}, root)
    assert str(refused.value).splitlines() == list(refused.value.problems)
    return list(refused.value.problems)


def shown_rows(loaded: Loaded) -> dict[str, tuple[str, str]]:
    return {key: (value, origin) for key, value, origin in describe(loaded)}


def test_without_anything_set_every_key_has_its_default(tmp_path: Path) -> None:
    loaded = load({}, tmp_path)
    assert set(loaded.origins) == set(KEYS)
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.settings == Settings(
        data_dir=tmp_path / "var", internal={"folder": tmp_path / "data" / "internal"}
    )


def test_later_layers_win_and_each_value_keeps_its_origin(write: Write) -> None:
    root = write(
        ammon="port = 1\nthreads = 16\n[neuromorpho]\nrate = 1\nconcurrency = 3\ntimeout_s = 7",
        neuromorpho="rate = 2\nconcurrency = 4",
    )
    loaded = load({"AMMON_PORT": "3", "AMMON_NEUROMORPHO_RATE": "3.5"}, root)
    section = loaded.settings.neuromorpho
    assert (loaded.settings.port, loaded.settings.threads) == (3, 16)
    assert (section.rate, section.concurrency, section.timeout_s) == (3.5, 4, 7.0)
    assert loaded.origins["port"] == "environment AMMON_PORT"
    assert loaded.origins["threads"] == "config/ammon.toml"
    assert loaded.origins["neuromorpho.rate"] == "environment AMMON_NEUROMORPHO_RATE"
    assert loaded.origins["neuromorpho.concurrency"] == "config/neuromorpho.toml"
    assert loaded.origins["neuromorpho.timeout_s"] == "config/ammon.toml"
    assert loaded.origins["neuromorpho.retries"] == "default"


def test_tables_are_merged_key_by_key(write: Write) -> None:
    root = write(
        ammon='[neuromorpho.domains]\nallowed = ["Axon"]\nnot_allowed = ["Soma"]',
        neuromorpho='domains.allowed = ["Dendrites"]',
        hippocampome='[layers]\nCA1 = "1???"',
    )
    settings = load({"AMMON_HIPPOCAMPOME_LAYERS_EC": "0?????"}, root).settings
    assert settings.neuromorpho.domains.allowed == ("Dendrites",)
    assert settings.neuromorpho.domains.not_allowed == ("Soma",)
    assert settings.hippocampome.layers.patterns() == {
        "DG": "????", "CA3": "?????", "CA2": "????", "CA1": "1???", "SUB": "???", "EC": "0?????",
    }  # fmt: skip


def test_a_file_with_a_byte_order_mark_is_read(write: Write) -> None:
    assert load({}, write(ammon="\ufeffport = 5")).settings.port == 5


def test_another_folder_for_the_files(write: Write, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "ammon.toml").write_text("port = 2\ndata_dir = 'd'", encoding="utf-8")
    root = write(ammon="port = 1")
    for named in ("elsewhere", str(other)):
        loaded = load({"AMMON_CONFIG_DIR": named}, root)
        assert loaded.settings.port == 2
        assert loaded.origins["port"] == "elsewhere/ammon.toml"
        assert loaded.settings.data_dir == root / "d"
    assert load({"AMMON_CONFIG_DIR": ""}, root).settings.port == 1


def test_a_folder_outside_the_project_is_named_in_full(write: Write, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    write(ammon="port = 1")
    folder = tmp_path / "config"
    loaded = load({"AMMON_CONFIG_DIR": str(folder)}, tmp_path / "project")
    assert loaded.origins["port"] == str(folder / "ammon.toml")


@pytest.mark.parametrize("folder", ["missing", "VERSION", "x" * 300, "a" + "/b" * 3000])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "VERSION").write_text("1", encoding="utf-8")
    [line] = problems(tmp_path, {"AMMON_CONFIG_DIR": folder})
    assert line.startswith(f"environment: AMMON_CONFIG_DIR = '{folder[:50]}")
    assert line.endswith("the path of an existing folder is allowed")


@pytest.mark.parametrize(
    ("text", "value"),
    [(text, True) for text in ("1", "true", "YES", "on")]
    + [(text, False) for text in ("0", "False", "no", "off")],
)
def test_switches_in_the_environment(tmp_path: Path, text: str, value: bool) -> None:
    settings = load({"AMMON_ALLOW_PRIVATE_UPSTREAMS": text, "AMMON_SWAGGER": text}, tmp_path).settings
    assert settings.allow_private_upstreams is value
    assert settings.swagger is value


def test_the_names_that_other_tools_rely_on(tmp_path: Path) -> None:
    settings = load(
        {
            "AMMON_HOST": "0.0.0.0",
            "AMMON_PORT": "8080",
            "AMMON_DATA_DIR": "/data",
            "AMMON_STORAGE": "elasticsearch",
            "ELASTIC_SEARCH_URL": "http://search:9200",
            "AMMON_SOURCES": "modeldb, internal",
            "AMMON_NEUROMORPHO_BASE_URL": "http://127.0.0.1:9100/neuromorpho",
            "AMMON_HIPPOCAMPOME_BASE_URL": "http://127.0.0.1:9100/hippocampome",
            "AMMON_MODELDB_BASE_URL": "http://127.0.0.1:9100/modeldb",
            "AMMON_NEUROMORPHO_RATE": "0",
            "AMMON_NEUROMORPHO_EXPECTED": "0-",
            "AMMON_MODELDB_EXPECTED": "10-20",
            "AMMON_INTERNAL_FOLDER": "lab",
            "AMMON_ALLOW_PRIVATE_UPSTREAMS": "on",
            "PATH": "/bin",
        },
        tmp_path,
    ).settings
    assert (settings.host, settings.port, settings.storage) == ("0.0.0.0", 8080, "elasticsearch")
    assert settings.data_dir == Path("/data")
    assert settings.internal.folder == tmp_path / "lab"
    assert settings.elasticsearch.url == "http://search:9200"
    assert settings.neuromorpho.base_url.endswith("/neuromorpho")
    assert settings.hippocampome.base_url.endswith("/hippocampome")
    assert settings.modeldb.base_url.endswith("/modeldb")
    assert settings.neuromorpho.rate == 0
    assert str(settings.neuromorpho.expected) == "0-"
    assert str(settings.modeldb.expected) == "10-20"
    enabled = [
        key for key in ("neuromorpho", "hippocampome", "modeldb", "internal") if settings.source(key).enabled
    ]
    assert enabled == ["modeldb", "internal"]


def test_lists_in_the_environment(tmp_path: Path) -> None:
    settings = load(
        {
            "AMMON_NEUROMORPHO_BRAIN_REGIONS": "",
            "AMMON_NEUROMORPHO_DOMAINS_ALLOWED": " Dendrites , No Axon,",
            "AMMON_CORS_ORIGINS": "https://a.org,https://b.org",
        },
        tmp_path,
    ).settings
    assert settings.neuromorpho.brain_regions == ()
    assert settings.neuromorpho.domains.allowed == ("Dendrites", "No Axon")
    assert settings.cors.origins == ("https://a.org", "https://b.org")


def test_an_empty_variable_of_another_kind_is_not_set(write: Write) -> None:
    root = write(ammon="port = 5")
    loaded = load({"AMMON_PORT": " ", "ELASTICSEARCH_URL": "", "ELASTIC_SEARCH_URL": "http://old"}, root)
    assert loaded.settings.port == 5
    assert loaded.origins["port"] == "config/ammon.toml"
    assert loaded.origins["elasticsearch.url"] == "environment ELASTIC_SEARCH_URL"


def test_the_newer_name_of_the_elasticsearch_url_wins(tmp_path: Path) -> None:
    loaded = load({"ELASTICSEARCH_URL": "http://new", "ELASTIC_SEARCH_URL": "http://old"}, tmp_path)
    assert loaded.settings.elasticsearch.url == "http://new"


def test_a_source_of_its_own_wins_over_the_list_of_sources(write: Write) -> None:
    root = write(internal="enabled = true")
    loaded = load({"AMMON_SOURCES": "", "AMMON_MODELDB_ENABLED": "1"}, root)
    assert loaded.settings.modeldb.enabled
    assert not loaded.settings.internal.enabled
    assert loaded.origins["internal.enabled"] == "environment AMMON_SOURCES"
    assert loaded.origins["modeldb.enabled"] == "environment AMMON_MODELDB_ENABLED"


def test_the_home_folder(tmp_path: Path) -> None:
    loaded = load({"AMMON_DATA_DIR": "~/ammon"}, tmp_path)
    assert loaded.settings.data_dir == Path.home() / "ammon"


@pytest.mark.parametrize(
    ("files", "line"),
    [
        pytest.param(
            {"neuromorpho": "rate = 'fast'"},
            "config/neuromorpho.toml: rate = 'fast': a number of at least 0 is allowed",
            id="wrong value",
        ),
        pytest.param(
            {"ammon": "port = true"},
            "config/ammon.toml: port = true: a whole number from 1 to 65535 is allowed",
            id="wrong type",
        ),
        pytest.param(
            {"ammon": "[modeldb]\nrate = -1"},
            "config/ammon.toml: modeldb.rate = -1: a number of at least 0 is allowed",
            id="a source's key among the hub's",
        ),
        pytest.param(
            {"ammon": "cors = 'all'"},
            "config/ammon.toml: cors = 'all': a table with origins, methods, headers is allowed",
            id="a value instead of a table",
        ),
        pytest.param(
            {"ammon": "[port]\nnumber = 1"},
            "config/ammon.toml: port = {number = 1}: a whole number from 1 to 65535 is allowed",
            id="a table instead of a value",
        ),
        pytest.param(
            {"neuromorpho": "domains.forbidden = ['Axon']"},
            "config/neuromorpho.toml: domains.forbidden = ['Axon']: no such key; the nearest is "
            "domains.allowed, allowed are allowed, not_allowed",
            id="unknown key in a table",
        ),
        pytest.param(
            {"neuromorpho": "schedule = '0 25 * * *'"},
            "config/neuromorpho.toml: schedule = '0 25 * * *': a crontab text of five fields "
            "(minute, hour, day of month, month, day of week) or never is allowed (hour 25 is outside 0-23)",
            id="our own reason",
        ),
        pytest.param(
            {"internal": "expected = 2024-01-01"},
            "config/internal.toml: expected = '2024-01-01': MIN-MAX or MIN- such as 5000-400000 or 5000- is "
            "allowed (it is neither MIN-MAX nor MIN-)",
            id="a date",
        ),
        pytest.param(
            {"modeldb": "rate = 1\nrate = = 2"},
            "config/modeldb.toml: no TOML: Invalid value (at line 2, column 8)",
            id="syntax",
        ),
        pytest.param(
            {"ammon": f"port = {'9' * 5000}"},
            "config/ammon.toml: no TOML: Exceeds the limit (4300 digits) for integer string conversion: "
            "value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit",
            id="a number of very many digits",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_told_in_one_line(write: Write, files: dict[str, str], line: str) -> None:
    assert problems(write(**files)) == [line]


@pytest.mark.parametrize(
    ("file", "text", "seen", "nearest"),
    [
        pytest.param(
            "neuromorpho",
            "timout_s = 5",
            "timout_s = 5",
            "timeout_s, allowed are enabled,",
            id="a mistyped key",
        ),
        pytest.param(
            "ammon", "prot = 5", "prot = 5", "port, allowed are host,", id="a mistyped key of the hub"
        ),
        pytest.param("ammon", "rate = 5", "rate = 5", "modeldb.rate,", id="a source's key without its table"),
        pytest.param(
            "modeldb",
            "[modeldb]\nrate = 5",
            "modeldb.rate = 5",
            "rate, allowed are enabled,",
            id="a table too much",
        ),
        pytest.param("ammon", "[neuromorfo]", "neuromorfo = {}", "neuromorpho.", id="an empty table"),
        pytest.param("ammon", "'cors.origins' = []", "'cors.origins' = []", "cors.", id="a quoted dot"),
        pytest.param("ammon", "api_key = 'x'", "api_key = ***", "", id="a secret"),
        pytest.param("ammon", '"a\\nb" = 1', "'a\\nb' = 1", "", id="a line break in a key"),
        pytest.param("ammon", f"{'a' * 50_000} = 1", f"{'a' * 100} = 1", "", id="a very long key"),
    ],
)
def test_an_unknown_key_names_the_nearest(
    write: Write, file: str, text: str, seen: str, nearest: str
) -> None:
    [line] = problems(write(**{file: text}))
    assert line.startswith(f"config/{file}.toml: {seen}: no such key; the nearest is {nearest}")


def test_an_unknown_file_names_the_nearest(write: Write) -> None:
    assert problems(write(neuromorfo="rate = 1")) == [
        "config/neuromorfo.toml: no such configuration file; the nearest is neuromorpho.toml, allowed are "
        "ammon.toml, neuromorpho.toml, hippocampome.toml, modeldb.toml, internal.toml"
    ]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("AMMON_PORT", "http", "environment: AMMON_PORT = 'http': a whole number from 1 to 65535 is allowed"),
        ("AMMON_PORT", "70000", "environment: AMMON_PORT = 70000: a whole number from 1 to 65535 is allowed"),
        ("AMMON_SWAGGER", "maybe", "environment: AMMON_SWAGGER = 'maybe': true or false is allowed"),
        (
            "AMMON_NEUROMORPHO_RAT",
            "1",
            "environment: AMMON_NEUROMORPHO_RAT = '1': no such variable; "
            "the nearest is AMMON_NEUROMORPHO_RATE, docs/configuration.md lists all that are allowed",
        ),
        (
            "AMMON_SOURCES",
            "neuromorpho,model_db",
            "environment: AMMON_SOURCES = 'neuromorpho,model_db': 'model_db' is no source; "
            "the nearest is modeldb, allowed are neuromorpho, hippocampome, modeldb, internal",
        ),
    ],
)
def test_what_is_wrong_in_the_environment_is_told_in_one_line(
    tmp_path: Path, name: str, text: str, line: str
) -> None:
    assert problems(tmp_path, {name: text}) == [line]


def test_everything_that_is_wrong_is_told_at_once(write: Write) -> None:
    root = write(ammon="port = 0\nprot = 1", neuromorpho="rate = 'x'\nbrain_regions = 'y'", modeldb="=")
    lines = problems(root, {"AMMON_PROT": "1", "AMMON_THREADS": "1"})
    assert [line.split(" = ")[0] for line in lines] == [
        "config/ammon.toml: prot",
        "config/modeldb.toml: no TOML: Invalid statement (at line 1, column 1)",
        "environment: AMMON_PROT",
        "config/ammon.toml: port",
        "config/neuromorpho.toml: rate",
        "config/neuromorpho.toml: brain_regions",
        "environment: AMMON_THREADS",
    ]


def test_a_wrong_value_that_a_later_layer_replaces_is_told_too(write: Write) -> None:
    [line] = problems(write(ammon="port = 0"), {"AMMON_PORT": "8000"})
    assert line.startswith("config/ammon.toml: port = 0")


def test_values_that_contradict_each_other_are_told_with_both_places(write: Write) -> None:
    root = write(neuromorpho="domains.allowed = ['Axon']\nattributes.not_allowed = ['3D']")
    environ = {"AMMON_NEUROMORPHO_DOMAINS_NOT_ALLOWED": "axon", "AMMON_NEUROMORPHO_ATTRIBUTES_ALLOWED": "3d"}
    assert problems(root, environ) == [
        "config/neuromorpho.toml: domains.allowed = ['Axon'] and environment: "
        "AMMON_NEUROMORPHO_DOMAINS_NOT_ALLOWED = ['axon']: axon cannot be both demanded and forbidden",
        "config/neuromorpho.toml: attributes.not_allowed = ['3D'] and environment: "
        "AMMON_NEUROMORPHO_ATTRIBUTES_ALLOWED = ['3d']: 3d cannot be both demanded and forbidden",
    ]


def test_a_file_that_is_no_text_is_named(write: Write) -> None:
    root = write()
    (root / "config" / "ammon.toml").write_bytes(b"port = 1\nhost = '\xff'")
    assert problems(root) == ["config/ammon.toml: no UTF-8 text (at line 2)"]


def test_a_file_that_cannot_be_read_is_named(write: Write) -> None:
    root = write()
    (root / "config" / "ammon.toml").mkdir()
    assert problems(root) == ["config/ammon.toml: cannot be read: Is a directory"]


def test_variables_of_the_tests_are_left_alone(tmp_path: Path) -> None:
    load({"AMMON_TEST_ANYTHING": "1", "ammon_port": "x", "AMMONIA": "1"}, tmp_path)


def test_describe_shows_every_key_with_its_origin(tmp_path: Path) -> None:
    rows = shown_rows(load({"AMMON_NEUROMORPHO_BRAIN_REGIONS": "CA1,CA3"}, tmp_path))
    assert list(rows) == list(KEYS)
    assert rows["neuromorpho.brain_regions"] == (
        "['CA1', 'CA3']",
        "environment AMMON_NEUROMORPHO_BRAIN_REGIONS",
    )
    assert rows["neuromorpho.expected"] == ("'5000-400000'", "default")
    assert rows["public_url"] == ("not set", "default")
    assert rows["swagger"] == ("true", "default")


def test_describe_hides_the_password(write: Write) -> None:
    root = write(ammon="elasticsearch.url = 'https://elastic:secret@search:9200/'")
    assert shown_rows(load({}, root))["elasticsearch.url"] == (
        "'https://elastic:***@search:9200'",
        "config/ammon.toml",
    )


@pytest.mark.parametrize(
    "url",
    [
        "htp://user:secret@host",
        "user:secret@host:9200",
        "http://user:se cret@host",
        "http://user:sec/ret@host",
        "http://user:secret@host:port",
        "http://:secret@host:99999",
        "http://user:a@secret@host/?x=secret",
        "http://host/?api_key=secret",
        "http://host/?api_key=secret&to=a@b.org",
        "http://user:se?cret@host/?x=secret",
    ],
)
def test_a_refused_url_does_not_tell_its_secret(tmp_path: Path, url: str) -> None:
    [line] = problems(tmp_path, {"ELASTICSEARCH_URL": url})
    assert line.startswith("environment: ELASTICSEARCH_URL = ")
    assert not any(piece in line for piece in ("secret", "cret", "ret@"))


def test_reading_the_settings_changes_nothing(tmp_path: Path) -> None:
    before = dict(os.environ)
    load({"AMMON_DATA_DIR": "new"}, tmp_path)
    assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []
