"""`or-otel report --waste`, `--governance`, `--workflows`, `--what-if`: gathers what they tell, and gives it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from or_otel.account.errors import AccountError
from or_otel.account.market import read_models, store_models, told_at_s
from or_otel.account.offers import Offers, read_offers, write_offers
from or_otel.cli.digest import watched
from or_otel.cli.options import account_client, console, fresh_ledger, now_s, print_json, say_empty, settings_from
from or_otel.cli.tasks import sections_of_workflows
from or_otel.config import Config
from or_otel.days import DAY_S
from or_otel.ledger.queries import where_from
from or_otel.reports import governance, waste
from or_otel.reports.money import plural
from or_otel.reports.sections import Frame, Part, Section, render_section, section_to_json
from or_otel.reports.usage import Catalogue
from or_otel.reports.whatif import Replacement, WhatIfError, replacement_from, whatifs
from or_otel.reports.whatif_sections import sections as whatif_sections

if TYPE_CHECKING:
    from or_otel.account.client import AccountClient

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for.

    Attributes:
        is_waste, is_governance, is_workflows: These sections.
        what_if: Questions as typed.
        is_offline: Whether nobody is asked, and the kept lists stand.
    """

    is_waste: bool
    is_governance: bool
    is_workflows: bool
    what_if: tuple[str, ...]
    is_offline: bool

    @property
    def is_wanted(self) -> bool:
        """Whether anything was."""
        return self.is_waste or self.is_governance or self.is_workflows or bool(self.what_if)


def insight_options(function: F) -> F:
    """Add `--waste`, `--governance`, `--workflows`, `--what-if`, `--offline`."""
    for option in (
        click.option("--offline", "is_offline", is_flag=True, help="Ask nobody: use the lists that were kept before."),
        click.option(
            "--what-if",
            "what_if",
            multiple=True,
            metavar="OLD=NEW[@PROVIDER]",
            help="What the calls of one model would have cost on another; OLD alone lists cheaper ones.",
        ),
        click.option(
            "--workflows", "is_workflows", is_flag=True, help="Runs of workflows: outcome, cost of a finished task."
        ),
        click.option(
            "--governance", "is_governance", is_flag=True, help="Calls that broke a policy of or-otel.toml; who pays."
        ),
        click.option(
            "--waste", "is_waste", is_flag=True, help="Waste, retries, loops, caches, sizes, dear models: in detail."
        ),
    ):
        function = option(function)
    return function


def give_insight(
    asked: Asked, *, since: float | None, until: float | None, where: tuple[str, ...], is_json: bool, folder: Path
) -> None:
    """Make the sections and print them."""
    config = settings_from(None)
    moment_s = now_s()
    until_s = moment_s if until is None else until
    since_s = 0.0 if since is None else since
    try:
        questions = tuple(map(replacement_from, asked.what_if))
    except WhatIfError as error:
        raise click.UsageError(f"--what-if {error}") from error
    with fresh_ledger(folder) as ledger:
        if questions and not asked.is_offline:
            _fetch_models(ledger, config, moment_s)
        frame = Frame(since_s=since_s, until_s=until_s, days=1, models=read_models(ledger, moment_s) or ())
        makers: list[Callable[[Frame], Part]] = [*(waste.PARTS if asked.is_waste else ())]
        if asked.is_governance:
            makers += governance.parts(config.policies)
            _refresh_providers(folder, config, moment_s, is_offline=asked.is_offline)
        found: list[Section] = []
        seen = 0
        if makers:
            # Who paid before the period tells who stopped paying in it.
            first_s = None if asked.is_governance else since_s
            calls = watched(ledger, since_s=first_s, until_s=until_s, where=where_from(where))
            parts = [make(frame) for make in makers]
            for call in calls:
                seen += since_s <= call.entries[-1].call_started_at_s
                for part in parts:
                    part.add(call.entries)
            found += [section for part in parts for section in part.sections()]
        if asked.is_workflows:
            found += sections_of_workflows(ledger, since_s=since_s, until_s=until_s, where=where_from(where))
        if questions:
            found += _answers(questions, frame, ledger, config, folder, where, moment_s, is_offline=asked.is_offline)
        if not found and not is_json:
            _say_nothing(asked, seen, folder, ledger)
            return
    _give(found, since_s=since_s, until_s=until_s, is_json=is_json)


