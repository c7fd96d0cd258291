"""`flask --app app ...`: what each command prints, how it ends, and that wrong calls say what is allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from app import create_app
from config.values import Expected
from helpers.example_upstream import ExampleUpstream
from helpers.state import SQLiteState
from tests.app import SOURCES, Outage, With, all_items, settings_for

Command = Callable[..., Result]


@pytest.fixture
def flask(hub: Flask) -> Command:
    """`flask --app app`, before the refreshed hub."""
    return lambda *arguments: hub.test_cli_runner().invoke(args=list(arguments))


@pytest.fixture
def own(tmp_path: Path, own_upstream: ExampleUpstream) -> Flask:
    """An application of its own, nothing released yet."""
    return create_app(settings_for(tmp_path, own_upstream))


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=list(arguments))


def assert_no_traceback(result: Result) -> None:
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit | None)


@pytest.mark.parametrize("command", ["refresh", "search", "sources", "config", "version", "refresher"])
def test_every_command_has_help(flask: Command, command: str) -> None:
    result = flask(command, "--help")
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.output
    described = result.output.split("\n\n")[1].strip()
    assert described.endswith(".")
    listed = flask("--help")
    assert f"  {command} " in listed.output


@pytest.mark.parametrize("command", ["search", "sources", "refresh", "config", "version"])
def test_an_unknown_option_is_named(flask: Command, command: str) -> None:
    result = flask(command, "--colour")
    assert result.exit_code == 2
    assert "--colour" in result.output


def test_version(flask: Command) -> None:
    result = flask("version")
    assert result.exit_code == 0
    assert result.output.startswith((Path(__file__).parents[2] / "VERSION").read_text().strip())


# search


def test_search_prints_a_line_for_each_record(flask: Command) -> None:
    result = flask("search", "granule", "example", "--type", "morphology", "--filter", "species=rat")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert result.stderr == f"{len(lines)} records\n"
    assert all(line.split()[1] == "morphology" for line in lines)
    assert "internal_morphology-EX-GC-01" in [line.split()[0] for line in lines]


def test_search_prints_json_lines(flask: Command, hub: Flask) -> None:
    result = flask("search", "--index", "model", "--json", "--hits", "100")
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == all_items(hub.test_client(), "model")


def test_search_takes_filters_repeatedly(flask: Command) -> None:
    options = ("--filter", "species=human", "--filter", "species=monkey", "--sort", "-name")
    result = flask("search", *options)
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert names == ["neuromorpho-5019", "neuromorpho-5015", "neuromorpho-5014"]


def test_words_of_the_shell_never_fail(flask: Command) -> None:
    for words in (['"', "CA1:SP"], ["|"], ["--", "-x", "(("], ["🧠"]):
        result = flask("search", *words)
        assert result.exit_code == 0, words


BAD_SEARCHES = {
    "an unknown filter": (["--filter", "specis=rat"], ["specis", "species"]),
    "a filter without a value": (["--filter", "species"], ["species"]),
    "an unknown type": (["--type", "cell"], ["cell", "morphology"]),
    "an unknown index": (["--index", "data"], ["data", "dataset", "model"]),
    "no hits": (["--hits", "0"], ["0", "10000"]),
    "hits of letters": (["--hits", "x"], ["x"]),
    "an unknown order": (["--sort", "colour"], ["colour", "name"]),
    "long words": (["x" * 1_001], ["1001", "1000"]),
    "two types by filter": (["--filter", "data_type=morphology", "--filter", "data_type=x"], ["data_type"]),
}


@pytest.mark.parametrize(("options", "named"), BAD_SEARCHES.values(), ids=BAD_SEARCHES.keys())
def test_a_bad_search_says_what_is_allowed(flask: Command, options: list[str], named: list[str]) -> None:
    result = flask("search", *options)
    assert result.exit_code in (1, 2)
    assert_no_traceback(result)
    for text in named:
        assert text in result.stderr


def test_an_outage_is_an_error_of_a_search(tmp_path: Path, upstream: ExampleUpstream) -> None:
    app = create_app(settings_for(tmp_path, upstream), With(Outage()))
    for command in (["search", "x"], ["sources"], ["refresh", "internal"]):
        result = run(app, *command)
        assert result.exit_code == 1, command
        assert "the engine is starting" in result.output
        assert_no_traceback(result)


# sources


def test_sources_has_a_line_for_each(flask: Command) -> None:
    lines = flask("sources").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[key, "released"] for key in SOURCES]


def test_sources_as_json_is_the_answer_of_the_api(flask: Command, hub: Flask) -> None:
    lines = flask("sources", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == hub.test_client().get("/sources").get_json()


def test_quarantine_of_an_unknown_source_is_an_error(flask: Command) -> None:
    result = flask("sources", "--quarantine", "nothing")
    assert result.exit_code == 1
    assert_no_traceback(result)
    assert "nothing" in result.stderr
    assert "neuromorpho" in result.stderr


# config


def test_config_tells_values_and_where_they_come_from(
    flask: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMMON_PORT", "8123")
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://elastic:topsecret@127.0.0.1:9200")
    result = flask("config")
    assert result.exit_code == 0
    assert "port = 8123  # environment AMMON_PORT" in result.stdout
    assert "hits" not in result.stdout
    assert "neuromorpho.brain_regions = " in result.stdout
    assert "# default" in result.stdout
    assert "topsecret" not in result.output


# refresh


def test_refresh_tells_what_it_released(own: Flask) -> None:
    result = run(own, "refresh", "internal", "modeldb")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert sorted(line[:2] for line in lines) == [["internal", "released"], ["modeldb", "released"]]
    assert own.test_client().get("/search/dataset").get_json()["incomplete"] == [
        "neuromorpho",
        "hippocampome",
    ]


def test_refresh_of_an_unknown_source_is_refused(own: Flask) -> None:
    result = run(own, "refresh", "modeldb", "neuromorph")
    assert result.exit_code == 2
    assert "neuromorph" in result.stderr
    for key in SOURCES:
        assert key in result.stderr
    assert own.test_client().get("/search/model").get_json()["total"] == 0


def test_a_refresh_that_fails_ends_with_1_after_all_others(own: Flask, own_upstream: ExampleUpstream) -> None:
    own_upstream.fault("neuromorpho", "down")
    result = run(own, "refresh")
    assert result.exit_code == 1
    assert_no_traceback(result)
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [["neuromorpho", "failed"]]
    assert {line.split()[0] for line in result.stdout.splitlines()} == {"hippocampome", "modeldb", "internal"}


def test_a_held_refresh_is_released_by_accept(own: Flask, own_upstream: ExampleUpstream) -> None:
    assert run(own, "refresh", "neuromorpho").exit_code == 0
    own_upstream.fault("neuromorpho", "shrink:40")
    held = run(own, "refresh", "neuromorpho")
    assert held.exit_code == 1
    assert "--accept" in held.stderr
    client = own.test_client()
    assert client.get("/search/dataset").get_json()["total"] == 30
    asked = len(own_upstream.requests)
    accepted = run(own, "refresh", "neuromorpho", "--accept")
    assert accepted.exit_code == 0
    assert len(own_upstream.requests) == asked, "what was held is released without fetching it again"
    assert client.get("/search/dataset").get_json()["total"] == 12
    assert client.get("/records/dataset/neuromorpho-301").get_json()["_release"]["number"] == 2
    source = client.get("/sources").get_json()[0]
    assert (source["state"], source["error"], source["counts"]["released"]) == ("released", None, 12)


def test_accept_releases_a_fresh_result_whatever_it_yields(
    tmp_path: Path, own_upstream: ExampleUpstream
) -> None:
    expected = {"modeldb": Expected(1_000)}
    app = create_app(settings_for(tmp_path, own_upstream, expected=expected))
    assert run(app, "refresh", "modeldb", "--accept").exit_code == 0
    assert app.test_client().get("/search/model").get_json()["total"] == 15


def test_refresh_says_who_holds_the_lease(tmp_path: Path, own: Flask) -> None:
    state = SQLiteState(tmp_path / "state.sqlite")
    holder = state.acquire("refresh", "a refresh of the tests")
    result = run(own, "refresh")
    assert result.exit_code == 1
    assert_no_traceback(result)
    assert "a refresh of the tests" in result.stderr
    assert f"process {holder.pid}" in result.stderr
    state.release("refresh", holder)
    assert run(own, "refresh", "internal").exit_code == 0


def test_a_second_refresh_changes_nothing_that_is_shown(own: Flask) -> None:
    assert run(own, "refresh").exit_code == 0
    client = own.test_client()
    before = {index: all_items(client, index) for index in ("dataset", "model")}
    assert run(own, "refresh").exit_code == 0
    assert {index: all_items(client, index) for index in ("dataset", "model")} == before


def test_an_unusable_data_folder_is_a_clear_error(tmp_path: Path, upstream: ExampleUpstream) -> None:
    (tmp_path / "a-file").write_text("not a folder")
    app = create_app(settings_for(tmp_path / "a-file" / "var", upstream))
    result = run(app, "refresh")
    assert result.exit_code == 1
    assert_no_traceback(result)
    assert "a-file" in result.stderr
