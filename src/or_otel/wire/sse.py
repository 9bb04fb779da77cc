"""Server-sent events: bytes in, `data:` payloads out.

Knows nothing of HTTP clients or of JSON. Any chunking of the same bytes gives the same
payloads. Nothing of a payload is kept once it was given.
Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""A longer line or event ends the reading: a stream without newlines must not fill the host's memory.

Images come as one base64 line of a few megabytes.
"""
BOM = b"\xef\xbb\xbf"


class EventStream:
    """Splits a stream into the payloads of its events.

    Attributes:
        is_blind: Whether an event was too long; nothing is read any more.
    """

    __slots__ = ("_data", "_data_bytes", "_has_begun", "_line", "_skips_newline", "is_blind")

    def __init__(self) -> None:
        self.is_blind = False
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._has_begun = False
        self._skips_newline = False

    @property
    def is_between_events(self) -> bool:
        """Whether nothing of an event is pending: what comes next starts afresh."""
        return self._has_begun and not self._line and not self._data

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the payloads of the events they complete."""
        if self.is_blind or not data:
            return []
        if not self._has_begun:
            data = self._begin(data)
        if self._skips_newline and data:
            self._skips_newline = False
            data = data.removeprefix(b"\n")
        if b"\n" not in data and b"\r" not in data:
            self._line += data
            self._check(len(self._line))
            return []
        if self._line:
            data = bytes(self._line) + data
            self._line.clear()
        lines = data.splitlines()
        if not data.endswith((b"\n", b"\r")):
            self._line += lines.pop()
        self._skips_newline = data.endswith(b"\r")
        payloads = [payload for line in lines if (payload := self._take(line)) is not None]
        self._check(len(self._line))
        return payloads

    def close(self) -> list[bytes]:
        """Give what the last event holds when the blank line behind it never came."""
        line, self._line = bytes(self._line), bytearray()
        payloads = [payload for each in (line, b"") if (payload := self._take(each)) is not None]
        return [] if self.is_blind else payloads

    def _begin(self, data: bytes) -> bytes:
        """Drop a byte order mark, also one that comes in pieces."""
        data = bytes(self._line) + data
        self._line.clear()
        if len(data) < len(BOM) and BOM.startswith(data):
            self._line += data
            return b""
        self._has_begun = True
        return data.removeprefix(BOM)

    def _take(self, line: bytes) -> bytes | None:
        if self.is_blind:
            return None
        if not line:
            if not self._data:
                return None
            payload = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            self._data.clear()
            self._data_bytes = 0
            return payload
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._data_bytes += len(value) + 1
        # Line by line, so that the bound does not depend on how the bytes were cut.
        self._check(max(len(line), self._data_bytes))
        return None

    def _check(self, pending: int) -> None:
        if pending > MAX_EVENT_BYTES:
            self.is_blind = True
            self._line.clear()
            self._data.clear()
