"""How the simulated server answers without a script: a small OpenRouter that routes, counts, prices and bills.

One request in, one scenario out. Knows the market and the account; knows nothing of sockets.
Tokens are a quarter of the characters, so that the same request always costs the same.

A workload that can only send requests stages trouble with the header `X-Simulator`, a `;` list of:
`fail <provider slug> <status>` (that provider fails this request) · `refuse <status>` (refused once, served when
sent again) · `hold <count>` (nothing more after so many deltas, until the client leaves) ·
`break <count>` (an error chunk after so many deltas). The real service has no such header.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from or_otel.facts import RouteAttempt, Usage
from or_otel.simulator import shapes
from or_otel.simulator.account import Account, Key
from or_otel.simulator.analytics import analytics
from or_otel.simulator.generations import Generations, generation_body
from or_otel.simulator.listings import listing
from or_otel.simulator.market import ALIASES, PRESETS, ROUTERS, SUFFIX_SORTS, Model, Offer, model_named, price_of
from or_otel.simulator.scenarios import (
    Answer,
    Chunk,
    Pause,
    Received,
    Scenario,
    Step,
    ToolCall,
    Wait,
    cache_hit,
    error,
    error_mid_stream,
    generation_id,
    invalid_model,
    metadata,
    no_endpoints,
    plain,
    provider_error,
    rate_limited,
    stream,
)
from or_otel.simulator.statements import Statements

__all__ = ["Behaviour", "RefusalError", "generation_body"]

OK = 200
TOO_MANY = 429
CACHEABLE_TOKENS = 1024
"""Shorter prompts are not cached by any provider."""
CACHE_TTL_S = 300
IMAGE_TOKENS = 1290
"""Output tokens of one image."""
HEARD_TOKENS = 42
"""Input tokens of any recording: its sound is not looked at."""
VIDEO_TOKENS = 10_000
"""Output tokens of one second of video."""
VIDEO_S = 4
BATCH_DISCOUNT = Decimal("0.5")
TEXT = (
    "The river was calm that morning and the ferry left on time. Nobody on the deck spoke much, "
    "but the harbour behind them was already loud with carts, gulls and the calling of prices."
)
THOUGHT = "First the question, then what is known about it, then the shortest honest answer."

Json = Mapping[str, object]


class RefusalError(Exception):
    """The request is answered with an error."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario.status)
        self.scenario = scenario


@dataclass(slots=True)
class _Trouble:
    status: int
    times: int | None
    retry_after_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """Who serves, and what was tried."""

    model: Model
    offer: Offer
    is_byok: bool
    attempts: tuple[RouteAttempt, ...]
    candidates: tuple[tuple[str, str], ...]
    requested: str
    strategy: str


