"""The background refresher: the first round, the next ones, and only one of it at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helpers.errors import UpstreamUnavailable
from helpers.state import SQLiteState
from services import refresher as module
from services.refresh import Expectation
from services.refresher import NOBODY, Refresher, Schedules
from tests.fakes import Hub, fake, make_hub, raws, until

NEW_YEAR = "0 0 1 1 *"


def made(hub: Hub, **crontabs: str) -> Refresher:
    schedules = Schedules(crontabs, "UTC")
    return Refresher(hub.refreshes, hub.statuses, hub.storage, hub.state, schedules)


@contextmanager
def working(refresher: Refresher) -> Iterator[Future[None]]:
    """Run it in a thread; it must end soon after `stop`."""
    ended: Future[None] = Future()

    def work() -> None:
        try:
            refresher.run()
        except BaseException as error:
            ended.set_exception(error)
            raise
        ended.set_result(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield ended
    finally:
        refresher.stop()
        thread.join(5)
        assert not thread.is_alive(), "it did not end"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.03)


def instant(text: str | None) -> datetime:
    assert text is not None
    return datetime.fromisoformat(text)


class TestFirstRound:
    def test_refreshes_every_source(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", raws(3)), fake("internal", raws(2)))
        with working(made(hub)) as ended:
            until(lambda: set(hub.storage.released()) == {"neuromorpho", "internal"})
            assert not ended.done(), "it waits for the next round"
        assert len(hub.ids()) == 5

    def test_shows_when_each_source_is_next(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", raws(3)), fake("internal", raws(2)))
        with working(made(hub, neuromorpho=NEW_YEAR)):
            until(lambda: hub.statuses.get("neuromorpho").next_refresh)
            next_year = datetime.now(UTC).year + 1
            status = hub.statuses.get("neuromorpho")
            assert (status.next_refresh, status.state) == (f"{next_year}-01-01T00:00:00Z", "released")
            until(lambda: hub.statuses.get("internal").state == "released")
            assert hub.statuses.get("internal").next_refresh is None

    def test_counts_the_schedule_in_its_time_zone(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", raws(1)))
        schedules = Schedules({"neuromorpho": NEW_YEAR}, "Asia/Tokyo")
        refresher = Refresher(hub.refreshes, hub.statuses, hub.storage, hub.state, schedules)
        with working(refresher):
            until(lambda: hub.statuses.get("neuromorpho").next_refresh)
            assert (hub.statuses.get("neuromorpho").next_refresh or "").endswith("-12-31T15:00:00Z")

    def test_one_source_that_fails_does_not_stop_the_others(self, tmp_path: Path) -> None:
        hub = make_hub(
            tmp_path, fake("neuromorpho", [UpstreamUnavailable("down")]), fake("internal", raws(2))
        )
        with working(made(hub)):
            until(lambda: hub.statuses.get("neuromorpho").state == "failed")
            until(lambda: "internal" in hub.storage.released())

    def test_waits_for_a_refresh_by_hand(self, tmp_path: Path, log_lines: list[str]) -> None:
        source = fake("neuromorpho", raws(3))
        hub = make_hub(tmp_path, source)
        with ExitStack() as by_hand:
            by_hand.enter_context(SQLiteState(tmp_path / "state.sqlite").lease("refresh", "flask refresh"))
            with working(made(hub)):
                until(lambda: any("waits: held by flask refresh" in line for line in log_lines))
                assert source.fetches == 0
                by_hand.close()
                until(lambda: hub.statuses.get("neuromorpho").state == "released")


class TestRetry:
    def test_comes_a_minute_after_the_first_failure(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", [UpstreamUnavailable("down")]))
        with working(made(hub, neuromorpho=NEW_YEAR)):
            until(lambda: hub.statuses.get("neuromorpho").next_refresh)
            pause = instant(hub.statuses.get("neuromorpho").next_refresh) - datetime.now(UTC)
            assert timedelta(seconds=50) < pause <= timedelta(seconds=60)

    def test_comes_until_the_source_answers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "RETRY_FIRST_S", 0.02)
        source = fake("neuromorpho", [])

        def at_first_down() -> None:
            if source.fetches < 3:
                raise UpstreamUnavailable("down")

        source.steps = [at_first_down, *raws(3)]
        hub = make_hub(tmp_path, source)
        with working(made(hub)):
            until(lambda: hub.statuses.get("neuromorpho").state == "released")
        assert (source.fetches, len(hub.ids())) == (3, 3)

    def test_pauses_double_up_to_an_hour(self, tmp_path: Path) -> None:
        hub = make_hub(tmp_path, fake("neuromorpho", [UpstreamUnavailable("down")]))
        refresher = made(hub)
        pauses = []
        with working(refresher):
            until(lambda: hub.statuses.get("neuromorpho").next_refresh)
            for _ in range(8):
                refresher._refresh(["neuromorpho"])
                at = instant(hub.statuses.get("neuromorpho").next_refresh)
                pauses.append(round((at - datetime.now(UTC)).total_seconds() / 10) * 10)
        assert pauses == [120, 240, 480, 960, 1920, 3600, 3600, 3600]

    def test_does_not_come_for_what_is_held(self, tmp_path: Path) -> None:
        given = {"neuromorpho": Expectation(5)}
        hub = make_hub(tmp_path, fake("neuromorpho", raws(1)), expectations=given)
        with working(made(hub, neuromorpho=NEW_YEAR)):
            until(lambda: hub.statuses.get("neuromorpho").next_refresh)
            status = hub.statuses.get("neuromorpho")
            assert status.state == "held" and (status.next_refresh or "").endswith("-01-01T00:00:00Z")


class TestOnlyOne:
    def test_of_two_works_and_the_other_takes_over(self, tmp_path: Path) -> None:
        sources = [fake("neuromorpho", raws(3)), fake("neuromorpho", raws(3))]
        hubs = [make_hub(tmp_path, source) for source in sources]
        refreshers = [made(hub) for hub in hubs]
        with ExitStack() as stack:
            for refresher in refreshers:
                stack.enter_context(working(refresher))
            until(lambda: "neuromorpho" in hubs[0].storage.released())
            until(lambda: hubs[0].statuses.get("neuromorpho").state == "released")
            first = next(place for place, source in enumerate(sources) if source.fetches)
            assert sorted(source.fetches for source in sources) == [0, 1]
            refreshers[first].stop()
            until(lambda: sources[1 - first].fetches == 1)
        assert [source.fetches for source in sources] == [1, 1]

    def test_that_never_got_its_turn_ends_too(self, tmp_path: Path) -> None:
        source = fake("neuromorpho", raws(3))
        hub = make_hub(tmp_path, source)
        with (
            SQLiteState(tmp_path / "state.sqlite").lease("refresher", "another"),
            working(made(hub)) as ended,
        ):
            assert not ended.done()
        assert source.fetches == 0


class TestNobody:
    DOWN = (UpstreamUnavailable("down"),)

    def test_is_said_in_one_line_that_names_the_demo(self, tmp_path: Path, log_lines: list[str]) -> None:
        hub = make_hub(
            tmp_path, fake("neuromorpho", self.DOWN), fake("modeldb", self.DOWN), fake("internal", raws(2))
        )
        with working(made(hub)):
            until(lambda: any(NOBODY in line for line in log_lines))
            assert set(hub.storage.released()) == {"internal"}, "the example records are served"
        said = [line for line in log_lines if "make demo" in line]
        assert len(said) == 1 and said[0].startswith("WARNING") and "\n" not in said[0]

    def test_is_said_of_sources_that_never_answer_before_they_have_failed(
        self, tmp_path: Path, log_lines: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PATIENCE_S", 0.0)
        monkeypatch.setattr(module, "CHECK_S", 0.02)
        silence = threading.Event()
        silent = fake("neuromorpho", [lambda: silence.wait(5) and None, UpstreamUnavailable("down")])
        hub = make_hub(tmp_path, silent, fake("internal", raws(2)))
        with working(made(hub)):
            until(lambda: any(NOBODY in line for line in log_lines))
            assert hub.statuses.get("neuromorpho").state == "fetching"
            silence.set()
            until(lambda: hub.statuses.get("neuromorpho").state == "failed")
        assert len([line for line in log_lines if "make demo" in line]) == 1

    @pytest.mark.parametrize("case", ["one source answers", "something was released before"])
    def test_is_not_said_where(self, tmp_path: Path, log_lines: list[str], case: str) -> None:
        if case == "something was released before":
            make_hub(tmp_path, fake("neuromorpho", raws(2))).one("neuromorpho")
        other = raws(1) if case == "one source answers" else self.DOWN
        hub = make_hub(
            tmp_path, fake("neuromorpho", self.DOWN), fake("modeldb", other), fake("internal", raws(1))
        )
        with working(made(hub)):
            until(lambda: hub.statuses.get("modeldb").state in ("released", "failed"))
            until(lambda: hub.statuses.get("internal").state == "released")
        assert not any("make demo" in line for line in log_lines)