def _say_nothing(asked: Asked, calls: int, folder: Path, ledger: sqlite3.Connection) -> None:
    if not calls and not asked.is_workflows:
        say_empty(folder, ledger)
    if asked.is_workflows:
        click.echo("No run of a workflow in this period: see or_otel.workflow in docs/attribution.md.", err=True)
    if calls:
        click.echo(f"Nothing stands out in {plural(calls, 'call')}.", err=True)
    if calls and asked.is_governance:
        click.echo("No [[policies]] stand in or-otel.toml, so no rule was judged: see docs/governance.md.", err=True)


def _give(found: Sequence[Section], *, since_s: float, until_s: float, is_json: bool) -> None:
    if is_json:
        told = [{"name": section.name, **section_to_json(section)} for section in found]
        print_json({"version": 1, "since_s": since_s, "until_s": until_s, "sections": told})
        return
    for section in found:
        console().print(render_section(section))


def _answers(
    questions: Sequence[Replacement],
    frame: Frame,
    ledger: sqlite3.Connection,
    config: Config,
    folder: Path,
    where: tuple[str, ...],
    moment_s: float,
    *,
    is_offline: bool,
) -> list[Section]:
    if not frame.models:
        raise click.ClickException(
            "no list of models is kept, so nothing can be priced: run it once without --offline, or let "
            "`or-otel exporter` run"
        )
    catalogue = Catalogue(frame.models)
    tagged = {model.id for each in questions if each.tag and (model := catalogue.find(each.new)) is not None}
    offers = read_offers(folder)
    if tagged and not is_offline:
        offers = _fetch_endpoints(folder, config, offers, sorted(tagged), moment_s)
    calls = watched(ledger, since_s=frame.since_s, until_s=frame.until_s, where=where_from(where))
    try:
        answers = whatifs((call.entries for call in calls), questions, catalogue, offers.endpoints)
    except WhatIfError as error:
        raise click.UsageError(f"--what-if {error}") from error
    listed_at_s = told_at_s(ledger)
    return [section for answer in answers for section in whatif_sections(answer, listed_at_s=listed_at_s)]


def _fetch_models(ledger: sqlite3.Connection, config: Config, moment_s: float) -> None:
    with _client(config) as client:
        try:
            store_models(ledger, client.models(), moment_s)
        except AccountError as error:
            _say_kept(error)


def _fetch_endpoints(folder: Path, config: Config, offers: Offers, models: Sequence[str], moment_s: float) -> Offers:
    with _client(config) as client:
        for model in models:
            try:
                offers = offers.with_endpoints(model, client.endpoints(model), moment_s)
            except AccountError as error:
                _say_kept(error)
    _keep(folder, offers)
    return offers


def _refresh_providers(folder: Path, config: Config, moment_s: float, *, is_offline: bool) -> None:
    """Keep where providers sit, for the programs that judge by it; a day old is new enough."""
    offers = read_offers(folder)
    is_needed = any(policy.headquarters for policy in config.policies)
    is_new = offers.providers_at_s is not None and moment_s - offers.providers_at_s < DAY_S
    if is_offline or not is_needed or is_new:
        return
    with _client(config) as client:
        try:
            _keep(folder, replace(offers, providers=client.providers(), providers_at_s=moment_s))
        except AccountError as error:
            _say_kept(error)


def _client(config: Config) -> AccountClient:
    from or_otel.account.client import AccountClient  # noqa: PLC0415 -- slow: most reports never ask the account

    # Prices are public: they need no key.
    return account_client(config) or AccountClient(config.account.base_url)


def _say_kept(error: AccountError) -> None:
    click.echo(f"not told: {error}; what was kept before stands", err=True)


def _keep(folder: Path, offers: Offers) -> None:
    try:
        write_offers(folder, offers)
    except OSError as error:
        click.echo(f"not kept for later: {folder}: {error.strerror}", err=True)
