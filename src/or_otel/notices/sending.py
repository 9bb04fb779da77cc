"""Notices → Slack, e-mail, a webhook, and whatever else Apprise reaches by a URL.

Apprise comes with the extra `or-otel[notify]` and is imported at the first notice. Addresses hold
credentials: they are never logged, never in an error, and remembered only as a mark of 12 hex digits.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from types import ModuleType

from or_otel.guard import guarded
from or_otel.notices.rules import Notice, NoticeState

MARK_DIGITS = 12
TITLE = "or-otel"


class NotifyMissingError(Exception):
    """Notices are wanted and the library that sends them is not installed."""

    def __init__(self) -> None:
        super().__init__("notices need the extra or-otel[notify]: pip install 'or-otel[notify]'")


def mark_of(url: str) -> str:
    """Name an address without telling it."""
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:MARK_DIGITS]


def unusable(urls: Iterable[str]) -> tuple[int, ...]:
    """Give which addresses Apprise does not understand, by their place from 0.

    Raises:
        NotifyMissingError: The extra is not installed.
    """
    apprise = _apprise()
    return tuple(place for place, url in enumerate(urls) if not apprise.Apprise().add(url))


def send(
    state: NoticeState, urls: Iterable[str], *, keep: Callable[[NoticeState], None] = lambda _: None
) -> NoticeState:
    """Deliver what waits, each notice to each address once.

    Args:
        state: What waits.
        urls: Apprise URLs.
        keep: Called after each delivery with the state so far, so that a process that dies in the middle
            does not send the same twice when it comes back.

    Returns:
        The state with what could not be delivered still waiting, for the next round. An address that
        vanished from `urls` is waited for no longer; without any address nothing waits.

    Raises:
        NotifyMissingError: The extra is not installed.
    """
    by_mark = {mark_of(url): url for url in urls}
    if not state.waiting or not by_mark:
        return NoticeState(told=state.told)
    apprise = _apprise()
    left = dict(enumerate(state.waiting))
    silent: set[str] = set()
    for place, (notice, marks) in enumerate(state.waiting):
        still = [mark for mark in (by_mark if marks is None else marks) if mark in by_mark]
        for mark in tuple(still):
            # An address that does not answer may cost seconds: it is asked once a round.
            if mark in silent or not _deliver(apprise, by_mark[mark], notice):
                silent.add(mark)
                continue
            still.remove(mark)
            left[place] = (notice, tuple(still))
            keep(NoticeState(told=state.told, waiting=_open(left.values())))
        left[place] = (notice, tuple(still))
    return NoticeState(told=state.told, waiting=_open(left.values()))


def _open(
    waiting: Iterable[tuple[Notice, tuple[str, ...] | None]],
) -> tuple[tuple[Notice, tuple[str, ...] | None], ...]:
    return tuple((notice, marks) for notice, marks in waiting if marks is None or marks)


def _apprise() -> ModuleType:
    try:
        import apprise  # noqa: PLC0415 -- optional, and slow to import
    except ImportError as error:
        raise NotifyMissingError from error
    module: ModuleType = apprise
    return module


def _asset(apprise: ModuleType) -> object:
    """Have Apprise send on this thread.

    With a limit of time for a whole address, which Apprise 2.2 sets, it sends on a pool of threads. Ctrl-C while that
    pool starts a thread makes a process that never ends: the pool does not know of the thread and is waited for all
    the same. Each read of an answer has a limit of its own.
    """
    kind = apprise.AppriseAsset
    return kind(service_timeout=0) if "service_timeout" in inspect.signature(kind).parameters else kind()


@guarded("notices.send", default=False)
def _deliver(apprise: ModuleType, url: str, notice: Notice) -> bool:
    """Send one notice to one address; False when it did not arrive."""
    room = apprise.Apprise(asset=_asset(apprise))
    if not room.add(url):
        return False
    kinds = apprise.NotifyType
    kind = {"info": kinds.INFO, "warning": kinds.WARNING, "critical": kinds.FAILURE}[notice.severity]
    return bool(
        room.notify(
            body=notice.text,
            title=f"{TITLE}: {notice.title}",
            notify_type=kind,
            body_format=apprise.NotifyFormat.TEXT,
            attach=notice.attachment,
        )
    )
