"""Request body → keyed hashes of its beginnings: two requests with the same hash began alike, and no more is told.

Where a prompt ends and the next message begins is what prompt caches go by, and what tells a conversation
that goes on from one that begins anew. The bytes are hashed once, as sent: an SDK writes the same message
the same way. What comes before the messages (model, tools, instructions) is part of every beginning.
Source: OpenRouter "Prompt Caching"; Anthropic and OpenAI: tools, then instructions, then messages. Seen 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from or_otel.wire.fields import UNREADABLE

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Hashing costs about a millisecond a megabyte, and it is the host's thread that pays."""
DIGEST_BYTES = 8
NOTHING = msgspec.Raw()


class _Body(msgspec.Struct):
    model: msgspec.Raw = NOTHING
    tools: msgspec.Raw = NOTHING
    system: msgspec.Raw = NOTHING
    instructions: msgspec.Raw = NOTHING
    messages: msgspec.Raw = NOTHING
    input: msgspec.Raw = NOTHING


_BODY = msgspec.json.Decoder(_Body)
_PIECES = msgspec.json.Decoder(list[msgspec.Raw])


def keyed_hash(key: bytes) -> blake2b:
    """Give what hashes begin from; the key is random and kept by this process alone: without it they tell nothing."""
    return blake2b(digest_size=DIGEST_BYTES, key=key)


def read_prefixes(body: bytes, *, keyed: blake2b, where: str) -> tuple[tuple[bytes, float], ...]:
    """Give the beginnings of a request up to each of its messages, the whole one last.

    Args:
        body: As sent.
        keyed: From `keyed_hash`.
        where: What else must be equal, such as server and account.

    Returns:
        Keyed hash and share of the hashed bytes, the whole last. Nothing for what is no JSON object or too large;
        only the whole where there are no messages.
    """
    if len(body) > MAX_BODY_BYTES or body[:1] != b"{":
        return ()
    hashed = keyed.copy()
    hashed.update(where.encode("utf-8", "surrogateescape"))
    pieces = _pieces(body)
    if pieces is None:
        hashed.update(body)
        return ((hashed.digest(), 1.0),)
    told, messages = pieces
    head = (told.model, told.tools, told.system, told.instructions)
    sizes = tuple(map(len, head))
    # Lengths apart, so that moving a byte from one field to the next is another hash.
    hashed.update(b" %d %d %d %d " % sizes)
    for each in head:
        if each:
            hashed.update(each)
    size = sum(sizes)
    ends = []
    for message in messages:
        hashed.update(message)
        size += len(message)
        ends.append((hashed.digest(), size))
    return tuple([(digest, end / size) for digest, end in ends])


def _pieces(body: bytes) -> tuple[_Body, Sequence[msgspec.Raw]] | None:
    try:
        told = _BODY.decode(body)
        messages = _PIECES.decode(told.messages or told.input)
    except UNREADABLE:
        return None
    return (told, messages) if messages else None
