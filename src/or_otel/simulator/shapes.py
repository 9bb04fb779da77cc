"""Answers in the shapes of the APIs beside chat: responses, messages, completions, embeddings, rerank and media.

An `Answer` in, a scenario out, as in `scenarios`; the shapes are those of the OpenRouter, OpenAI and
Anthropic API references (seen 2026-11). Where a client's model is strict, its required fields are here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from or_otel.facts import ZERO
from or_otel.simulator.scenarios import (
    ERROR_TYPES,
    Answer,
    Chunk,
    Done,
    Scenario,
    Step,
    bill,
    generation_header,
    usage_body,
    words,
)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SOUND = b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(512)
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
ANTHROPIC_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's error types by status; the rest is `api_error`."""

Json = Mapping[str, object]


def _told(answer: Answer, scenario: Scenario, api: str, *, is_stream: bool = False) -> Scenario:
    """Add the generation's header and its bill."""
    entry = replace(bill(answer, is_stream=is_stream), api=api)
    return replace(scenario, headers=generation_header(answer), bill=entry)


# Responses ------------------------------------------------------------------------------------------------------------


def _items(answer: Answer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        items.append({"id": "rs_01", "type": "reasoning", "summary": summary})
    if answer.content:
        part = {"type": "output_text", "text": answer.content, "annotations": [], "logprobs": []}
        items.append({"id": "msg_01", "type": "message", "role": "assistant", "status": "completed", "content": [part]})
    items += [
        {
            "id": f"fc_{call.id}",
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }
        for call in answer.tool_calls
    ]
    return items


def _responses_usage(answer: Answer) -> dict[str, object]:
    usage = usage_body(answer)
    same = ("total_tokens", "cost", "is_byok", "server_tool_use_details")
    told: dict[str, object] = {name: value for name, value in usage.items() if name in same}
    details: dict[str, object] = {
        "upstream_inference_cost": answer.upstream,
        "upstream_inference_input_cost": answer.input_cost,
        "upstream_inference_output_cost": answer.output_cost,
    }
    return {
        "input_tokens": answer.usage.input_tokens or 0,
        "input_tokens_details": {
            "cached_tokens": answer.usage.cache_read_tokens or 0,
            "cache_write_tokens": answer.usage.cache_write_tokens or 0,
        },
        "output_tokens": answer.usage.output_tokens or 0,
        "output_tokens_details": {"reasoning_tokens": answer.usage.reasoning_tokens or 0},
        **told,
        "cost_details": details,
    }


def response_body(
    answer: Answer, *, status: str | None = None, is_stored: bool = False, is_background: bool = False
) -> dict[str, Any]:
    """Write a response object.

    Args:
        answer: What is generated.
        status: `queued`, `in_progress` and `failed` have neither output nor usage; None follows from the finish reason.
        is_stored: Whether it can be read again.
        is_background: Whether it is made after its request was answered.
    """
    status = status or ("incomplete" if answer.finish_reason in {"length", "content_filter"} else "completed")
    has_ended = status in {"completed", "incomplete"}
    reason = "max_output_tokens" if answer.finish_reason == "length" else answer.finish_reason
    body: dict[str, Any] = {
        "id": answer.id,
        "object": "response",
        "created_at": answer.created,
        "completed_at": answer.created + 1 if has_ended else None,
        "model": answer.model,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": reason} if status == "incomplete" else None,
        "instructions": None,
        "metadata": {},
        "output": _items(answer) if has_ended else [],
        "parallel_tool_calls": True,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "temperature": 1,
        "top_p": 1,
        "tool_choice": "auto",
        "tools": [],
        "service_tier": answer.service_tier,
        "store": is_stored,
        "background": is_background,
        "usage": _responses_usage(answer) if has_ended else None,
    }
    if answer.metadata is not None and status not in {"queued", "in_progress"}:
        body["openrouter_metadata"] = answer.metadata
    return body


def response(answer: Answer | None = None, *, is_stored: bool = False) -> Scenario:
    """A response in one piece; `incomplete` when the answer's finish reason says so."""
    answer = answer or Answer()
    return _told(answer, Scenario(body=response_body(answer, is_stored=is_stored)), "responses")


def response_failed(answer: Answer | None = None) -> Scenario:
    """Status 200 with a response that failed; nothing is billed."""
    return Scenario(body=_failed_response(answer or Answer()))


def response_stream(answer: Answer | None = None, *, is_stored: bool = False) -> Scenario:
    """A streamed response: named, numbered events."""
    answer = answer or Answer()
    body = response_body(answer, is_stored=is_stored)
    events = [*_response_begin(answer), *_response_pieces(body["output"])]
    events.append((f"response.{body['status']}", {"response": body}, False))
    return _told(answer, Scenario(steps=(*_numbered(events), Done())), "responses", is_stream=True)


def response_failing_stream(answer: Answer | None = None, *, after: int = 2) -> Scenario:
    """A streamed response that fails after some deltas; nothing is billed."""
    answer = answer or Answer()
    events = [*_response_begin(answer), *_first_pieces(_response_pieces(response_body(answer)["output"]), after)]
    events.append(("response.failed", {"response": _failed_response(answer)}, False))
    free = replace(answer, input_cost=ZERO, output_cost=ZERO)
    told = _told(free, Scenario(steps=(*_numbered(events), Done())), "responses", is_stream=True)
    return replace(told, bill=None)


_Event = tuple[str, dict[str, Any], bool]


def _failed_response(answer: Answer) -> dict[str, Any]:
    error = {"code": "server_error", "message": "Provider returned error"}
    return response_body(answer, status="failed") | {"error": error, "error_type": "provider_unavailable"}


def _response_begin(answer: Answer) -> list[_Event]:
    begun = response_body(answer, status="in_progress")
    return [(f"response.{word}", {"response": begun}, False) for word in ("created", "in_progress")]


def _response_pieces(items: list[dict[str, Any]]) -> list[_Event]:
    events: list[_Event] = []
    for index, item in enumerate(items):
        at = {"output_index": index}
        place = {"item_id": item["id"], **at}
        events.append(("response.output_item.added", {**at, "item": _begun(item)}, False))
        if item["type"] == "reasoning":
            where = {**place, "summary_index": 0}
            text = item["summary"][0]["text"]
            name = "response.reasoning_summary_text.delta"
            events += [(name, {**where, "delta": piece}, True) for piece in words(text)]
        elif item["type"] == "message":
            where = {**place, "content_index": 0}
            part = item["content"][0]
            empty = {**part, "text": ""}
            events.append(("response.content_part.added", {**where, "part": empty}, False))
            events += [
                ("response.output_text.delta", {**where, "delta": piece, "logprobs": []}, True)
                for piece in words(part["text"])
            ]
            events.append(("response.output_text.done", {**where, "text": part["text"], "logprobs": []}, False))
            events.append(("response.content_part.done", {**where, "part": part}, False))
        else:
            arguments, name = item["arguments"], "response.function_call_arguments"
            half = len(arguments) // 2
            events += [
                (f"{name}.delta", {**place, "delta": piece}, True) for piece in (arguments[:half], arguments[half:])
            ]
            events.append((f"{name}.done", {**place, "name": item["name"], "arguments": arguments}, False))
        events.append(("response.output_item.done", {**at, "item": item}, False))
    return events


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    begun = {**item, "status": "in_progress"}
    empty: dict[str, object] = {"summary": [], "content": [], "arguments": ""}
    return begun | {name: value for name, value in empty.items() if name in item}


def _first_pieces(events: list[_Event], count: int) -> list[_Event]:
    kept: list[_Event] = []
    for event in events:
        if count == 0:
            break
        kept.append(event)
        count -= event[2]
    return kept


def _numbered(events: list[_Event]) -> list[Chunk]:
    return [
        Chunk({"type": name, "sequence_number": number, **fields}, is_content=is_content, event=name)
        for number, (name, fields, is_content) in enumerate(events)
    ]


# Messages -------------------------------------------------------------------------------------------------------------


def _blocks(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": "c2ln"})
    if answer.content:
        blocks.append({"type": "text", "text": answer.content, "citations": None})
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _object(call.arguments)}
        for call in answer.tool_calls
    ]
    return blocks