@dataclass(slots=True)
class _Job:
    """Work asked about later: how it stands until then, and how it ends."""

    running: Scenario
    ended: Scenario
    polls_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request, read."""

    received: Received
    body: Json
    key: Key
    staged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_stream(self) -> bool:
        return self.body.get("stream") is True

    @property
    def wants_metadata(self) -> bool:
        return self.received.headers.get("x-openrouter-metadata", "").lower() == "enabled"


class Behaviour:
    """Answers requests as OpenRouter would.

    Attributes:
        account: Keys and credits.
        generations: What `/generation` tells, and how late.
        pace_s: Time between the deltas of a stream.
        polls_until_ended: How often a video, batch or background response is told unfinished when asked about.
        is_answer_dated: Whether answers name the dated model, as OpenRouter did in early 2026.
    """

    def __init__(self, *, account: Account, pace_s: float = 0.0) -> None:
        self.account = account
        self.generations = Generations(account)
        self.pace_s = pace_s
        self.polls_until_ended = 1
        self.is_answer_dated = False
        self._statements = Statements(account)
        self._troubles: dict[str, _Trouble] = {}
        self._prefixes: set[str] = set()
        self._replays: dict[str, tuple[Answer, float]] = {}
        self._refused: set[str] = set()
        self._stored: dict[str, Json] = {}
        self._jobs: dict[str, _Job] = {}
        self._inference: dict[str, Callable[[_Asked], Scenario]] = {
            "/chat/completions": self._chat,
            "/completions": self._completions,
            "/responses": self._responses,
            "/messages": self._messages,
            "/embeddings": self._embeddings,
            "/rerank": self._rerank,
            "/images": self._images,
            "/images/generations": self._images,
            "/audio/speech": self._speech,
            "/audio/transcriptions": self._transcription,
            "/videos": self._videos,
            "/batches": self._batches,
        }

    @property
    def generation_not_found_first(self) -> int:
        """How often `/generation` answers 404 for each id before it knows it."""
        return self.generations.not_found_first

    @generation_not_found_first.setter
    def generation_not_found_first(self, reads: int) -> None:
        self.generations.not_found_first = reads

    def fail(self, name: str, status: int, *, times: int | None = None, retry_after_s: int | None = None) -> None:
        """Let a provider (display name) or a model (slug) fail, always or so many times."""
        self._troubles[name] = _Trouble(status=status, times=times, retry_after_s=retry_after_s)

    def recover(self, name: str) -> None:
        """End the trouble of a provider or a model."""
        self._troubles.pop(name, None)

    def answer(self, request: Received) -> Scenario:
        """Answer one request."""
        url = urlsplit(request.path)
        path = url.path.removeprefix("/api/v1")
        query = dict(parse_qsl(url.query))
        if request.method == "POST" and path in self._inference:
            try:
                return self._inference[path](self._asked(request))
            except RefusalError as refusal:
                return shapes.anthropic_error(refusal.scenario) if path == "/messages" else refusal.scenario
        told = self._told(path, query, request) if request.method == "GET" else None
        if (request.method, path) == ("POST", "/analytics/query"):
            told = analytics(self.account, path, request)
        return told or error(404, "Not Found")

    def _told(self, path: str, query: dict[str, str], request: Received) -> Scenario | None:
        """Answer what is asked by GET; None when nothing is there."""
        if path.startswith(("/responses/", "/videos/", "/batches/")):
            return self._fetched(path[1:].partition("/")[2], request)
        if path == "/analytics/meta":
            return analytics(self.account, path, request)
        is_key_shown = request.key is not None and isinstance(self.account.authorised(request), Key)
        return (
            listing(path, query, failing=self._troubles, is_key_shown=is_key_shown)
            or self.generations.answer(path, query, request)
            or self._statements.answer(path, query, request)
        )

    # Inference ----------------------------------------------------------------------------------

    def _asked(self, request: Received) -> _Asked:
        key = self.account.may_spend(request)
        if isinstance(key, Scenario):
            raise RefusalError(key)
        try:
            is_form = "multipart" in request.headers.get("content-type", "")
            body = _form(request.body) if is_form else json.loads(request.body, parse_float=Decimal)
        except ValueError:
            raise RefusalError(error(400, "The body is not valid JSON")) from None
        if not isinstance(body, dict):
            raise RefusalError(error(400, "The body must be a JSON object"))
        staged: dict[str, tuple[str, ...]] = {}
        for part in request.headers.get("x-simulator", "").split(";"):
            word, *values = part.split() or [""]
            staged[word] = staged.get(word, ()) + tuple(values)
        asked = _Asked(received=request, body=body, key=key, staged=staged)
        if "refuse" in staged:
            self._refuse_once(asked)
        return asked

    def _refuse_once(self, asked: _Asked) -> None:
        mark = hashlib.sha256(asked.received.body + asked.key.hash.encode()).hexdigest()
        if mark in self._refused:
            self._refused.discard(mark)
            return
        self._refused.add(mark)
        status = int(asked.staged["refuse"][0])
        raise RefusalError(rate_limited() if status == TOO_MANY else error(status, "Refused once"))

    def _chat(self, asked: _Asked) -> Scenario:
        messages = asked.body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise RefusalError(error(400, 'Input required: give "messages"'))
        mark, replay = self._replayed(asked)
        if replay is not None:
            return replay
        answer = self._answer(asked, _texts(messages))
        if mark is not None:
            self._replays[mark] = (answer, time.monotonic())
        if "break" in asked.staged:
            return error_mid_stream(answer, after=int(asked.staged["break"][0]))
        scenario = self._paced(stream(answer, comments=0), asked) if asked.is_stream else plain(answer)
        if mark is not None:
            told = (("x-openrouter-cache-status", "MISS"), ("x-openrouter-cache-ttl", str(CACHE_TTL_S)))
            return replace(scenario, headers=scenario.headers + told)
        return scenario

    def _responses(self, asked: _Asked) -> Scenario:
        given, said = asked.body.get("input"), asked.body.get("instructions")
        texts = [given] if isinstance(given, str) else _texts(given if isinstance(given, list) else [])
        if not any(texts):
            raise RefusalError(error(400, 'Input required: give "input"'))
        answer = self._answer(asked, [*([said] if isinstance(said, str) else []), *texts])
        if asked.body.get("background") is True and not asked.is_stream:
            running = shapes.background_response(answer, "in_progress")
            self._begin(answer, running, shapes.background_response(answer))
            return shapes.background_response(answer, "queued")
        is_stored = asked.body.get("store") is True
        if is_stored:
            self._stored[answer.id] = shapes.response_body(answer, is_stored=True)
        if "break" in asked.staged:
            return shapes.response_failing_stream(answer, after=int(asked.staged["break"][0]))
        if asked.is_stream:
            return self._paced(shapes.response_stream(answer, is_stored=is_stored), asked)
        return shapes.response(answer, is_stored=is_stored)

    def _fetched(self, name: str, request: Received) -> Scenario:
        """Tell a stored response again, or how a job stands."""
        key = self.account.authorised(request)
        if isinstance(key, Scenario):
            return key
        job = self._jobs.get(name)
        if job is not None:
            job.polls_left -= 1
            if job.polls_left >= 0:
                return job.running
            ended, job.ended = job.ended, replace(job.ended, bill=None)  # who asks again is not who pays
            return ended
        body = self._stored.get(name)
        return error(404, "Not found") if body is None else Scenario(body=body)

    def _begin(self, answer: Answer, running: Scenario, ended: Scenario) -> None:
        self._jobs[answer.id] = _Job(running=running, ended=ended, polls_left=self.polls_until_ended)

    def _videos(self, asked: _Asked) -> Scenario:
        _required(asked, "prompt")
        seconds = asked.body.get("duration")
        seconds = seconds if isinstance(seconds, int) and seconds > 0 else VIDEO_S
        answer = self._work(asked, "vid", 0, image_tokens=seconds * VIDEO_TOKENS)
        url = f"http://{asked.received.headers.get('host', 'openrouter.ai')}/api/v1"
        self._begin(answer, shapes.video(answer, "in_progress", url=url), shapes.video(answer, url=url))
        return replace(shapes.video(answer, "pending", url=url), status=202)

    def _batches(self, asked: _Asked) -> Scenario:
        requests = asked.body.get("requests")
        if not isinstance(requests, list) or not requests:
            raise RefusalError(error(400, 'Input required: give "requests"'))
        bodies = [_mapping(_mapping(each).get("body")) for each in requests]
        given = [body.get("messages") for body in bodies]
        tokens = sum(
            map(_tokens, _texts([each for messages in given if isinstance(messages, list) for each in messages]))
        )
        whole = self._work(asked, "batch", tokens, text=TEXT * len(requests))
        answer = replace(
            whole,
            model=_required(asked, "model"),
            input_cost=whole.input_cost * BATCH_DISCOUNT,
            output_cost=whole.output_cost * BATCH_DISCOUNT,
            fee=whole.fee * BATCH_DISCOUNT,
        )
        count = len(requests)
        self._begin(answer, shapes.batch(answer, "in_progress", count=count), shapes.batch(answer, count=count))
        return shapes.batch(answer, "validating", count=count)

    def _messages(self, asked: _Asked) -> Scenario:
        messages, system = asked.body.get("messages"), asked.body.get("system")
        if not isinstance(messages, list) or not messages:
            raise RefusalError(error(400, "messages: Field required"))
        before = [system] if isinstance(system, str) else _texts([{"content": system}] if system else [])
        answer = self._answer(asked, [*before, *_texts(messages)])
        if "break" in asked.staged:
            return shapes.message_failing_stream(answer, after=int(asked.staged["break"][0]))
        return self._paced(shapes.message_stream(answer), asked) if asked.is_stream else shapes.message(answer)

    def _completions(self, asked: _Asked) -> Scenario:
        answer = self._answer(asked, [_required(asked, "prompt")])
        scenario = shapes.completion(answer, is_stream=asked.is_stream)
        return self._paced(scenario, asked) if asked.is_stream else scenario

    def _embeddings(self, asked: _Asked) -> Scenario:
        given = asked.body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts:
            raise RefusalError(error(400, 'Input required: give "input"'))
        return shapes.embeddings(self._work(asked, "emb", sum(_tokens(str(text)) for text in texts)), count=len(texts))

    def _rerank(self, asked: _Asked) -> Scenario:
        documents = asked.body.get("documents")
        if not isinstance(documents, list) or not documents:
            raise RefusalError(error(400, 'Input required: give "documents"'))
        texts = [str(_mapping(each).get("text") or "") if isinstance(each, dict) else str(each) for each in documents]
        tokens = sum(map(_tokens, [_required(asked, "query"), *texts]))
        return shapes.ranking(self._work(asked, "rerank", tokens), texts)

    def _images(self, asked: _Asked) -> Scenario:
        count = asked.body.get("n")
        count = count if isinstance(count, int) and count > 0 else 1
        tokens = _tokens(_required(asked, "prompt"))
        return shapes.images(self._work(asked, "img", tokens, image_tokens=count * IMAGE_TOKENS), count=count)

    def _speech(self, asked: _Asked) -> Scenario:
        return shapes.speech(self._work(asked, "tts", len(_required(asked, "input"))))

    def _transcription(self, asked: _Asked) -> Scenario:
        answer = self._work(asked, "stt", HEARD_TOKENS, text=TEXT)
        return shapes.transcription(answer)

    def _work(
        self, asked: _Asked, kind: str, input_tokens: int, *, image_tokens: int | None = None, text: str | None = None
    ) -> Answer:
        """Make an answer without choices."""
        served = self._route(asked)
        output_tokens = image_tokens or (_tokens(text) if text else 0)
        input_cost, output_cost, _ = price_of(served.offer, input_tokens, output_tokens)
        return Answer(
            id=generation_id(f"gen-{kind}"),
            model=served.model.id.partition("/")[2],
            permaslug=served.model.permaslug,
            provider=served.offer.provider.name,
            content=text,
            usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens, image_output_tokens=image_tokens),
            input_cost=input_cost,
            output_cost=output_cost,
            fee=(input_cost + output_cost) * asked.key.fee_rate,
            is_byok=served.is_byok,
            attempts=served.attempts,
        )

    def _paced(self, scenario: Scenario, asked: _Asked) -> Scenario:
        hold = int(asked.staged["hold"][0]) if "hold" in asked.staged else None
        steps: list[Step] = []
        deltas = 0
        for step in scenario.steps or ():
            if isinstance(step, Chunk) and step.is_content:
                if deltas == hold:
                    steps.append(Wait(f"hold-{asked.received.at_s}"))
                elif self.pace_s:
                    steps.append(Pause(self.pace_s))
                deltas += 1
            steps.append(step)
        return replace(scenario, steps=tuple(steps))

    def _replayed(self, asked: _Asked) -> tuple[str | None, Scenario | None]:
        """Look into the response cache: under which mark an answer is kept, and the replay if there is one."""
        if asked.received.headers.get("x-openrouter-cache", "").lower() != "true":
            return None, None
        mark = hashlib.sha256(asked.received.body + asked.key.hash.encode()).hexdigest()
        if asked.received.headers.get("x-openrouter-cache-clear", "").lower() == "true":
            self._replays.pop(mark, None)
        kept = self._replays.get(mark)
        if kept is None or time.monotonic() - kept[1] > CACHE_TTL_S:
            return mark, None
        return mark, cache_hit(kept[0], is_stream=asked.is_stream)

    def _answer(self, asked: _Asked, texts: list[str]) -> Answer:
        served = self._route(asked)
        prompt_tokens = sum(_tokens(text) for text in texts)
        content, calls, finish, completion_tokens = _written(asked.body)
        reasoning = THOUGHT if asked.body.get("reasoning_effort") or asked.body.get("reasoning") else None
        reasoning_tokens = _tokens(reasoning) if reasoning else 0
        completion_tokens += reasoning_tokens
        read, written = self._cached(asked, served, texts)
        input_cost, output_cost, saved = price_of(served.offer, prompt_tokens, completion_tokens, read, written)
        told = None
        if asked.wants_metadata:
            told = metadata(
                served.attempts,
                requested=served.requested,
                strategy=served.strategy,
                candidates=served.candidates,
                is_byok=served.is_byok,
                generation_time=served.offer.latency_ms + completion_tokens * 10,
            )
        session = asked.body.get("session_id") or asked.received.headers.get("x-session-id")
        return Answer(
            model=served.model.permaslug if self.is_answer_dated else served.model.id,
            permaslug=served.model.permaslug,
            provider=served.offer.provider.name,
            content=content,
            reasoning=reasoning,
            tool_calls=calls,
            finish_reason=finish,
            usage=Usage(
                input_tokens=prompt_tokens,
                output_tokens=completion_tokens,
                cache_read_tokens=read,
                cache_write_tokens=written,
                reasoning_tokens=reasoning_tokens,
            ),
            input_cost=input_cost,
            output_cost=output_cost,
            fee=(input_cost + output_cost) * asked.key.fee_rate,
            is_byok=served.is_byok,
            attempts=served.attempts,
            metadata=told,
            router=served.requested if served.requested in ROUTERS else None,
            session_id=session if isinstance(session, str) else None,
            cache_discount=saved if read or written else None,
        )

    def _cached(self, asked: _Asked, served: _Served, texts: list[str]) -> tuple[int, int]:
        """Count prompt tokens read from and written to the provider's prompt cache: all but the last message."""
        tokens = sum(_tokens(text) for text in texts[:-1])
        if tokens < CACHEABLE_TOKENS or served.offer.cache_read is None:
            return 0, 0
        scope = "\0".join([asked.key.hash, served.model.permaslug, served.offer.provider.name, *texts[:-1]])
        mark = hashlib.sha256(scope.encode()).hexdigest()
        if mark in self._prefixes:
            return tokens, 0
        self._prefixes.add(mark)
        return 0, tokens if served.offer.cache_write is not None else 0

    # Routing ------------------------------------------------------------------------------------

    def _route(self, asked: _Asked) -> _Served:
        """Try the providers of one model after another until one serves."""
        body = asked.body
        first, more = body.get("model"), body.get("models")
        slugs = [slug for slug in (first, *(more if isinstance(more, list) else ())) if isinstance(slug, str)]
        slugs = slugs or ["openrouter/auto"]
        attempts: list[RouteAttempt] = []
        candidates: list[tuple[str, str]] = []
        strategy, refusal = "direct", no_endpoints(slugs[0])
        for number, slug in enumerate(slugs):
            model, chosen_by, sort = _resolved(slug)
            strategy = chosen_by if number == 0 else strategy
            if model is None:
                refusal = invalid_model(slug)
                continue
            offers = _candidates(model, _mapping(body.get("provider")), sort)
            offers.sort(key=lambda offer: offer.provider.name not in asked.key.byok)  # own keys go first
            candidates += [(offer.provider.name, model.permaslug) for offer in offers]
            if not offers:
                refusal = no_endpoints(slug)
            for offer in offers:
                status, retry_after_s = self._status(asked, model, offer)
                attempt = RouteAttempt(provider=offer.provider.name, model=model.permaslug, status=status)
                attempts.append(attempt)
                if status == OK:
                    return _Served(
                        model=model,
                        offer=offer,
                        is_byok=offer.provider.name in asked.key.byok,
                        attempts=tuple(attempts),
                        candidates=tuple(dict.fromkeys(candidates)),
                        requested=slugs[0],
                        strategy=strategy,
                    )
                route = None
                if asked.wants_metadata:
                    route = metadata(attempts, requested=slugs[0], strategy=strategy, candidates=candidates)
                refusal = provider_error(
                    status, offer.provider.name, retry_after_s=retry_after_s, previous=attempts[:-1], route=route
                )
        raise RefusalError(refusal)

    def _status(self, asked: _Asked, model: Model, offer: Offer) -> tuple[int, int | None]:
        """Say how one provider answers one try."""
        staged = asked.staged.get("fail", ())
        for slug, status in zip(staged[::2], staged[1::2], strict=False):
            if slug == offer.provider.slug:
                return int(status), None
        for name in (offer.provider.name, model.id):
            trouble = self._troubles.get(name)
            if trouble is None or trouble.times == 0:
                continue
            if trouble.times is not None:
                trouble.times -= 1
            return trouble.status, trouble.retry_after_s
        return OK, None


