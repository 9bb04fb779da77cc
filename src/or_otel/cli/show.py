"""`or-otel show`: one answer as we saw it beside the account's own record of it.

Our side comes from the ledger, the other from `GET /generation`; either may be missing. Where they differ
is marked. A price that the ledger lacked is put into it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import click
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from or_otel.account.client import AccountClient
from or_otel.account.errors import API_KEY, AccountError, NotFoundError
from or_otel.accounts import Generation
from or_otel.cli.options import (
    account_client,
    account_options,
    console,
    fresh_ledger,
    ledger_option,
    print_json,
    settings_from,
)
from or_otel.config import Config
from or_otel.entries import Entry
from or_otel.facts import Cost, RouteAttempt
from or_otel.ledger.amending import amend
from or_otel.ledger.queries import find
from or_otel.reports.money import NOT_TOLD, UNKNOWN, exact, seconds
from or_otel.reports.words import shown, tame
from or_otel.routes import is_same_model

NOT_ASKED = f"The account was not asked, for {API_KEY} is not set: this is what the ledger alone knows."

Figure = str | int | float | Decimal | None
"""Money is Decimal, a time in seconds float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What both know of one answer.

    Attributes:
        generation_id: Its id; None where our side never learned one.
        ours: From the ledger; None when it is not there.
        record: From the account; None when it was not asked or does not know.
        problem: Why there is no record, for people.
    """

    generation_id: str | None
    ours: Entry | None = None
    record: Generation | None = None
    problem: str | None = None


@click.command("show")
@click.argument("identity", metavar="ID")
@click.option("--json", "is_json", is_flag=True, help="Print JSON; money as exact text.")
@account_options
@ledger_option
def show_command(*, identity: str, is_json: bool, config_path: Path | None, base_url: str | None, folder: Path) -> None:
    """One generation: what we saw beside the record of the account, differences marked.

    \b
    or-otel show gen-1793700005-E1f2G3h4I5j6K7l8M9n0

    ID is a generation id, or one from the ledger: of a call, an attempt, a response, a trace. The account is
    asked with OPENROUTER_API_KEY (or OPENROUTER_MANAGEMENT_KEY); without a key the ledger alone answers.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    config = settings_from(config_path, base_url)
    with fresh_ledger(folder) as ledger:
        found = _meant(find(ledger, identity), identity)
        if not found and not identity.startswith("gen-"):
            raise click.ClickException(
                f"{identity!r} is not in the ledger {folder}, and no generation id (gen-…) to ask the account for; "
                "or-otel calls lists the ids of recent calls"
            )
        sides = _asked(found, identity, config)
        for side in sides:
            if side.ours is None or side.ours.unpriced is None or side.record is None:
                continue
            if amend(ledger, side.ours.attempt_id, side.record, learned_at_s=time.time()) is not None:
                click.echo(tame(f"The ledger lacked the price of {side.generation_id}; it is noted now."), err=True)
    for problem in dict.fromkeys(side.problem for side in sides if side.problem is not None):
        click.echo(tame(problem), err=True)
    if all(side.ours is None and side.record is None for side in sides):
        raise click.ClickException(f"nothing is known of {identity}")
    if is_json:
        print_json({"version": 1, "id": identity, "generations": [_to_json(side) for side in sides]})
    else:
        console().print(Group(*map(_render, sides)))


def _meant(found: Sequence[Entry], identity: str) -> Sequence[Entry]:
    """Of a call's attempts, give the one that is named, or all of them."""
    exactly = [entry for entry in found if identity in {entry.generation_id, entry.attempt_id}]
    return exactly or found


def _asked(found: Sequence[Entry], identity: str, config: Config) -> list[Sides]:
    wanted: list[tuple[str | None, Entry | None]] = [(entry.generation_id, entry) for entry in found]
    wanted = wanted or [(identity, None)]
    client = account_client(config)
    if client is None:
        if not found:
            raise click.ClickException(f"{identity} is not in the ledger; set {API_KEY} to ask the account for it")
        return [Sides(generation_id=wanted_id, ours=entry, problem=NOT_ASKED) for wanted_id, entry in wanted]
    with client:
        return [_ask(client, wanted_id, entry) for wanted_id, entry in wanted]


def _ask(client: AccountClient, wanted_id: str | None, entry: Entry | None) -> Sides:
    if wanted_id is None or (entry is not None and entry.billing == "direct"):
        problem = "This attempt has no generation id: there is no record to ask for."
        return Sides(generation_id=wanted_id, ours=entry, problem=problem)
    try:
        return Sides(generation_id=wanted_id, ours=entry, record=client.generation(wanted_id))
    except NotFoundError:
        problem = (
            f"No record of {wanted_id}: it is written some seconds after the answer has ended, minutes after one that "
            "was cancelled, and only keys of the same account see it. Try again later, or with the other account's key."
        )
    except AccountError as error:
        problem = f"The account does not tell: {error}"
    return Sides(generation_id=wanted_id, ours=entry, problem=problem)


