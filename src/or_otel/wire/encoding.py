"""Content codings: the bytes of the wire in, the bytes of the body out, for our eyes alone.

Corrupt input, an unknown coding or one without its library make a decoder blind: it then
gives nothing, and never raises. Output is bounded: a bomb must not fill the host's memory.
Libraries are imported when first needed; they are optional.
Source: RFC 9110 §8.4; RFC 8878 (zstd), RFC 7932 (br).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

MAX_FEED_BYTES = 64 * 1024 * 1024
"""More from one piece of network data is a bomb; a whole compressed body may come in one."""
PIECE_BYTES = 512
"""Input is fed in pieces so small that even a bomb's piece stays bearable where a library cannot bound its output."""
MAX_CODINGS = 4
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class Decoder(Protocol):
    """Decodes one body.

    Attributes:
        is_blind: Whether it gave up; it gives nothing any more.
    """

    @property
    def is_blind(self) -> bool: ...  # noqa: D102 -- described above

    def feed(self, data: bytes) -> bytes:
        """Give what the next bytes decode to."""


class _CorruptError(Exception):
    """What a coding raises for input it cannot decode, whatever its library calls it."""


Coding = Callable[[bytes], bytes]


def decoder_for(content_encoding: str | None) -> Decoder:
    """Choose the decoder for a `Content-Encoding` header; several codings are undone last first."""
    names = [name for word in (content_encoding or "").split(",") if (name := word.strip().lower())]
    names = [name for name in names if name != "identity"]
    if not names:
        return _Identity()
    codings = [coding() for name in reversed(names) if (coding := _CODINGS.get(name)) is not None]
    known = [coding for coding in codings if coding is not None]
    return _Chain(known if len(known) == len(names) <= MAX_CODINGS else None)


class _Identity:
    is_blind = False

    def feed(self, data: bytes) -> bytes:
        return data


class _Chain:
    """Undoes one coding after the other; blind without any."""

    def __init__(self, codings: list[Coding] | None) -> None:
        self.is_blind = codings is None
        self._codings = codings or []

    def feed(self, data: bytes) -> bytes:
        if self.is_blind:
            return b""
        try:
            for coding in self._codings:
                data = coding(data)
        except _CorruptError:
            self.is_blind = True
            self._codings = []
            return b""
        return data


class _Output:
    """Collects decoded pieces up to the bound."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def room(self) -> int:
        return MAX_FEED_BYTES - self._size + 1

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MAX_FEED_BYTES:
            raise _CorruptError
        self._pieces.append(piece)

    def joined(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


class _Zlib:
    """gzip, also of several members, and deflate, with its zlib header or, as some servers send it, without."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._inner = zlib.decompressobj(window_bits)
        self._held: bytes | None = b""
        """What came before the first output, kept to try it as raw deflate; None when that is settled."""

    def __call__(self, data: bytes) -> bytes:
        output = _Output()
        try:
            self._inflate(data, output)
        except zlib.error as error:
            if self._held is None or self._window_bits == GZIP_OR_ZLIB:
                raise _CorruptError from error
            data, self._held = self._held + data, None
            self._window_bits = -zlib.MAX_WBITS
            self._inner = zlib.decompressobj(self._window_bits)
            output = _Output()
            try:
                self._inflate(data, output)
            except zlib.error as raw_error:
                raise _CorruptError from raw_error
            return output.joined()
        decoded = output.joined()
        if self._held is not None:
            self._held = None if decoded else self._held + data
        return decoded

    def _inflate(self, data: bytes, output: _Output) -> None:
        while data:
            if self._inner.eof:
                if self._window_bits != GZIP_OR_ZLIB or not data.startswith(b"\x1f"):
                    return  # padding behind the last member
                self._inner = zlib.decompressobj(self._window_bits)
            output.add(self._inner.decompress(data, output.room))
            data = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail


class _Pieces:
    """A library's decompressor that cannot bound its output: it is fed in small pieces."""

    def __init__(self, decompress: Callable[[bytes], bytes], error: type[Exception]) -> None:
        self._decompress = decompress
        self._error = error

    def __call__(self, data: bytes) -> bytes:
        output = _Output()
        for start in range(0, len(data), PIECE_BYTES):
            try:
                output.add(self._decompress(data[start : start + PIECE_BYTES]))
            except self._error as error:
                raise _CorruptError from error
        return output.joined()


class _BrotliBounded:
    """Brotli from version 1.2 on, which bounds its output; needed, for its ratio knows no bound."""

    def __init__(self, brotli: Any) -> None:
        self._inner = brotli.Decompressor()
        self._error: type[Exception] = brotli.error

    def __call__(self, data: bytes) -> bytes:
        output = _Output()
        if not data:
            return b""
        try:
            output.add(self._inner.process(data, output_buffer_limit=MAX_FEED_BYTES))
            while not self._inner.can_accept_more_data():
                output.add(self._inner.process(b"", output_buffer_limit=MAX_FEED_BYTES))
        except self._error as error:
            raise _CorruptError from error
        return output.joined()


class _Zstd:
    """zstd of the standard library (Python 3.14) and of its backport: bounded, one object per frame."""

    def __init__(self, zstd: Any) -> None:
        self._zstd = zstd
        self._inner = zstd.ZstdDecompressor()

    def __call__(self, data: bytes) -> bytes:
        output = _Output()
        try:
            while data or not (self._inner.eof or self._inner.needs_input):
                if self._inner.eof:
                    self._inner = self._zstd.ZstdDecompressor()
                output.add(self._inner.decompress(data, output.room))
                data = self._inner.unused_data if self._inner.eof else b""
        except self._zstd.ZstdError as error:
            raise _CorruptError from error
        return output.joined()


def _gzip() -> Coding:
    return _Zlib(GZIP_OR_ZLIB)


def _deflate() -> Coding:
    return _Zlib(zlib.MAX_WBITS)


def _brotli() -> Coding | None:
    module = _imported("brotli") or _imported("brotlicffi")
    if module is None:
        return None
    if hasattr(module.Decompressor, "can_accept_more_data"):
        return _BrotliBounded(module)
    inner = module.Decompressor()
    return _Pieces(inner.process if hasattr(inner, "process") else inner.decompress, module.error)


def _zstd() -> Coding | None:
    module = _imported("compression.zstd") or _imported("backports.zstd")
    if module is not None:
        return _Zstd(module)
    zstandard = _imported("zstandard")
    if zstandard is None:
        return None
    inner = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    return _Pieces(inner.decompress, zstandard.ZstdError)


def _imported(name: str) -> Any | None:
    try:
        return import_module(name)
    except ImportError:
        return None


_CODINGS: dict[str, Callable[[], Coding | None]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