def _object(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _messages_tokens(answer: Answer) -> dict[str, object]:
    """Write Anthropic's counts: the input is what the cache neither gave nor took."""
    usage = answer.usage
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    return {
        "input_tokens": (usage.input_tokens or 0) - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.output_tokens or 0,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens or 0},
        "server_tool_use": {"web_search_requests": usage.web_searches, "web_fetch_requests": 0}
        if usage.web_searches
        else None,
    }


def _messages_money(answer: Answer) -> dict[str, object]:
    usage = usage_body(answer)
    return {name: usage[name] for name in ("cost", "is_byok", "cost_details") if name in usage}


def message_body(answer: Answer) -> dict[str, Any]:
    """Write a whole message."""
    written = answer.usage.cache_write_tokens or 0
    about = {
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
        "inference_geo": None,
    }
    body: dict[str, Any] = {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "provider": answer.provider,
        "container": None,
        "content": _blocks(answer),
        "stop_reason": STOP_REASONS.get(answer.finish_reason, answer.finish_reason),
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**_messages_tokens(answer), **about, **_messages_money(answer)},
    }
    if answer.metadata is not None:
        body["openrouter_metadata"] = answer.metadata
    return body


def message(answer: Answer | None = None) -> Scenario:
    """A message in one piece."""
    answer = answer or Answer()
    return _told(answer, Scenario(body=message_body(answer)), "messages")