# What is compared -----------------------------------------------------------------------------------------------------


def _of_entry(entry: Entry | None) -> Mapping[str, Figure]:
    if entry is None:
        return {}
    return {
        "total_usd": entry.total,
        "charged_usd": entry.charged,
        "upstream_usd": entry.upstream_bill,
        "billing": None if entry.billing == UNKNOWN else entry.billing,
        "cost_source": entry.source,
        "unpriced": entry.unpriced,
        "provider": entry.served_provider,
        "model": entry.model,
        "input_tokens": entry.input_tokens,
        "output_tokens": entry.output_tokens,
        "cache_read_tokens": entry.cache_read_tokens,
        "reasoning_tokens": entry.reasoning_tokens,
        "finish_reason": entry.finish_reason,
        "outcome": entry.attempt_outcome,
        "duration_s": entry.ended_at_s - entry.started_at_s,
        "first_content_s": entry.time_to_first_chunk_s,
    }


def _of_record(record: Generation | None) -> Mapping[str, Figure]:
    if record is None:
        return {}
    cost = Cost(charged=record.charged_usd, upstream=record.upstream_usd, is_byok=record.is_byok, source="generation")
    return {
        "total_usd": cost.total,
        "charged_usd": cost.charged,
        "upstream_usd": cost.upstream_bill,
        "billing": None if cost.billing == UNKNOWN else cost.billing,
        "provider": record.provider,
        "model": record.model,
        "input_tokens": record.usage.input_tokens,
        "output_tokens": record.usage.output_tokens,
        "cache_read_tokens": record.usage.cache_read_tokens,
        "reasoning_tokens": record.usage.reasoning_tokens,
        "finish_reason": record.finish_reason,
        "outcome": "cancelled" if record.is_cancelled else None,
        "duration_s": record.duration_s,
        "first_content_s": record.latency_s,
    }


def differences(ours: Mapping[str, Figure], theirs: Mapping[str, Figure]) -> tuple[str, ...]:
    """Name what both told, and not the same; times are measured at other places and never differ."""
    return tuple(
        name
        for name in ours
        if (left := ours[name]) is not None
        and (right := theirs.get(name)) is not None
        and not name.endswith("_s")
        and not (is_same_model(str(left), str(right)) if name == "model" else left == right)
    )


def _steps(side: Sides) -> list[str]:
    """Give the upstream tries in order: the record's, else what the answer told."""
    if side.record is not None and side.record.attempts:
        return [_step(attempt) for attempt in side.record.attempts]
    return list(side.ours.route_path) if side.ours is not None else []


def _step(attempt: RouteAttempt) -> str:
    return " ".join(str(part) for part in (attempt.provider, attempt.model, attempt.status) if part is not None)


# How it is shown ------------------------------------------------------------------------------------------------------


def _render(side: Sides) -> RenderableType:
    ours = side.ours
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", title_justify="left")
    table.title = shown(side.generation_id or "no generation id", style="bold")
    for title in ("", "or-otel saw", "the account's record", ""):
        table.add_column(title, overflow="fold")
    left, right = _of_entry(ours), _of_record(side.record)
    marked = differences(left, right)
    for name in left or right:
        if left.get(name) is None and right.get(name) is None:
            continue
        title = name.removesuffix("_usd").removesuffix("_s").replace("_", " ")
        cells = (title, _cell(left.get(name)), _cell(right.get(name)), "differs" if name in marked else "")
        table.add_row(*map(shown, cells), style="bold red" if name in marked else "")
    lines = [f"upstream  {' > '.join(steps)}"] if (steps := _steps(side)) else []
    if ours is not None:
        lines.append(f"call      {ours.call_id}, attempt {ours.number} of {ours.attempt_count}")
        lines += [f"trace     {ours.trace_id}"] if ours.trace_id is not None else []
        tags = " ".join(f"{key}={value}" for key, value in sorted(ours.tags.items()))
        lines += [f"tags      {tags}"] if tags else []
    return Group(table, *map(shown, lines), Text())


def _cell(value: Figure) -> str:
    if isinstance(value, Decimal):  # with all its digits: a difference may be in the last
        return f"${exact(value)}"
    if isinstance(value, float):
        return seconds(value)
    return NOT_TOLD if value is None else str(value)


def _to_json(side: Sides) -> dict[str, object]:
    ours, left, right = side.ours, _of_entry(side.ours), _of_record(side.record)
    ids = {} if ours is None else {"call_id": ours.call_id, "attempt_id": ours.attempt_id, "trace_id": ours.trace_id}
    return {
        "generation_id": side.generation_id,
        **ids,
        "ours": {name: _plain(value) for name, value in left.items()} or None,
        "record": {name: _plain(value) for name, value in right.items()} or None,
        "differences": differences(left, right),
        "upstream": _steps(side),
        "problem": side.problem,
    }


def _plain(value: Figure) -> object:
    return exact(value) if isinstance(value, Decimal) else value