# Reading requests -----------------------------------------------------------------------------------------------------


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _form(body: bytes) -> dict[str, object]:
    """Read the text fields of a multipart form."""
    fields = re.findall(rb'name="(\w+)"\r\n\r\n([^\r\n]*)\r\n', body)
    return {name.decode(): value.decode() for name, value in fields}


def _required(asked: _Asked, name: str) -> str:
    text = asked.body.get(name)
    if not isinstance(text, str) or not text:
        raise RefusalError(error(400, f'Input required: give "{name}"'))
    return text


def _names(value: object) -> list[str]:
    return [str(name).lower() for name in value] if isinstance(value, list) else []


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def _texts(messages: list[object]) -> list[str]:
    """Give the text of each message, whatever else it holds."""
    texts = []
    for message in messages:
        content = _mapping(message).get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        texts.append(" ".join(str(_mapping(part).get("text") or "") for part in parts))
    return texts


def _resolved(slug: str) -> tuple[Model | None, str, str | None]:
    """Find the model behind a slug, how it was chosen, and the sort that a suffix asks for."""
    name, sort = slug, None
    for suffix, meaning in SUFFIX_SORTS.items():
        if name.endswith(suffix):
            name, sort = name.removesuffix(suffix), meaning
    if name in ROUTERS:
        strategy, chosen = ROUTERS[name]
        return model_named(chosen), strategy, sort
    if name in ALIASES:
        return model_named(ALIASES[name]), "latest", sort
    base, mark, _ = name.partition("@preset/")
    if mark:
        return model_named(base or PRESETS.get(name, "")), "direct", sort
    return model_named(name), "direct", sort


