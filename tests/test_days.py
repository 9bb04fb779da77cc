import time
from datetime import date

import pytest

from or_otel.days import DAY_S, ONE_DAY, begin_s, utc_day

LEAP_DAY = date(2028, 2, 29)


def test_a_day_holds_its_begin_and_not_its_end():
    begin, end = begin_s(LEAP_DAY), begin_s(LEAP_DAY + ONE_DAY)

    assert end - begin == DAY_S
    assert utc_day(begin) == LEAP_DAY
    assert utc_day(end - 0.001) == LEAP_DAY
    assert utc_day(end) == date(2028, 3, 1)
    assert utc_day(begin - 0.001) == date(2028, 2, 28)


def test_the_first_day_begins_at_zero():
    assert begin_s(date(1970, 1, 1)) == 0


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_days_are_those_of_utc_wherever_the_machine_stands(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert utc_day(begin_s(LEAP_DAY) + 1) == LEAP_DAY
        assert begin_s(date(2026, 11, 2)) == 1_793_577_600
    finally:
        monkeypatch.undo()
        time.tzset()
