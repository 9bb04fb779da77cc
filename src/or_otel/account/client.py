"""Questions to the account API, answers as values of `or_otel.accounts`.

Knows HTTP and which key may ask what; reading is `wire.account`'s, schedules are the poller's. Every failure is an
`AccountError`. Requests carry the key and a user agent, no cookie and nothing of the host's; they follow no redirect,
and OpenTelemetry is told to look away. One client is for one thread at a time.
Source: OpenRouter Python SDK 1.3.84 and API reference, seen 2026-08 to 2026-11.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from opentelemetry.instrumentation.utils import suppress_instrumentation

from or_otel.account.errors import (
    API_KEY,
    FIRST_ERROR,
    MANAGEMENT_KEY,
    Access,
    AccountError,
    UnavailableError,
    UnreadableError,
    no_key,
    refusal,
    retry_after_s,
)
from or_otel.accounts import (
    DEFAULT_BASE_URL,
    AccountKey,
    ActivityRow,
    AnalyticsMeta,
    AnalyticsRow,
    Credits,
    Generation,
    Guardrail,
    Member,
    Model,
    ModelEndpoint,
    Provider,
    Workspace,
)
from or_otel.version import own_version
from or_otel.wire import account as wire
from or_otel.wire.listings import Listing, UnreadableAnswerError

T = TypeVar("T")

TIMEOUT_S = 10.0
"""For connecting, and between two pieces of an answer."""
PATIENCE_S = 60.0
"""For one whole answer: a server that drips must not hold up the other endpoints."""
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Far beyond 30 days of activity of a large account, or the list of all models."""
MAX_PAGES = 1_000
OK = 200


