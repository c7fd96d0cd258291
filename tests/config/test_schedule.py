"""Crontab texts: accepted means that the scheduler accepts them too and that they mean what crontab says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from apscheduler.triggers.cron import CronTrigger

from config.schedule import normalise_schedule

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)  # 1 January 2024 was a Monday


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        pytest.param("17 2 * * sun", "17 2 * * sun", id="weekday by name"),
        pytest.param("17 2 * * 0", "17 2 * * sun", id="0 is Sunday"),
        pytest.param("17 2 * * 7", "17 2 * * sun", id="7 is Sunday"),
        pytest.param("0 0 * * 1-5", "0 0 * * mon,tue,wed,thu,fri", id="1-5 are the working days"),
        pytest.param("0 0 * * FRI-SUN", "0 0 * * fri,sat,sun", id="the week may end with Sunday"),
        pytest.param("0 0 * * sun-tue", "0 0 * * mon,tue,sun", id="the week may begin with Sunday"),
        pytest.param("0 0 * * 0-7", "0 0 * * *", id="all weekdays"),
        pytest.param("0 0 * * */2", "0 0 * * tue,thu,sat,sun", id="every second weekday from Sunday"),
        pytest.param("*/15 * * * *", "*/15 * * * *", id="every quarter of an hour"),
        pytest.param("0,30 8-18/2 1,15 jan-mar *", "0,30 8-18/2 1,15 1-3 *", id="lists, ranges, months"),
        pytest.param("0 0 * 4-SEP/2,dec *", "0 0 * 4-9/2,12 *", id="months by name and number with a step"),
        pytest.param("  5\t4  *  * * ", "5 4 * * *", id="blanks"),
        pytest.param("0 0 29 2 *", "0 0 29 2 *", id="a day of leap years"),
        pytest.param("0 0 31 2,3 *", "0 0 31 2,3 *", id="a day of one of the months"),
    ],
)
def test_a_schedule_is_understood_by_the_scheduler(text: str, normalised: str) -> None:
    assert normalise_schedule(text) == normalised
    assert normalise_schedule(normalised) == normalised
    trigger = CronTrigger.from_crontab(normalised, timezone=UTC)
    assert trigger.get_next_fire_time(None, MONDAY) is not None


@pytest.mark.parametrize("text", ["", "  ", "never", "NEVER"])
def test_no_schedule_is_empty(text: str) -> None:
    assert normalise_schedule(text) == ""


def test_the_weekday_is_crontabs_and_not_the_schedulers() -> None:
    trigger = CronTrigger.from_crontab(normalise_schedule("0 0 * * 1"), timezone=UTC)
    assert trigger.get_next_fire_time(None, MONDAY) == MONDAY


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("* * * *", "4 fields instead of 5", id="too few fields"),
        pytest.param("0 * * * * *", "6 fields instead of 5", id="too many fields"),
        pytest.param("@daily", "1 fields instead of 5", id="a nickname"),
        pytest.param("60 * * * *", "minute 60 is outside 0-59", id="minute 60"),
        pytest.param("0 24 * * *", "hour 24 is outside 0-23", id="hour 24"),
        pytest.param("0 0 0 * *", "day of month 0 is outside 1-31", id="day 0"),
        pytest.param("0 0 * 13 *", "month 13 is outside 1-12", id="month 13"),
        pytest.param("0 0 * * 8", "day of week 8 is outside 0-7", id="weekday 8"),
        pytest.param("0 0 * mon *", "month 'mon' is not known", id="weekday as month"),
        pytest.param("jan 0 * * *", "minute 'jan' is not known", id="name as minute"),
        pytest.param("*/0 * * * *", "the step must be 1 to 59", id="step 0"),
        pytest.param("*/60 * * * *", "the step must be 1 to 59", id="step beyond the range"),
        pytest.param("5-5/1 * * * *", "the step must be 1 to 0", id="step within one number"),
        pytest.param("5/2 * * * *", "the step must be", id="step from one number"),
        pytest.param("30-10 * * * *", "ends before it begins", id="backwards"),
        pytest.param("1, * * * *", "is none of", id="empty item"),
        pytest.param("-5 * * * *", "is none of", id="negative"),
        pytest.param("1.5 * * * *", "is none of", id="fraction"),
        pytest.param("٣ * * * *", "is none of", id="a digit of another script"),
        pytest.param("0 0 31 2 *", "day 31 never comes in month 2", id="31 February"),
        pytest.param("0 0 31 apr,jun *", "day 31 never comes", id="31 April and June"),
        pytest.param("0 0 L * *", "is not known", id="last day"),
        pytest.param(f"{'9' * 5000} * * * *", "is outside 0-59", id="a very long number"),
    ],
)
def test_a_wrong_schedule_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        normalise_schedule(text)