def message_stream(answer: Answer | None = None, *, is_cost_told: bool = True) -> Scenario:
    """A streamed message: tokens at the start and again, cumulative and with money, before the end."""
    answer = answer or Answer()
    whole = message_body(answer)
    usage = _messages_tokens(answer) | (_messages_money(answer) if is_cost_told else {})
    delta = {name: whole[name] for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    stop: dict[str, Any] = {"type": "message_stop"}
    if answer.metadata is not None:
        stop["openrouter_metadata"] = answer.metadata
    events = [*_message_pieces(answer, whole), {"type": "message_delta", "delta": delta, "usage": usage}, stop]
    return _told(answer, Scenario(steps=_named(events)), "messages", is_stream=True)


def message_failing_stream(answer: Answer | None = None, *, after: int = 2) -> Scenario:
    """A streamed message that fails after some deltas; nothing is billed."""
    answer = answer or Answer()
    pieces = _message_pieces(answer, message_body(answer))
    contents = [number for number, event in enumerate(pieces) if event["type"] == "content_block_delta"]
    told = {"type": "overloaded_error", "message": "Overloaded", "error_type": "provider_overloaded"}
    events = [*pieces[: contents[after]], {"type": "error", "error": told}]
    return Scenario(steps=_named(events), headers=generation_header(answer))


def _message_pieces(answer: Answer, whole: dict[str, Any]) -> list[dict[str, Any]]:
    usage = {**whole["usage"], "output_tokens": 1}
    for name in _messages_money(answer):
        del usage[name]
    begun = {**whole, "content": [], "stop_reason": None, "usage": usage}
    begun.pop("openrouter_metadata", None)
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(whole["content"]):
        kind = block["type"]
        if kind == "tool_use":
            arguments = answer.tool_calls[index - len(whole["content"])].arguments
            half = len(arguments) // 2
            deltas = [
                {"type": "input_json_delta", "partial_json": each} for each in (arguments[:half], arguments[half:])
            ]
            empty = {**block, "input": {}}
        else:
            deltas = [{"type": f"{kind}_delta", kind: piece} for piece in words(block[kind])]
            empty = {**block, kind: ""}
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.insert(2, {"type": "ping"})
    return events


def _named(events: list[dict[str, Any]]) -> tuple[Step, ...]:
    return tuple(
        Chunk(event, is_content=event["type"] == "content_block_delta", event=event["type"]) for event in events
    )


def anthropic_error(scenario: Scenario) -> Scenario:
    """Write a refusal as messages do."""
    body = scenario.body if isinstance(scenario.body, dict) else {}
    told = body.get("error") or {}
    error = {
        "type": ANTHROPIC_ERRORS.get(scenario.status, "api_error"),
        "message": told.get("message", ""),
        "error_type": (told.get("metadata") or {}).get("error_type", ERROR_TYPES.get(scenario.status, "unmapped")),
    }
    return replace(scenario, body={"type": "error", "error": error, "request_id": None})


# The rest -------------------------------------------------------------------------------------------------------------


def _head(answer: Answer) -> dict[str, object]:
    return {"id": answer.id, "provider": answer.provider, "model": answer.model}


def completion(answer: Answer, *, is_stream: bool = False) -> Scenario:
    """A legacy completion, whole or streamed."""
    head = {**_head(answer), "object": "text_completion", "created": answer.created}

    def choice(text: str | None, reason: str | None) -> list[dict[str, object]]:
        return [{"index": 0, "text": text, "finish_reason": reason, "logprobs": None}]

    end: dict[str, object] = {"usage": usage_body(answer)}
    if answer.metadata is not None:
        end["openrouter_metadata"] = answer.metadata
    if not is_stream:
        body = {**head, "choices": choice(answer.content, answer.finish_reason), **end}
        return _told(answer, Scenario(body=body), "completions")
    steps: list[Step] = [
        Chunk({**head, "choices": choice(piece, None)}, is_content=True) for piece in words(answer.content or "")
    ]
    steps += [Chunk({**head, "choices": choice("", answer.finish_reason), **end}), Done()]
    return _told(answer, Scenario(steps=tuple(steps)), "completions", is_stream=True)


def _without_choices(answer: Answer, body: object, api: str) -> Scenario:
    """Finish an answer that has no finish reason; media name their generation and provider in headers only."""
    scenario = _told(answer, Scenario(body=body), api)
    assert scenario.bill is not None  # noqa: S101 -- for the type checker: made a line up
    headers = (*scenario.headers, ("x-provider-name", answer.provider))
    entry = replace(scenario.bill, finish_reason=None, native_finish_reason=None)
    return replace(scenario, headers=headers, bill=entry)


def embeddings(answer: Answer, *, count: int) -> Scenario:
    """Vectors of so many texts."""
    names = ("prompt_tokens", "total_tokens", "cost", "is_byok", "cost_details")
    whole = usage_body(answer)
    vectors = [
        {"object": "embedding", "index": index, "embedding": [Decimal("0.01"), Decimal("-0.02")]}
        for index in range(count)
    ]
    usage = {name: whole[name] for name in names}
    return _without_choices(answer, {**_head(answer), "object": "list", "data": vectors, "usage": usage}, "embeddings")


def ranking(answer: Answer, documents: list[str]) -> Scenario:
    """Documents in the order of their length, as good a relevance as any; priced by search units."""
    order = sorted(range(len(documents)), key=lambda index: -len(documents[index]))
    results = [
        {"index": index, "relevance_score": Decimal(1) / (place + 1), "document": {"text": documents[index]}}
        for place, index in enumerate(order)
    ]
    usage = {"total_tokens": answer.usage.input_tokens, "search_units": 1, "cost": answer.charged}
    return _without_choices(answer, {**_head(answer), "results": results, "usage": usage}, "rerank")


def images(answer: Answer, *, count: int) -> Scenario:
    """So many images of one pixel."""
    body = {"created": answer.created, "data": [{"b64_json": PIXEL}] * count, "usage": usage_body(answer)}
    return _without_choices(answer, body, "images")


def transcription(answer: Answer) -> Scenario:
    """What was heard."""
    usage = {
        "seconds": Decimal("4.2"),
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "total_tokens": (answer.usage.input_tokens or 0) + (answer.usage.output_tokens or 0),
        "cost": answer.charged,
    }
    return _without_choices(answer, {"text": answer.content, "usage": usage}, "stt")


def speech(answer: Answer) -> Scenario:
    """Sound: nothing of it tells what it cost."""
    scenario = _without_choices(answer, SOUND, "tts")
    return replace(scenario, headers=(*scenario.headers, ("content-type", "audio/mpeg")))


# Jobs -----------------------------------------------------------------------------------------------------------------


def _job(answer: Answer, body: object, api: str, *, has_ended: bool) -> Scenario:
    """Finish a job's answer: billed once it has ended, and named by its body alone."""
    entry = replace(_told(answer, Scenario(), api).bill or bill(answer), finish_reason=None, native_finish_reason=None)
    return Scenario(body=body, bill=entry if has_ended else None)


def video(answer: Answer, status: str = "completed", *, url: str = "https://openrouter.ai/api/v1") -> Scenario:
    """A video job as it stands; what it cost is told at its end."""
    place = f"{url}/videos/{answer.id}"
    body: dict[str, object] = {"id": answer.id, "polling_url": place, "status": status}
    has_ended = status == "completed"
    if has_ended:
        usage = {"cost": answer.charged, "is_byok": answer.is_byok}
        body |= {"generation_id": answer.id, "unsigned_urls": [f"{place}/content?index=0"], "usage": usage}
    elif status == "failed":
        body["error"] = "The provider could not make it"
    return _job(answer, body, "video", has_ended=has_ended)


def batch(answer: Answer, status: str = "completed", *, count: int = 1) -> Scenario:
    """A batch of so many requests as it stands; its sums are told at its end, its results elsewhere."""
    has_ended = status == "completed"
    body = {
        "id": answer.id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "model": answer.model,
        "provider": answer.provider,
        "status": status,
        "completion_window": "24h",
        "created_at": answer.created,
        "expires_at": answer.created + 86_400,
        "finalized_at": answer.created + 1 if has_ended else None,
        "error": None,
        "request_counts": {"total": count, "completed": count if has_ended else 0, "failed": 0},
        "results": None,
        "usage": usage_body(answer) if has_ended else None,
    }
    return _job(answer, body, "completions", has_ended=has_ended)


def background_response(answer: Answer, status: str | None = None) -> Scenario:
    """A response made in the background as it stands; None ends it as its finish reason says."""
    body = response_body(answer, status=status, is_stored=True, is_background=True)
    entry = _told(answer, Scenario(), "responses").bill
    return Scenario(body=body, bill=entry if body["usage"] is not None else None)
