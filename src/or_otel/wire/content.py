"""Content in the shapes of the GenAI conventions: bodies and deltas in, messages out.

Used only where content capture is switched on. Whatever is cut is cut at the limit;
what comes after it is left out.
Source: OpenTelemetry GenAI conventions, message schemas, seen 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from or_otel.wire.fields import UNREADABLE, items_of, object_of, text_of, value_of

MAX_MESSAGES = 4096
MAX_CHOICES = 128

Message = dict[str, object]


class _Input(msgspec.Struct):
    """Where the APIs keep what they are told: `messages`, `input` or `prompt`, and `system` or `instructions`."""

    messages: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()
    system: msgspec.Raw = msgspec.Raw()
    instructions: msgspec.Raw = msgspec.Raw()


_INPUT = msgspec.json.Decoder(_Input)


class _Budget:
    """Bytes that may still be kept."""

    __slots__ = ("left",)

    def __init__(self, limit_bytes: int) -> None:
        self.left = limit_bytes

    def cut(self, text: str) -> str:
        """Give as much of a text as fits."""
        encoded = text[: self.left].encode("utf-8", "replace")
        if len(encoded) > self.left:
            encoded = encoded[: self.left]
        self.left -= len(encoded)
        return encoded.decode("utf-8", "ignore")


class _Choice:
    __slots__ = ("calls", "reasoning", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[object, dict[str, str]] = {}


class OutputContent:
    """Collects what the model said, choice by choice."""

    def __init__(self, limit_bytes: int) -> None:
        self._budget = _Budget(limit_bytes)
        self._choices: dict[int, _Choice] = {}

    def add(self, index: int, content: Mapping[str, object]) -> None:
        """Take a delta or a message of one choice."""
        if index not in self._choices and len(self._choices) >= MAX_CHOICES:
            return
        choice = self._choices.setdefault(index, _Choice())
        reasoning = content.get("reasoning") or content.get("reasoning_content")
        if isinstance(reasoning, str) and (kept := self._budget.cut(reasoning)):
            choice.reasoning.append(kept)
        for text in _texts(content.get("content") or content.get("refusal")):
            if kept := self._budget.cut(text):
                choice.text.append(kept)
        for place, item in enumerate(items_of(content.get("tool_calls"))):
            told = object_of(item)
            self._add_call(choice, told.get("index", place), told)

    def messages(self) -> list[Message]:
        """Give one message per choice."""
        found: list[Message] = []
        for _, choice in sorted(self._choices.items()):
            parts: list[Message] = []
            if choice.reasoning:
                parts.append({"type": "reasoning", "content": "".join(choice.reasoning)})
            if choice.text:
                parts.append({"type": "text", "content": "".join(choice.text)})
            parts.extend(
                _tool_call(call.get("id"), call.get("name"), call.get("arguments", ""))
                for call in choice.calls.values()
            )
            found.append({"role": "assistant", "parts": parts})
        return found

    def _add_call(self, choice: _Choice, index: object, told: Mapping[str, object]) -> None:
        key = index if isinstance(index, int) else None
        call_id = text_of(told.get("id"))
        call = choice.calls.get(key)
        if call is not None and call_id is not None and call.get("id") not in {None, call_id}:
            # Another call under the same index, as some servers send them: the first moves aside.
            choice.calls[("earlier", len(choice.calls))] = choice.calls.pop(key)
            call = None
        if call is None:
            if self._budget.left <= 0:
                return
            call = choice.calls[key] = {}
        function = object_of(told.get("function"))
        if call_id is not None:
            call["id"] = call_id
        name = text_of(function.get("name"))
        if name is not None and "name" not in call:
            call["name"] = self._budget.cut(name)
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            call["arguments"] = call.get("arguments", "") + self._budget.cut(arguments)


def read_input(body: bytes, limit_bytes: int) -> tuple[list[Message] | None, list[Message] | None]:
    """Read the content of a request.

    Args:
        body: The request body.
        limit_bytes: Most text to keep.

    Returns:
        System instructions and messages. Chat requests carry their instructions inside the
        history, and the conventions want them left there: the former is None.
    """
    try:
        told = _INPUT.decode(body)
    except UNREADABLE:
        return None, None
    budget = _Budget(limit_bytes)
    system = list(_parts(value_of(told.system) or value_of(told.instructions), budget))
    given = value_of(told.messages) or value_of(told.input) or value_of(told.prompt)
    if isinstance(given, str):
        given = [{"content": given}]
    messages: list[Message] = []
    for item in items_of(given)[:MAX_MESSAGES]:
        if budget.left <= 0:
            break
        message = {"content": item} if isinstance(item, str) else object_of(item)
        if message:
            messages.append(_input_message(message, budget))
    return system or None, messages or None


def _input_message(message: Mapping[str, object], budget: _Budget) -> Message:
    role = text_of(message.get("role")) or "user"
    if role == "tool":
        result = "".join(_texts(message.get("content")))
        parts: list[Message] = [
            {
                "type": "tool_call_response",
                "id": text_of(message.get("tool_call_id")),
                "response": budget.cut(result),
            }
        ]
    else:
        parts = list(_parts(message.get("content"), budget))
        for item in items_of(message.get("tool_calls")):
            call = object_of(item)
            function = object_of(call.get("function"))
            arguments = function.get("arguments")
            text = budget.cut(arguments) if isinstance(arguments, str) else ""
            parts.append(_tool_call(text_of(call.get("id")), text_of(function.get("name")), text))
    found: Message = {"role": role, "parts": parts}
    name = text_of(message.get("name"))
    if name is not None:
        found["name"] = name
    return found


def _tool_call(call_id: str | None, name: str | None, arguments: str) -> Message:
    try:
        decoded: object = msgspec.json.decode(arguments) if arguments else {}
    except UNREADABLE:
        decoded = arguments  # not JSON, or cut at the limit
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": decoded}


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in items_of(content):
        text = object_of(part).get("text")
        if isinstance(text, str):
            yield text


def _parts(content: object, budget: _Budget) -> Iterator[Message]:
    if isinstance(content, str):
        yield {"type": "text", "content": budget.cut(content)}
        return
    for item in items_of(content):
        if budget.left <= 0:
            return
        part = object_of(item)
        text = part.get("text")
        if isinstance(text, str):
            yield {"type": "text", "content": budget.cut(text)}
            continue
        image = object_of(part.get("image_url")).get("url")
        if isinstance(image, str):
            yield _image(image, budget)
        audio = object_of(part.get("input_audio"))
        data = audio.get("data")
        if isinstance(data, str):
            mime_type = f"audio/{text_of(audio.get('format')) or 'wav'}"
            yield {"type": "blob", "modality": "audio", "mime_type": mime_type, "content": budget.cut(data)}
        file_id = text_of(object_of(part.get("file")).get("file_id"))
        if file_id is not None:
            yield {"type": "file", "modality": "document", "mime_type": None, "file_id": file_id}


def _image(url: str, budget: _Budget) -> Message:
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime_type = head.removeprefix("data:").removesuffix(";base64")
        return {"type": "blob", "modality": "image", "mime_type": mime_type, "content": budget.cut(data)}
    return {"type": "uri", "modality": "image", "mime_type": None, "uri": budget.cut(url)}
