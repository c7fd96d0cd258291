"""Values as an operator reads them."""

from __future__ import annotations

import pytest

from config.shown import shown, shown_of_unknown, without_secrets


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not set"),
        (True, "true"),
        (5, "5"),
        (0.5, "0.5"),
        ("a\nb", "'a\\nb'"),
        (("a", 1), "['a', 1]"),
        ({"a": {"password": "x"}, "b": "http://u:x@h"}, "{a = {password = ***}, b = 'http://u:***@h'}"),
    ],
    ids=["none", "switch", "whole", "number", "text", "list", "table"],
)
def test_a_value_is_written_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("name", ["token", "AMMON_PASSWORD", "client_secret", "API_KEY"])
def test_the_value_of_an_unknown_secret_is_hidden(name: str) -> None:
    assert shown_of_unknown(name, "abc") == "***"
    assert shown_of_unknown("region_key", "abc") == "'abc'"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("http://user:secret@host:9200/a", "http://user:***@host:9200/a"),
        ("http://host:9200/a", "http://host:9200/a"),
        ("????", "????"),
        ("lab@example.org", "lab@example.org"),
        ("17 2 * * sun", "17 2 * * sun"),
    ],
)
def test_only_secrets_are_hidden(text: str, hidden: str) -> None:
    assert without_secrets(text) == hidden


@pytest.mark.parametrize(
    "value",
    ["x" * 100_000, "://" * 50_000, ":" * 100_000, ["@:"] * 50_000, 16**10_000],
    ids=lambda value: str(type(value)),
)
def test_a_long_value_is_cut(value: object) -> None:
    assert len(shown(value)) < 250
