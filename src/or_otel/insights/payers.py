"""Who paid for the calls of a key to a provider, call by call → when an own provider key stops paying.

OpenRouter asks an owner's own provider keys first and, when they fail, goes on with its shared capacity: the
answer looks the same, and the credits pay ("BYOK", seen 2026-08).
"""

from __future__ import annotations

import threading

BYOK_TO_CREDITS = "byok_to_credits"
"""The rule that holds without a policy: what an own provider key paid is not to fall on the credits unseen."""
MAX_PAYERS = 1024


class Payers:
    """Remembers who paid for a key's calls to a provider; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._was_byok: dict[tuple[str | None, str], bool] = {}

    def falls_on_credits(self, key_id: str | None, provider: str | None, *, is_byok: bool | None) -> bool:
        """Take who paid for a call, and say whether the credits did where an own provider key did before."""
        if is_byok is None or provider is None:
            return False
        place = (key_id, provider)
        with self._lock:
            was_byok = self._was_byok.pop(place, False)
            self._was_byok[place] = is_byok
            if len(self._was_byok) > MAX_PAYERS:
                del self._was_byok[next(iter(self._was_byok))]
        return was_byok and not is_byok

    def after_fork(self) -> None:
        """Replace the lock, which a thread that is lost may hold."""
        self._lock = threading.Lock()
