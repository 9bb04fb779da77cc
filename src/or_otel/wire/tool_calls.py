"""Tool-call fragments in, counts by worth out; no argument is kept.

Arguments are text that should be JSON and comes in pieces cut anywhere. They are checked
as they come by an automaton of bounded depth, so a long argument costs no memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from or_otel.facts import ToolCalls
from or_otel.wire.fields import count_of, items_of, object_of, text_of

MAX_CALLS = 1024
MAX_DEPTH = 512
"""Deeper arguments count as invalid; nobody's tools take them, and the stack stays small."""
NO_CALLS = ToolCalls()

_SPACE = " \t\n\r"
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_LITERALS = {"t": "rue", "f": "alse", "n": "ull"}
_HEX = frozenset("0123456789abcdefABCDEF")
_DIGITS = frozenset("0123456789")
# A number's states: which characters lead where. Those in _NUMBER_ENDS may be left.
_NUMBER: Mapping[str, Mapping[str, str]] = {
    "sign": {"0": "zero"} | dict.fromkeys("123456789", "whole"),
    "zero": {".": "point", "e": "exponent", "E": "exponent"},
    "whole": {".": "point", "e": "exponent", "E": "exponent"} | dict.fromkeys("0123456789", "whole"),
    "point": dict.fromkeys("0123456789", "fraction"),
    "fraction": {"e": "exponent", "E": "exponent"} | dict.fromkeys("0123456789", "fraction"),
    "exponent": {"+": "power sign", "-": "power sign"} | dict.fromkeys("0123456789", "power"),
    "power sign": dict.fromkeys("0123456789", "power"),
    "power": dict.fromkeys("0123456789", "power"),
}
_NUMBER_ENDS = frozenset({"zero", "whole", "fraction", "power"})


class JsonCheck:
    """Checks JSON text that comes in pieces.

    One state says what may come next: `value`, `value or ]`, `key or }`, `key`, `:`, `end`
    (a value is complete), `string`, `escape`, `hex`, `literal`, or a state of a number.
    """

    __slots__ = ("_expected", "_is_key", "_stack", "_state")

    def __init__(self) -> None:
        self._state = "value"
        self._stack: list[str] = []
        self._expected = ""
        self._is_key = False

    @property
    def is_valid(self) -> bool:
        """Whether what came so far is exactly one JSON value, or nothing but white space."""
        if self._stack:
            return False
        return self._state in {"value", "end"} or self._state in _NUMBER_ENDS

    def feed(self, text: str) -> None:
        """Take the next piece."""
        at, size = 0, len(text)
        while at < size and self._state != "broken":
            if self._state == "string":
                plain = _PLAIN.match(text, at)
                at = plain.end() if plain is not None else at
                if at == size:
                    return
            self._step(text[at])
            at += 1

    def _step(self, char: str) -> None:
        state = self._state
        if state in _NUMBER:
            following = _NUMBER[state].get(char)
            if following is not None:
                self._state = following
                return
            state = self._state = "end" if state in _NUMBER_ENDS else "broken"
        if state == "string":
            self._in_string(char)
        elif state == "escape":
            self._expected = "0000"
            self._state = "hex" if char == "u" else "string" if char in '"\\/bfnrt' else "broken"
        elif state == "hex":
            self._expected = self._expected[1:]
            self._state = "broken" if char not in _HEX else "hex" if self._expected else "string"
        elif state == "literal":
            is_right = char == self._expected[0]
            self._expected = self._expected[1:]
            self._state = "broken" if not is_right else "literal" if self._expected else "end"
        elif char not in _SPACE:
            self._between(state, char)

    def _in_string(self, char: str) -> None:
        if char == '"':
            self._state = ":" if self._is_key else "end"
            self._is_key = False
        else:
            self._state = "escape" if char == "\\" else "broken"

    def _between(self, state: str, char: str) -> None:
        if state == ":":
            self._state = "value" if char == ":" else "broken"
        elif state == "end":
            self._after_value(char)
        elif state in {"key", "key or }"}:
            if char == '"':
                self._is_key, self._state = True, "string"
            else:
                self._close(char, "}", is_allowed=state != "key")
        elif char == "]":
            self._close(char, "]", is_allowed=state == "value or ]")
        else:
            self._begin_value(char)

    def _begin_value(self, char: str) -> None:
        if char == '"':
            self._state = "string"
        elif char in "{[":
            self._stack.append(char)
            self._state = "key or }" if char == "{" else "value or ]"
            if len(self._stack) > MAX_DEPTH:
                self._state = "broken"
        elif char in _LITERALS:
            self._state, self._expected = "literal", _LITERALS[char]
        elif char in _DIGITS:
            self._state = "zero" if char == "0" else "whole"
        else:
            self._state = "sign" if char == "-" else "broken"

    def _after_value(self, char: str) -> None:
        if not self._stack:
            self._state = "broken"
        elif char == ",":
            self._state = "key" if self._stack[-1] == "{" else "value"
        else:
            self._close(char, "}" if self._stack[-1] == "{" else "]", is_allowed=True)

    def _close(self, char: str, wanted: str, *, is_allowed: bool) -> None:
        if char == wanted and is_allowed:
            self._stack.pop()
            self._state = "end"
        else:
            self._state = "broken"


class _Call:
    __slots__ = ("check", "id", "name")

    def __init__(self, call_id: str | None) -> None:
        self.id = call_id
        self.name: str | None = None
        self.check = JsonCheck()


class ToolCallCounter:
    """Collects the tool calls of all choices of one answer."""

    __slots__ = ("_calls", "_declared", "_open")

    def __init__(self, declared: frozenset[str] | None) -> None:
        """Set up.

        Args:
            declared: Names of the tools of the request; None when it declared none.
        """
        self._declared = declared
        self._calls: list[_Call] = []
        self._open: dict[tuple[int, int], _Call] = {}

    def feed(self, choice: int, value: object) -> None:
        """Take the `tool_calls` array of a delta or of a message."""
        for place, item in enumerate(items_of(value)):
            told = object_of(item)
            function = object_of(told.get("function"))
            call = self._call(choice, place, told, function)
            if call is None:
                continue
            call.name = call.name or text_of(function.get("name"))
            arguments = function.get("arguments")
            if isinstance(arguments, str):
                call.check.feed(arguments)

    def count(self) -> ToolCalls:
        """Count the calls by what they are worth now."""
        if not self._calls:
            return NO_CALLS
        valid = invalid = unknown = 0
        for call in self._calls:
            if not call.check.is_valid:
                invalid += 1
            elif self._declared is not None and call.name not in self._declared:
                unknown += 1
            else:
                valid += 1
        return ToolCalls(valid=valid, invalid_json=invalid, unknown_tool=unknown)

    def _call(
        self, choice: int, place: int, told: Mapping[str, object], function: Mapping[str, object]
    ) -> _Call | None:
        """Find the call a fragment belongs to.

        Some servers repeat index 0, or send none, for each of several whole calls: another
        id together with a name begins another call.
        """
        if not told:
            return None
        index = count_of(told.get("index"))
        key = (choice, place if index is None else index)
        call_id = text_of(told.get("id"))
        call = self._open.get(key)
        is_another = call is not None and call_id is not None and call.id not in {None, call_id}
        if call is None or (is_another and function.get("name")):
            if len(self._calls) >= MAX_CALLS:
                return None
            call = self._open[key] = _Call(call_id)
            self._calls.append(call)
        return call