class AccountClient:
    """Asks the account API; a context manager.

    Args:
        base_url: Of the API, such as `https://openrouter.ai/api/v1`.
        api_key: Asks about itself and, if there is no management key, everything else too.
        management_key: Asks about the account.
        transport: Stands in for the network.
        timeout_s: For connecting, and between two pieces of an answer.
        clock: Gives seconds that never go back.

    Attributes:
        strange_rows: Rows that could not be read so far, by endpoint.

    Raises:
        ValueError: The URL or a key cannot be one.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        api_key: str | None = None,
        management_key: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.strange_rows: Counter[str] = Counter()
        self._key = _checked(api_key, API_KEY)
        self._management_key = _checked(management_key, MANAGEMENT_KEY)
        self._clock = clock
        self._http = httpx.Client(
            base_url=_checked_url(base_url),
            headers={"user-agent": f"or-otel/{own_version()}"},
            # The edge sets cookies; they would join what is asked with different keys.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=timeout_s,
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # The asking key ---------------------------------------------------------------------------------------------------

    def key(self) -> AccountKey:
        """Tell about the asking key: the ordinary one, if both kinds are at hand."""
        return self._read("/key", wire.read_key, access="any")

    def generation(self, generation_id: str) -> Generation:
        """Tell about one generation; `NotFoundError` for some seconds after its end, and for another account's."""
        return self._read("/generation", wire.read_generation, access="any", params={"id": generation_id})

    # The account ------------------------------------------------------------------------------------------------------

    def credits(self) -> Credits:
        """Tell what was bought and used."""
        return self._read("/credits", wire.read_credits)

    def keys(self, workspace_ids: Iterable[str] = ()) -> tuple[AccountKey, ...]:
        """List the keys, disabled and expired ones too.

        Args:
            workspace_ids: Without any, the API lists those of the default workspace only.
        """
        every = {"include_disabled": "true", "include_expired": "true"}
        found = {key.hash: key for key in self._pages("/keys", wire.read_keys, _hash, every)}
        listed = {key.workspace_id for key in found.values()}
        for workspace_id in workspace_ids:
            if workspace_id not in listed:
                params = every | {"workspace_id": workspace_id}
                found |= {key.hash: key for key in self._pages("/keys", wire.read_keys, _hash, params)}
        return tuple(found.values())

    def activity(
        self, *, day: date | None = None, key_hash: str | None = None, workspace_id: str | None = None
    ) -> Listing[ActivityRow]:
        """List what was booked for closed UTC days: the last 30, or one; and how many rows could not be read."""
        asked = {"date": day.isoformat() if day else None, "api_key_hash": key_hash, "workspace_id": workspace_id}
        return self._rows(
            "/activity",
            lambda body: wire.read_activity(body, key_hash=key_hash, workspace_id=workspace_id),
            params={name: value for name, value in asked.items() if value is not None},
        )

    def analytics_meta(self) -> AnalyticsMeta:
        """Tell what `analytics` may be asked."""
        return self._read("/analytics/meta", wire.read_analytics_meta)

    def analytics(
        self,
        metrics: Sequence[str],
        dimensions: Sequence[str] = (),
        *,
        granularity: str | None = None,
        between_s: tuple[float, float] | None = None,
        filters: Sequence[Mapping[str, object]] = (),
        limit: int | None = None,
    ) -> Listing[AnalyticsRow]:
        """Ask for figures.

        Args:
            metrics: Names from `analytics_meta`.
            dimensions: At most two.
            granularity: Such as `day`.
            between_s: Unix times; None is the last 7 days.
            filters: `{field, operator, value}`.
            limit: Of rows; the listing says whether it cut.
        """
        query: dict[str, object] = {"metrics": list(metrics)}
        if dimensions:
            query["dimensions"] = list(dimensions)
        if granularity is not None:
            query["granularity"] = granularity
        if between_s is not None:
            query["time_range"] = dict(zip(("start", "end"), map(_iso, between_s), strict=True))
        if filters:
            query["filters"] = [dict(each) for each in filters]
        if limit is not None:
            query["limit"] = limit
        return self._rows(
            "/analytics/query",
            lambda body: wire.read_analytics(body, metrics=metrics, dimensions=dimensions),
            query=query,
        )

    def workspaces(self) -> tuple[Workspace, ...]:
        """List the workspaces."""
        return tuple(self._pages("/workspaces", wire.read_workspaces, lambda row: row.id))

    def members(self) -> tuple[Member, ...]:
        """List the members of the organisation."""
        return tuple(self._pages("/organization/members", wire.read_members, lambda row: row.id))

    def guardrails(self) -> tuple[Guardrail, ...]:
        """List the guardrails."""
        return tuple(self._pages("/guardrails", wire.read_guardrails, lambda row: row.id))

    # The market -------------------------------------------------------------------------------------------------------

    def models(self) -> tuple[Model, ...]:
        """List all models: one answer, or as many as the server says."""
        found: dict[str, Model] = {}
        offset: int | None = None
        for _ in range(MAX_PAGES):
            params = {} if offset is None else {"offset": str(offset)}
            page = self._rows("/models", wire.read_models, access="public", params=params)
            fresh = {model.id: model for model in page.rows if model.id not in found}
            found |= fresh
            if not fresh or page.next_offset is None or page.next_offset <= (offset or 0):
                break
            offset = page.next_offset
        return tuple(found.values())

    def endpoints(self, model: str) -> tuple[ModelEndpoint, ...]:
        """List who offers a model; latency and throughput are told only to a key."""
        path = f"/models/{quote(model, safe='/~:@')}/endpoints"
        return self._rows(path, wire.read_endpoints, access="public", endpoint="/models/…/endpoints").rows

    def providers(self) -> tuple[Provider, ...]:
        """List the providers."""
        return self._rows("/providers", wire.read_providers, access="public").rows

    # Asking -----------------------------------------------------------------------------------------------------------

    def _pages(
        self,
        endpoint: str,
        read: Callable[[bytes], Listing[T]],
        identity: Callable[[T], Hashable],
        params: Mapping[str, str] | None = None,
    ) -> Iterator[T]:
        """Raise the offset by what came until a page is empty, or repeats: a server may not know offsets."""
        seen: set[Hashable] = set()
        offset = 0
        for _ in range(MAX_PAGES):
            page = self._rows(endpoint, read, params={**(params or {}), "offset": str(offset)})
            fresh = [row for row in page.rows if identity(row) not in seen]
            yield from fresh
            seen.update(map(identity, fresh))
            if not fresh:
                return
            offset += page.received_count

    def _rows(
        self,
        path: str,
        read: Callable[[bytes], Listing[T]],
        *,
        access: Access = "management",
        params: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        endpoint: str | None = None,
    ) -> Listing[T]:
        listing = self._read(path, read, access=access, params=params, query=query, endpoint=endpoint)
        if listing.strange_count:
            self.strange_rows[endpoint or path] += listing.strange_count
        return listing

    def _read(
        self,
        path: str,
        read: Callable[[bytes], T],
        *,
        access: Access = "management",
        params: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        endpoint: str | None = None,
    ) -> T:
        endpoint = endpoint or path
        headers = self._authorization(endpoint, access)
        body = self._ask(endpoint, access, path, headers, params=params, query=query)
        try:
            return read(body)
        except UnreadableAnswerError as error:
            if error.status is not None and error.status >= FIRST_ERROR:
                raise refusal(endpoint, error.status, access, asked_with=self._asks_with(access)) from None
            raise UnreadableError(endpoint, "unreadable", f"{error}; check OR_OTEL_BASE_URL") from None

    def _asks_with(self, access: Access) -> str:
        """Name the variable that gives the key for a question."""
        is_management = self._management_key is not None and (access == "management" or self._key is None)
        return MANAGEMENT_KEY if is_management else API_KEY

    def _authorization(self, endpoint: str, access: Access) -> Mapping[str, str]:
        key = self._management_key if self._asks_with(access) == MANAGEMENT_KEY else self._key
        if key is not None:
            return {"authorization": f"Bearer {key}"}
        if access == "public":
            return {}
        raise no_key(endpoint, access)

    def _ask(
        self,
        endpoint: str,
        access: Access,
        path: str,
        headers: Mapping[str, str],
        *,
        params: Mapping[str, str] | None,
        query: Mapping[str, object] | None,
    ) -> bytes:
        request = self._http.build_request(
            "GET" if query is None else "POST", path, params=params, json=query, headers=headers
        )
        failure: AccountError
        try:
            with suppress_instrumentation():
                response = self._http.send(request, stream=True, follow_redirects=False)
                try:
                    if response.status_code == OK:
                        return self._body(endpoint, response)
                    wait_s = retry_after_s(response.headers.get)
                    asked_with = self._asks_with(access)
                    failure = refusal(endpoint, response.status_code, access, wait_s, asked_with=asked_with)
                finally:
                    response.close()
        except httpx.DecodingError as error:
            failure = UnreadableError(endpoint, type(error).__name__, "its compression is broken; try again later")
        except (httpx.HTTPError, httpx.StreamError) as error:
            word = type(error).__name__
            failure = UnavailableError(
                endpoint, word, f"no answer ({word}); check network, proxy (HTTPS_PROXY) and OR_OTEL_BASE_URL"
            )
        # Outside of `except`: httpx errors hold the request, and the request holds the key.
        raise failure

    def _body(self, endpoint: str, response: httpx.Response) -> bytes:
        until_s = self._clock() + PATIENCE_S
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise UnreadableError(endpoint, "too_large", f"its answer is larger than {MAX_BODY_BYTES} bytes")
            if self._clock() > until_s:
                raise UnavailableError(endpoint, "timeout", f"its answer took longer than {PATIENCE_S:g} s")
        return b"".join(pieces)


def _hash(key: AccountKey) -> str | None:
    return key.hash


# What is given --------------------------------------------------------------------------------------------------------


def _checked(key: str | None, name: str) -> str | None:
    key = (key or "").strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError(f"{name}: holds a character that no key has; copy the key again")
    return key or None


def _checked_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text.strip())
        is_whole = url.scheme in {"http", "https"} and bool(url.host) and urlsplit(text.strip()).port != 0
    except (httpx.InvalidURL, ValueError):  # the latter for a port out of range, which httpx takes
        is_whole = False
    # Credentials in the URL would take the place of the key.
    if not is_whole or url.userinfo:
        raise ValueError(f"OR_OTEL_BASE_URL: expected a URL without user and password, such as {DEFAULT_BASE_URL}")
    return url


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
