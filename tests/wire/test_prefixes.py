"""Hashes of how requests begin."""

from __future__ import annotations

import json

from or_otel.wire.prefixes import MAX_BODY_BYTES, keyed_hash, read_prefixes

KEYED = keyed_hash(b"k" * 16)


def read(where="chat openrouter.ai", keyed=KEYED, **body):
    return read_prefixes(json.dumps(body).encode(), keyed=keyed, where=where)


def digests(prefixes):
    return [digest for digest, _ in prefixes]


def message(text, role="user"):
    return {"role": role, "content": text}


def test_a_conversation_that_goes_on_begins_with_what_was_sent_before():
    first = read(model="m", messages=[message("be brief", "system"), message("hello")])

    second = read(model="m", messages=[message("be brief", "system"), message("hello"), message("hi", "assistant")])

    assert digests(second)[:2] == digests(first)
    assert len(set(digests(second))) == 3


def test_another_model_tool_instruction_account_or_key_is_another_beginning():
    messages = [message("hello")]
    bodies = [
        read(model="m", messages=messages),
        read(model="n", messages=messages),
        read(model="m", tools=[{"name": "t"}], messages=messages),
        read(model="m", system="be brief", messages=messages),
        read(model="m", messages=messages, where="chat elsewhere"),
        read(model="m", messages=messages, keyed=keyed_hash(b"l" * 16)),
    ]

    assert len({digest for body in bodies for digest in digests(body)}) == len(bodies)


def test_how_answers_are_sampled_is_no_part_of_it():
    assert read(model="m", temperature=0, messages=[message("a")]) == read(model="m", messages=[message("a")])


def test_shares_grow_with_the_bytes_to_the_whole():
    shares = [share for _, share in read(messages=[message("a" * 1000), message("b" * 1000), message("c" * 1000)])]

    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert 0.3 < shares[0] < 0.35


def test_the_responses_api_is_read_by_its_items():
    assert len(read(model="m", instructions="x", input=[message("a"), message("b")])) == 2


def test_a_body_without_messages_is_one_beginning():
    ((_, share),) = read(model="m", input="one text")

    assert share == 1.0
    assert read(model="m", input="one text") != read(model="m", input="another")


def test_a_byte_that_moves_to_the_next_field_is_another_request():
    # Made of raw numbers, so that nothing but the place tells them apart.
    one = read_prefixes(b'{"model":12,"tools":3,"messages":[4]}', keyed=KEYED, where="")
    other = read_prefixes(b'{"model":1,"tools":23,"messages":[4]}', keyed=KEYED, where="")

    assert one != other


def test_what_is_no_object_or_too_large_gives_nothing():
    for body in (b"", b"--form\r\n", b"[1]", b"{" + b" " * MAX_BODY_BYTES + b"}"):
        assert read_prefixes(body, keyed=KEYED, where="") == ()


def test_broken_json_still_is_known_again():
    assert len(read_prefixes(b'{"messages": [', keyed=KEYED, where="")) == 1
