from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard

from or_otel.wire import encoding
from or_otel.wire.encoding import decoder_for

TEXT = b"data: {}\n\n" * 500


def _raw(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        (None, TEXT),
        ("identity", TEXT),
        ("GZIP", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]) + b"\0\0"),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", _raw(TEXT)),
        ("br", brotli.compress(TEXT)),
        ("zstd", zstandard.compress(TEXT)),
        ("gzip, br", brotli.compress(gzip.compress(TEXT))),
    ],
    # Named, for pytest would take the bytes: gzip writes the time of day into them.
    ids=["none", "identity", "upper case", "two members", "deflate", "raw deflate", "br", "zstd", "two codings"],
)
@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_a_coding_is_undone_however_the_bytes_are_cut(coding, packed, size):
    decoder = decoder_for(coding)

    decoded = b"".join(decoder.feed(packed[at : at + size]) for at in range(0, len(packed), size))

    assert decoded == TEXT
    assert not decoder.is_blind


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
def test_corrupt_input_makes_it_blind_for_good(coding):
    decoder = decoder_for(coding)

    assert decoder.feed(b"\xff" * 400) == b""
    assert decoder.is_blind
    assert decoder.feed(gzip.compress(TEXT)) == b""


def test_an_unknown_coding_is_blind_from_the_start():
    decoder = decoder_for("gzip, rot13")

    assert decoder.is_blind
    assert decoder.feed(b"abc") == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_makes_it_blind(coding, monkeypatch):
    monkeypatch.setattr(encoding, "MAX_FEED_BYTES", 1000)
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}[coding]
    decoder = decoder_for(coding)

    assert decoder.feed(pack(bytes(10**6))) == b""
    assert decoder.is_blind
