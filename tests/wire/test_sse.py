from __future__ import annotations

import pytest

from or_otel.wire.sse import MAX_EVENT_BYTES, EventStream


def _fed(*pieces):
    events = EventStream()
    return [payload for piece in pieces for payload in events.feed(piece)] + events.close()


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_may_end_in_three_ways_wherever_the_bytes_are_cut(end):
    stream = end.join([b"data: one", b"data:two", b"", b": comment", b"event: x", b"data:  three", b"", b""])

    for place in range(len(stream)):
        assert _fed(stream[:place], stream[place:]) == [b"one\ntwo", b" three"]


def test_a_newline_of_its_own_after_another_piece_is_a_blank_line():
    events = EventStream()

    assert events.feed(b"data: one\n") == []
    assert events.feed(b"\n") == [b"one"]


def test_a_byte_order_mark_in_pieces_is_dropped_and_only_the_first():
    assert _fed(b"\xef", b"\xbb", b"\xbf", b"data: one\n\n") == [b"one"]
    assert _fed(b"\xef\xbb\xbf\xef\xbb\xbfdata: one\n\n") == []


def test_the_last_event_is_given_although_its_blank_line_never_came():
    assert _fed(b"data: one") == [b"one"]
    assert _fed(b"event: x") == []


LONGEST = MAX_EVENT_BYTES - len(b"data: ")


@pytest.mark.parametrize(
    ("pieces", "is_blind"),
    [
        ([b"data: " + b"x" * LONGEST, b"\n\n"], False),
        ([b"data: " + b"x" * (LONGEST + 1), b"\n\n"], True),
        ([b"data: " + b"x" * (LONGEST + 1) + b"\n\n"], True),
        ([b"data: " + b"x" * (MAX_EVENT_BYTES // 2) + b"\n"] * 2, True),
        ([b"data: " + b"x" * (MAX_EVENT_BYTES // 2) + b"\n\n"] * 2, False),
    ],
    ids=["longest", "cut", "whole", "several lines", "several events"],
)
def test_an_event_beyond_the_limit_ends_the_reading_and_what_is_not_beyond_does_not(pieces, is_blind):
    events = EventStream()
    for piece in pieces:
        events.feed(piece)

    assert events.is_blind is is_blind
    assert events.feed(b"data: later\n\n") == ([] if is_blind else [b"later"])
    assert events.close() == []