def _candidates(model: Model, preferences: Json, sort: str | None) -> list[Offer]:
    """Order a model's endpoints as the request's `provider` object asks."""

    def is_named(offer: Offer, names: list[str]) -> bool:
        return any(name.partition("/")[0] in (offer.provider.slug, offer.provider.name.lower()) for name in names)

    only, ignore, order = (_names(preferences.get(name)) for name in ("only", "ignore", "order"))
    offers = [o for o in model.offers if (not only or is_named(o, only)) and not is_named(o, ignore)]
    wanted = preferences.get("sort") or sort
    wanted = _mapping(wanted).get("by") if isinstance(wanted, dict) else wanted
    if wanted == "price":
        offers.sort(key=lambda offer: offer.prompt + offer.completion)
    elif wanted == "throughput":
        offers.sort(key=lambda offer: -offer.throughput)
    elif wanted == "latency":
        offers.sort(key=lambda offer: offer.latency_ms)
    named = [offer for name in order for offer in offers if is_named(offer, [name])]
    rest = [offer for offer in offers if offer not in named]
    if preferences.get("allow_fallbacks") is False:
        return named if order else offers[:1]
    return named + rest


def _written(body: Json) -> tuple[str | None, tuple[ToolCall, ...], str, int]:
    """Make up what the model writes: content, tool calls, finish reason, tokens."""
    call = _tool_call(body)
    if call is not None:
        return None, (call,), "tool_calls", _tokens(call.arguments) + _tokens(call.name)
    form = _mapping(body.get("response_format"))
    text = TEXT
    if form.get("type") == "json_schema":
        text = json.dumps(_example(_mapping(_mapping(form.get("json_schema")).get("schema"))))
    elif form.get("type") == "json_object":
        text = '{"answer": "Lisbon"}'
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens")
    if isinstance(limit, int) and limit < _tokens(text):
        return text[: limit * 4], (), "length", limit
    return text, (), "stop", _tokens(text)


