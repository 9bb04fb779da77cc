from __future__ import annotations

import json
from decimal import Decimal

import pytest

from or_otel.facts import Request
from or_otel.wire.endpoints import Hosts
from or_otel.wire.readers import reader_for


def _reader(path, kind="application/json", status=200):
    endpoint = Hosts().endpoint("POST", f"https://openrouter.ai/api/v1{path}")
    return reader_for(endpoint, Request(), status=status, header={"content-type": kind}.get)


def _answer(path, data, **options):
    reader = _reader(path, **options)
    reader.feed(data if isinstance(data, bytes) else json.dumps(data).encode())
    reader.close()
    return reader.answer()


def test_all_tokens_of_a_ranking_are_input():
    answer = _answer("/rerank", {"id": "gen-rerank-1", "usage": {"total_tokens": 17, "cost": 3.4e-7}})

    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (17, None)
    assert answer.cost.charged == Decimal("3.4e-7")


@pytest.mark.parametrize(("path", "kind"), [("/audio/speech", "audio/mpeg"), ("/audio/transcriptions", "text/vtt")])
def test_what_is_no_json_is_complete_once_it_has_ended(path, kind):
    reader = _reader(path, kind)
    reader.feed(b"ID3\x00")
    assert not reader.answer().is_complete

    reader.close()

    assert reader.answer().is_complete
    assert reader.answer().usage is None


def test_a_refusal_of_speech_is_read():
    answer = _answer(
        "/audio/speech", {"error": {"code": 400, "metadata": {"error_type": "invalid_prompt"}}}, status=400
    )

    assert answer.failure.error_type == "invalid_prompt"


@pytest.mark.parametrize(
    ("path", "piece", "end"),
    [
        ("/audio/transcriptions", "transcript.text.delta", "transcript.text.done"),
        ("/images/generations", "image_generation.partial_image", "image_generation.completed"),
        ("/audio/speech", "speech.audio.delta", "speech.audio.done"),
    ],
)
def test_a_streamed_work_tells_its_usage_in_the_last_event(path, piece, end):
    reader = _reader(path, "text/event-stream")
    reader.feed(b'data: {"type": "%s"}\n\n' % piece.encode())
    assert (reader.has_content, reader.is_terminal) == (True, False)

    reader.feed(b'data: {"type": "%s", "usage": {"input_tokens": 3, "output_tokens": 4}}\n\n' % end.encode())

    assert reader.is_terminal
    assert (reader.answer().usage.input_tokens, reader.answer().usage.output_tokens) == (3, 4)
