"""Multipart forms: the short fields that tell what is asked, written anew, while files stay untouched.

For uploads that cannot be read without consuming them. Knows no HTTP library: their sensors hand over names and values.
"""

from __future__ import annotations

from collections.abc import Iterable

TELLING = ("model", "stream")
MAX_FIELD = 256


def form_of(fields: Iterable[tuple[object, object]]) -> bytes:
    """Write a form of those fields that tell what is asked.

    Args:
        fields: Names and values; a file's value is neither text nor bytes.
    """
    return b"".join(
        b'--\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (name.encode(), value.encode() if isinstance(value, str) else value)
        for name, value in fields
        if isinstance(name, str) and name in TELLING and isinstance(value, (str, bytes)) and len(value) <= MAX_FIELD
    )