def _tool_call(body: Json) -> ToolCall | None:
    """Call the tool that `tool_choice` asks for: the named one, else the first declared."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    kind = _mapping(choice).get("type") or choice
    if not isinstance(tools, list) or not tools or kind in (None, "auto", "none"):
        return None
    # Chat wraps a tool in `function`, responses and messages do not.
    functions = [_mapping(_mapping(tool).get("function")) or _mapping(tool) for tool in tools]
    chosen = _mapping(choice)
    wanted = _mapping(chosen.get("function")).get("name") or chosen.get("name")
    function = next((f for f in functions if f.get("name") == wanted), functions[0])
    arguments = json.dumps(_example(_mapping(function.get("parameters") or function.get("input_schema"))))
    return ToolCall(name=str(function.get("name")), arguments=arguments, id=f"call_{generation_id()[-16:]}")


def _example(schema: Json, definitions: Json | None = None) -> object:
    """Make the smallest value that fits a JSON schema."""
    definitions = definitions or _mapping(schema.get("$defs"))
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _example(_mapping(definitions.get(reference.rpartition("/")[2])), definitions)
    for name in ("enum", "anyOf", "oneOf"):
        choices = schema.get(name)
        if isinstance(choices, list) and choices:
            return choices[0] if name == "enum" else _example(_mapping(choices[0]), definitions)
    kind = schema.get("type")
    if kind == "object":
        properties = _mapping(schema.get("properties"))
        return {name: _example(_mapping(part), definitions) for name, part in properties.items()}
    if kind == "array":
        return [_example(_mapping(schema.get("items")), definitions)]
    simple: dict[object, object] = {"integer": 1, "number": 1, "boolean": True, "null": None}
    return simple.get(kind, "Lisbon")
