"""From a source to a release: what is released, what is held back, and what stays when something fails."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers.errors import (
    HubError,
    LeaseHeld,
    NotFound,
    RefreshHeld,
    StorageUnavailable,
    UpstreamChanged,
    UpstreamUnavailable,
)
from helpers.providers.base import Raw, Unfetched
from helpers.staging import Quarantined
from helpers.state import LEASE_S, SQLiteState
from services.refresh import Expectation, all_unreachable
from services.sources import SourceStatus
from tests.fakes import fake, make_hub, raw, raws


def ids(*numbers: int) -> list[str]:
    return [f"neuromorpho-{number}" for number in numbers]


class TestRelease:
    def test_the_first_one_has_the_number_one(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", raws(3)))
        assert hub.statuses.unreleased() == ["neuromorpho"]
        assert hub.one("neuromorpho") is None
        made = hub.storage.released()["neuromorpho"]
        assert (made.number, made.total, hub.ids()) == (1, 3, ids(0, 1, 2))
        assert made.fetched_at <= made.released_at
        assert hub.statuses.unreleased() == []

    def test_each_that_changes_something_has_the_next_number(self, tmp_path: Path) -> None:
        for number, steps in enumerate([raws(3), raws(4), raws(4, species="rat"), raws(2)], start=1):
            hub = make_hub(tmp_path, fake("neuromorpho", steps))
            assert hub.one("neuromorpho") is None
            assert hub.storage.released()["neuromorpho"].number == number
        assert hub.ids() == ids(0, 1)

    def test_one_that_changes_nothing_is_no_release(self, tmp_path: Path) -> None:
        before = None
        for steps in (raws(3), raws(3)[::-1]):
            hub = make_hub(tmp_path, fake("neuromorpho", steps))
            assert hub.one("neuromorpho") is None
            assert before in (None, hub.storage.released())
            before = hub.storage.released()
        status = hub.statuses.get("neuromorpho")
        assert (status.state, status.counts["released"]) == ("released", 3)

    def test_what_is_gone_upstream_is_gone_here(self, tmp_path: Path) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(4))).one("neuromorpho")
        hub = make_hub(tmp_path, fake("neuromorpho", [raw(0), raw(2), raw(3)]))
        hub.one("neuromorpho")
        assert hub.ids() == ids(0, 2, 3)

    def test_nothing_is_left_in_the_folder(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", raws(3)))
        hub.one("neuromorpho")
        assert list((tmp_path / "staging").iterdir()) == []
        assert not (tmp_path / "held").exists() or list((tmp_path / "held").iterdir()) == []


class TestFailure:
    @pytest.mark.parametrize(
        "error",
        [
            UpstreamUnavailable("it is down"),
            UpstreamChanged("another shape"),
            HubError("something else"),
            ValueError("a fault of ours"),
            KeyError("another fault of ours"),
            OSError("the disk"),
            RecursionError("too deep"),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("at", [0, 2], ids=["at once", "in the middle"])
    def test_of_one_source_stops_no_other_and_takes_nothing_away(
        self, tmp_path: Path, error: Exception, at: int
    ) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(3))).one("neuromorpho")
        steps = raws(5)
        steps[at:at] = [error]
        hub = make_hub(tmp_path, fake("neuromorpho", steps), fake("internal", raws(2)))
        outcomes = hub.refreshes.refresh(["neuromorpho", "internal"])
        assert outcomes["internal"] is None
        assert isinstance(outcomes["neuromorpho"], HubError)
        assert str(error.args[0]) in str(outcomes["neuromorpho"])
        released = hub.storage.released()
        assert {key: (made.number, made.total) for key, made in released.items()} == {
            "neuromorpho": (1, 3),
            "internal": (1, 2),
        }
        status = hub.statuses.get("neuromorpho")
        assert (status.state, status.counts["released"], status.progress) == ("failed", 3, None)
        assert str(error.args[0]) in (status.error or "")
        assert not (tmp_path / "staging" / "neuromorpho").exists()

    def test_is_forgotten_after_the_next_success(self, tmp_path: Path) -> None:
        make_hub(tmp_path, fake("neuromorpho", [UpstreamUnavailable("down")])).one("neuromorpho")
        hub = make_hub(tmp_path, fake("neuromorpho", raws(1)))
        hub.one("neuromorpho")
        status = hub.statuses.get("neuromorpho")
        assert (status.state, status.error) == ("released", None)

    def test_keeps_the_time_of_the_last_success(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", raws(1)))
        hub.one("neuromorpho")
        before = hub.statuses.get("neuromorpho").last_success
        hub = make_hub(tmp_path, fake("neuromorpho", [UpstreamUnavailable("down")]))
        hub.one("neuromorpho")
        assert before is not None and hub.statuses.get("neuromorpho").last_success == before

    @pytest.mark.parametrize(
        ("outcomes", "all_of_them"),
        [
            ({"a": UpstreamUnavailable("x"), "internal": None}, True),
            ({"a": UpstreamUnavailable("x"), "b": None}, False),
            ({"a": UpstreamUnavailable("x"), "b": RefreshHeld("x")}, False),
            ({"internal": None}, False),
            ({}, False),
        ],
        ids=str,
    )
    def test_of_all_that_are_asked_over_the_network(self, outcomes: Any, all_of_them: bool) -> None:
        assert all_unreachable(outcomes) is all_of_them


class TestHeld:
    @pytest.mark.parametrize(
        ("minimum", "maximum", "released", "records", "objection"),
        [
            (0, None, 0, 0, None),
            (3, None, 0, 3, None),
            (3, None, 0, 2, "2 records, at least 3 are expected"),
            (0, 3, 0, 3, None),
            (0, 3, 0, 4, "4 records, at most 3 are expected"),
            (0, None, 10, 5, None),
            (0, None, 10, 4, "4 records, under half of the 10 that are released"),
            (0, None, 11, 5, "5 records, under half of the 11 that are released"),
            (0, None, 1, 0, "0 records, under half of the 1 that are released"),
        ],
    )
    def test_by_its_range_or_by_half_of_what_is_released(
        self, minimum: int, maximum: int | None, released: int, records: int, objection: str | None
    ) -> None:
        assert Expectation(minimum, maximum).objection(records, released) == objection

    @pytest.mark.parametrize(
        ("expectation", "count", "reason"),
        [
            (Expectation(5), 3, "3 records, at least 5"),
            (Expectation(0, 5), 6, "6 records, at most 5"),
            (Expectation(), 1, "1 records, under half of the 4"),
        ],
        ids=["too few", "too many", "halved"],
    )
    def test_is_shown_with_its_reason_and_released_when_accepted(
        self, tmp_path: Path, expectation: Expectation, count: int, reason: str
    ) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(4))).one("neuromorpho")
        given = {"neuromorpho": expectation}
        hub = make_hub(
            tmp_path,
            fake("neuromorpho", [*raws(count, species="rat"), raw(99, broken="no")]),
            expectations=given,
        )
        outcome = hub.one("neuromorpho")
        assert isinstance(outcome, RefreshHeld)
        assert reason in str(outcome) and "flask refresh neuromorpho --accept" in str(outcome)
        status = hub.statuses.get("neuromorpho")
        assert (status.state, status.error, status.counts["released"]) == ("held", str(outcome), 4)
        assert hub.ids() == ids(0, 1, 2, 3)

        silent = fake("neuromorpho", [AssertionError("nothing is fetched again")])
        again = make_hub(tmp_path, silent, expectations=given)  # as a process that starts later has it
        assert again.one("neuromorpho", accept=True) is None
        assert again.ids() == ids(*range(count))
        status = again.statuses.get("neuromorpho")
        assert (status.state, status.error) == ("released", None)
        assert dict(status.counts) == {
            "fetched": count + 1,
            "normalised": count,
            "quarantined": 1,
            "released": count,
        }
        assert again.statuses.quarantine("neuromorpho", 5) == [Quarantined("neuromorpho", "99", "no")]
        assert again.storage.released()["neuromorpho"].number == 2
        assert silent.fetches == 0

    def test_is_replaced_by_the_next_one_that_is_held(self, tmp_path: Path) -> None:
        given = {"neuromorpho": Expectation(5)}
        for count in (2, 3):
            hub = make_hub(tmp_path, fake("neuromorpho", raws(count)), expectations=given)
            assert isinstance(hub.one("neuromorpho"), RefreshHeld)
        assert hub.one("neuromorpho", accept=True) is None
        assert hub.ids() == ids(0, 1, 2)

    def test_is_forgotten_after_a_good_one(self, tmp_path: Path) -> None:
        given = {"neuromorpho": Expectation(2)}
        for count in (1, 3):
            make_hub(tmp_path, fake("neuromorpho", raws(count)), expectations=given).one("neuromorpho")
        hub = make_hub(tmp_path, fake("neuromorpho", raws(4)), expectations=given)
        hub.one("neuromorpho", accept=True)
        assert hub.ids() == ids(0, 1, 2, 3), "it was fetched, nothing was held any more"

    def test_stays_when_a_later_one_fails(self, tmp_path: Path) -> None:
        given = {"neuromorpho": Expectation(5)}
        make_hub(tmp_path, fake("neuromorpho", raws(2)), expectations=given).one("neuromorpho")
        hub = make_hub(tmp_path, fake("neuromorpho", [UpstreamUnavailable("down")]), expectations=given)
        hub.one("neuromorpho")
        assert hub.one("neuromorpho", accept=True) is None
        assert hub.ids() == ids(0, 1)

    def test_accepted_where_nothing_is_held_takes_whatever_comes(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", raws(2)), expectations={"neuromorpho": Expectation(5)})
        assert hub.one("neuromorpho", accept=True) is None
        assert hub.ids() == ids(0, 1)

    def test_when_the_source_has_changed_its_shape(self, tmp_path: Path) -> None:
        """Nothing of what came could be read: that is no release, though all old records would stay."""
        make_hub(tmp_path, fake("neuromorpho", raws(10))).one("neuromorpho")
        broken = [raw(number, broken="neuron_name is None") for number in range(10)]
        hub = make_hub(tmp_path, fake("neuromorpho", broken))
        assert isinstance(hub.one("neuromorpho"), RefreshHeld)
        assert hub.statuses.get("neuromorpho").state == "held"
        assert hub.ids() == ids(*range(10))


class TestQuarantine:
    ODD: tuple[tuple[Any, str], ...] = (
        (raw(1, broken="no name"), "no name"),
        (raw(2, name=""), "name: String should have at least 1 character, got ''"),
        (raw(3, name="a\0b"), "the record holds the character U+0000"),
        (raw(4, nonsense=1), "nonsense: Extra inputs are not permitted, got '1'"),
        (raw(5, extra={"x": "y" * 2_000_000}), "at most 2,000,000 are allowed"),
        (Raw("6", None, "-"), "unexpected shape: TypeError"),
        (Raw("7", [], "-"), "unexpected shape: TypeError"),
        (raw(0, name="again"), "the id neuromorpho-0 came before"),
        (Unfetched("9", "it answered 404"), "it answered 404"),
        (Unfetched("?", "3 never came"), "3 never came"),
        (raw(10, name="x" * 100_000), "name: String should have at most 2000 characters"),
    )

    def test_names_source_id_and_reason_and_stops_nothing(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", [raw(0), *(item for item, _ in self.ODD), raw(11)]))
        assert hub.one("neuromorpho") is None
        assert hub.ids() == ids(0, 11)
        shown = hub.statuses.quarantine("neuromorpho", 100)
        assert [(one.source, one.id) for one in shown] == [("neuromorpho", item.id) for item, _ in self.ODD]
        for one, (_, reason) in zip(shown, self.ODD, strict=True):
            assert reason in one.reason and len(one.reason) < 1_000
        counts = hub.statuses.get("neuromorpho").counts
        assert dict(counts) == {"fetched": 11, "normalised": 2, "quarantined": 11, "released": 2}

    def test_is_that_of_the_last_release(self, tmp_path: Path) -> None:
        make_hub(tmp_path, fake("neuromorpho", [raw(0), raw(1, broken="first")])).one("neuromorpho")
        make_hub(tmp_path, fake("neuromorpho", [raw(1, broken="x"), ValueError("x")])).one("neuromorpho")
        hub = make_hub(tmp_path, fake("neuromorpho", []))
        assert [one.reason for one in hub.statuses.quarantine("neuromorpho", 9)] == ["first"]
        make_hub(tmp_path, fake("neuromorpho", raws(2))).one("neuromorpho")
        assert hub.statuses.quarantine("neuromorpho", 9) == []

    def test_of_an_unknown_source_is_not_found(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="'other'; there are neuromorpho"):
            make_hub(tmp_path, fake("neuromorpho", [])).statuses.quarantine("other", 1)

    @pytest.mark.parametrize(
        "now", [raw(1, broken="no name"), Unfetched("1", "404"), raw(1, name="a\0")], ids=str
    )
    def test_does_not_take_the_record_of_before(self, tmp_path: Path, now: Any) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(3, species="rat"))).one("neuromorpho")
        hub = make_hub(tmp_path, fake("neuromorpho", [raw(0), now, raw(2)]))
        assert hub.one("neuromorpho") is None
        assert hub.ids() == ids(0, 1, 2)
        species = [hub.storage.get("dataset", [one])[0].parsed()["species"] for one in hub.ids()]
        assert species == [None, "rat", None]
        counts = hub.statuses.get("neuromorpho").counts
        assert (counts["normalised"], counts["quarantined"], counts["released"]) == (2, 1, 3)

    def test_of_a_repeated_neuron_keeps_the_first_one_only(self, tmp_path: Path) -> None:
        make_hub(tmp_path, fake("neuromorpho", raws(2))).one("neuromorpho")
        steps = [raw(0, name="new"), raw(1), Unfetched("0", "it came before"), raw(0, name="newer")]
        hub = make_hub(tmp_path, fake("neuromorpho", steps))
        hub.one("neuromorpho")
        assert hub.ids() == ids(0, 1)
        assert hub.storage.get("dataset", ids(0))[0].parsed()["name"] == "new"


class TestWhileItRuns:
    def test_the_state_and_the_progress_are_shown_to_all(self, tmp_path: Path) -> None:
        seen: list[SourceStatus] = []
        other = make_hub(tmp_path, fake("neuromorpho", []))

        def look() -> None:
            seen.append(other.statuses.get("neuromorpho"))

        def later() -> None:
            time.sleep(0.31)  # progress is told every 0.3 s

        hub = make_hub(tmp_path, fake("neuromorpho", [look, *raws(3), later, raw(3), look], expected=8))
        told: list[SourceStatus] = []
        hub.one("neuromorpho", watch=told.append)
        look()
        assert [one.state for one in seen] == ["fetching", "fetching", "released"]
        assert seen[0].progress is None and seen[2].progress is None
        assert seen[1].progress == 0.5 and seen[1].counts["fetched"] == 4
        assert [one.state for one in told] == ["fetching"] * (len(told) - 1) + ["released"]

    def test_progress_is_never_over_one(self, tmp_path: Path) -> None:
        told: list[SourceStatus] = []
        make_hub(tmp_path, fake("neuromorpho", raws(5), expected=1)).one("neuromorpho", watch=told.append)
        assert max(one.progress or 0 for one in told) <= 1

    def test_a_second_one_is_refused_and_told_who_is_at_it(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", raws(1)))
        with (
            SQLiteState(tmp_path / "state.sqlite").lease("refresh", "flask refresh modeldb"),
            pytest.raises(LeaseHeld, match="held by flask refresh modeldb, process"),
        ):
            hub.one("neuromorpho")
        assert (dict(hub.storage.released()), hub.statuses.get("neuromorpho").state) == ({}, "waiting")
        assert hub.one("neuromorpho") is None

    def test_a_lease_that_was_lost_publishes_nothing(self, tmp_path: Path) -> None:
        def taken_over() -> None:
            with closing(sqlite3.connect(tmp_path / "state.sqlite")) as db, db:
                db.execute("UPDATE leases SET renewed = ?", (time.time() - LEASE_S - 1,))
            SQLiteState(tmp_path / "state.sqlite").acquire("refresh", "another")

        hub = make_hub(tmp_path, fake("neuromorpho", [*raws(3), taken_over]))
        assert isinstance(hub.one("neuromorpho"), LeaseHeld)
        assert dict(hub.storage.released()) == {}

    def test_the_state_file_must_be_usable_before_anything_is_fetched(self, tmp_path: Path) -> None:
        (tmp_path / "state.sqlite").write_bytes(b"no database" * 100)
        source = fake("neuromorpho", raws(1))
        with pytest.raises(StorageUnavailable, match=r"state\.sqlite"):
            make_hub(tmp_path, source).one("neuromorpho")
        assert source.fetches == 0
