"""Hashes of requests, for any bytes and any conversation."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from or_otel.wire.prefixes import keyed_hash, read_prefixes

KEYED = keyed_hash(b"k" * 16)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.text()}), min_size=1
)


def read(body):
    return read_prefixes(body, keyed=KEYED, where="chat")


@given(st.binary())
def test_any_bytes_are_read_without_a_fault(body):
    for digest, share in read(b"{" + body):
        assert len(digest) == 8
        assert 0 < share <= 1


@given(MESSAGES, MESSAGES)
def test_what_goes_on_begins_with_what_was_before(before, after):
    first = read(json.dumps({"messages": before}).encode())
    second = read(json.dumps({"messages": before + after}).encode())

    assert [digest for digest, _ in second][: len(first)] == [digest for digest, _ in first]
    assert [share for _, share in second] == sorted(share for _, share in second)
    assert second[-1][1] == 1.0
