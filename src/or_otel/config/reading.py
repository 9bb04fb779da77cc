"""The tables of the settings file → its parts, and what is wrong with them.

Each reader takes the file, notes problems in it and gives defaults for what it could not read. Knows
no file system and no environment. Every table and key: `docs/configuration.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from or_otel.accounts import DEFAULT_BASE_URL
from or_otel.budgets import ACCOUNT_SCOPES, PERIODS, TAG_PREFIX, Budget
from or_otel.config.keys import OWNER_FIELDS, Assignment, KeyRule
from or_otel.config.options import (
    NOTICE_KINDS,
    AccountOptions,
    ExporterOptions,
    NoticeKind,
    NotifyOptions,
    ProviderContract,
)
from or_otel.config.tables import Table, near_match, shown_value
from or_otel.policies import Policy

CLIENT_SCOPES = ("feature", "customer", "workflow")
ENDPOINTS = (
    "key",
    "keys",
    "credits",
    "activity",
    "models",
    "endpoints",
    "guardrails",
    "members",
    "workspaces",
    "providers",
    "analytics_meta",
)
"""What of the account API may be given an interval of its own."""
MIN_INTERVAL_S = 5

TAG = re.compile(r"[a-z][a-z0-9_]*")
HASH = re.compile(r"[0-9a-f]{8,64}")
FINGERPRINT = re.compile(r"[0-9a-f]{12}")
VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
MODEL = re.compile(r"[^\s/]+/[^\s]+")
POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
PATTERN = re.compile(r"[^\s]+(?: [^\s]+)*")
COUNTRY = re.compile(r"[A-Z]{2}")
SCOPE = re.compile("|".join((*ACCOUNT_SCOPES, *CLIENT_SCOPES, re.escape(TAG_PREFIX) + TAG.pattern)))
URL_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_http_url(text: str) -> bool:
    """Whether a text is the address of a server, without anything secret in it."""
    try:
        parts = urlsplit(text)
        is_port = parts.port != 0
    except ValueError:  # an unclosed bracket, or a port out of range
        return False
    return (
        is_port
        and parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and not parts.query
    )


def _account(file: Table) -> AccountOptions:
    table = file.table("account")
    base_url = table.take("base_url")
    if base_url is not None and not (isinstance(base_url, str) and is_http_url(base_url)):
        # An address may hold a credential: it is not shown.
        table.problems.append(f"{table.at('base_url')}: expected a URL without credentials, as {DEFAULT_BASE_URL!r}")
        base_url = None
    models = table.texts("watch_models", expected="a model, as 'openai/gpt-5-mini'", pattern=MODEL)
    intervals = table.table("intervals_s")
    seconds = {
        name: float(told)
        for name in ENDPOINTS
        if (told := intervals.number(name, expected=f"{MIN_INTERVAL_S} seconds or more", is_right=_is_interval))
        is not None
    }
    intervals.done()
    table.done()
    return AccountOptions(
        base_url=str(base_url or DEFAULT_BASE_URL).rstrip("/"), watch_models=models or (), intervals_s=seconds
    )


def _is_interval(number: Decimal) -> bool:
    return number >= MIN_INTERVAL_S


def _keys(file: Table) -> tuple[KeyRule, ...]:
    rules: list[tuple[str, KeyRule]] = []
    for table in file.tables("keys"):
        rule = KeyRule(
            hash=table.text("hash", expected="8 to 64 hex digits, as /keys tells them", pattern=HASH),
            fingerprint=table.text("fingerprint", expected="12 hex digits, as reports show them", pattern=FINGERPRINT),
            name=table.text("name", expected="a name or a pattern as 'acme-*'"),
            assignment=_assignment(table),
        )
        table.done()
        told = {name for name in ("hash", "fingerprint", "name") if name in table.values}
        if not told:
            table.miss("hash, fingerprint or name", "one that says which keys are meant")
        elif "name" in told and len(told) > 1:
            table.refuse("name", "no name beside hash or fingerprint, which already mean one key; make it a comment")
        for path, earlier in rules:
            if earlier.shadows(rule):
                table.problems.append(
                    f"{table.path}: means keys that {path} already takes: expected one row for a key, and names "
                    "before patterns that hold them"
                )
        rules.append((table.path, rule))
    return tuple(rule for _, rule in rules)


def _assignment(table: Table) -> Assignment:
    owners = {name: table.text(name, expected="a text that is not empty") for name in OWNER_FIELDS}
    below = table.table("tags")
    tags: dict[str, str] = {}
    for key in below.values:
        value = below.text(key, expected="a text that is not empty")
        if key in OWNER_FIELDS or key == "key" or not TAG.fullmatch(key):
            below.problems.append(
                f"{below.at(key)}: expected lower case letters, digits and underscores, and none of "
                f"{', '.join((*OWNER_FIELDS, 'key'))}, which stand beside tags"
            )
        elif value is not None:
            tags[key] = value
    return Assignment(**owners, tags=tags)


def _budgets(file: Table) -> tuple[Budget, ...]:
    budgets: list[Budget] = []
    for table in file.tables("budgets"):
        budget = _budget(table)
        if any(budget.name and budget.name == earlier.name for earlier in budgets):
            table.refuse("name", "a name that no other budget has")
        budgets.append(budget)
    return tuple(budgets)


def _budget(table: Table) -> Budget:
    plain = Budget(name="")
    name = table.text("name", expected="a text that is not empty")
    scope = _scope(table)
    value = table.text("value", expected=f"the name of a {scope}, or a pattern as 'acme-*'")
    limit = table.number("limit_usd", expected="US dollars, 0 or more", is_right=lambda number: number >= 0)
    period = table.choice("period", PERIODS, plain.period)
    thresholds = _thresholds(table, plain.thresholds)
    pace = table.number("pace_alarm", expected="a number above 1, as 1.2", is_right=lambda number: number > 1)
    is_byok_included = table.switch("include_byok", default=plain.is_byok_included)
    table.done()
    if "name" not in table.values:
        table.miss("name", "a text that is not empty")
    if "limit_usd" not in table.values:
        table.miss("limit_usd", "US dollars, as 100")
    if scope == "account" and value is not None:
        table.refuse("value", f"none, for the scope is the whole account; or scope = one of {', '.join(_SCOPES[1:])}")
    if scope != "account" and "value" not in table.values:
        table.miss("value", f"the name of a {scope}, or a pattern as 'acme-*'")
    return Budget(
        name=name or "",
        scope=scope,
        value=value or "*",
        limit_usd=limit,
        period=period,
        thresholds=thresholds,
        pace_alarm=pace if pace is not None else plain.pace_alarm,
        is_byok_included=is_byok_included,
    )


_SCOPES = (*ACCOUNT_SCOPES, *CLIENT_SCOPES)


def _scope(table: Table) -> str:
    scope = table.take("scope")
    if scope is None:
        return "account"
    if isinstance(scope, str) and SCOPE.fullmatch(scope):
        return scope
    table.refuse("scope", f"one of {', '.join(_SCOPES)}, or {TAG_PREFIX}<tag>", choices=_SCOPES)
    return "account"


def _thresholds(table: Table, default: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    told = table.take("thresholds")
    if told is None:
        return default
    expected = "shares of the limit above 0 and up to 10, ascending, as [0.5, 0.8, 1]"
    if not isinstance(told, list) or not told:
        table.refuse("thresholds", expected)
        return default
    numbers = [Decimal(item) for item in told if isinstance(item, int | Decimal) and not isinstance(item, bool)]
    is_right = len(numbers) == len(told) and all(number.is_finite() and 0 < number <= 10 for number in numbers)  # noqa: PLR2004
    if not is_right or numbers != sorted(set(numbers)):
        shown = ", ".join(shown_value(item) for item in told)
        table.problems.append(f"{table.at('thresholds')} = [{shown}]: expected {expected}")
        return default
    return tuple(numbers)


def _byok(file: Table) -> dict[str, ProviderContract]:
    tables = file.table("byok")
    contracts = {}
    for provider in tables.values:
        table = tables.table(provider)
        plain = ProviderContract()
        discount = table.number("discount", expected="a share of 0 to 1, as 0.15", is_right=_is_share)
        contracts[provider.lower()] = ProviderContract(
            discount=discount if discount is not None else plain.discount,
            committed_usd=table.number(
                "committed_usd", expected="US dollars, 0 or more", is_right=lambda number: number >= 0
            ),
            period=table.choice("period", PERIODS, plain.period),
        )
        table.done()
    return contracts


def _is_share(number: Decimal) -> bool:
    return 0 <= number <= 1


def _exporter(file: Table) -> ExporterOptions:
    table, plain = file.table("exporter"), ExporterOptions()
    port = table.number(
        "port",
        expected="a port, 0 to 65535",
        is_right=lambda number: number == int(number) and 0 <= number <= 65535,  # noqa: PLR2004
    )
    options = ExporterOptions(
        host=table.text("host", expected="an address, as '127.0.0.1'") or plain.host,
        port=plain.port if port is None else int(port),
        has_otlp=table.switch("otlp", default=plain.has_otlp),
        has_ledger=table.switch("ledger", default=plain.has_ledger),
        has_reconciliation=table.switch("reconcile", default=plain.has_reconciliation),
    )
    table.done()
    return options


def _notify(file: Table) -> NotifyOptions:
    table, plain = file.table("notify"), NotifyOptions()
    urls_file = table.text("urls_file", expected="the path of a file with one Apprise URL a line")
    if urls_file is not None and URL_SCHEME.match(urls_file):
        table.problems.append(f"{table.at('urls_file')}: expected the path of a file, not an address; {_NO_ADDRESS}")
        urls_file = None
    gap = table.number(
        "capture_gap", expected="a share above 0 and up to 1, as 0.05", is_right=lambda share: 0 < share <= 1
    )
    options = NotifyOptions(
        urls_file=None if urls_file is None else Path(urls_file).expanduser(),
        url_variables=_url_variables(table),
        kinds=_kinds(table, plain.kinds),
        low_balance_usd=table.number(
            "low_balance_usd", expected="US dollars, 0 or more", is_right=lambda number: number >= 0
        ),
        capture_gap=gap if gap is not None else plain.capture_gap,
    )
    table.done()
    return options


_NO_ADDRESS = (
    "an address may hold a credential, so none is read from here: put it into a variable and its name here, "
    "as '$SLACK_URL', or into the file that urls_file names"
)


def _url_variables(table: Table) -> tuple[str, ...]:
    told = table.take("urls")
    names = told if isinstance(told, list) else [] if told is None else [told]
    if told is not None and not isinstance(told, list):
        table.problems.append(f"{table.at('urls')}: expected a list of variables, as ['$SLACK_URL']")
        return ()
    for index, name in enumerate(names):
        if not isinstance(name, str) or not VARIABLE.fullmatch(name):
            table.problems.append(f"{table.at('urls')}[{index}]: expected the name of a variable; {_NO_ADDRESS}")
    return tuple(name[1:] for name in names if isinstance(name, str) and VARIABLE.fullmatch(name))


def _kinds(table: Table, default: tuple[NoticeKind, ...]) -> tuple[NoticeKind, ...]:
    told = table.take("kinds")
    if told is None:
        return default
    if not isinstance(told, list):
        table.refuse("kinds", f"a list of {', '.join(NOTICE_KINDS)}")
        return default
    for index, word in enumerate(told):
        if word not in NOTICE_KINDS:
            table.problems.append(
                f"{table.at('kinds')}[{index}] = {shown_value(word)}: expected one of {', '.join(NOTICE_KINDS)}"
                f"{near_match(word, NOTICE_KINDS)}"
            )
    return tuple(kind for kind in NOTICE_KINDS if kind in told)


def _policies(file: Table) -> tuple[Policy, ...]:
    policies: list[Policy] = []
    for table in file.tables("policies"):
        policy = _policy(table)
        if any(policy.name and policy.name == earlier.name for earlier in policies):
            table.refuse("name", "a name that no other policy has")
        policies.append(policy)
    return tuple(policies)


def _policy(table: Table) -> Policy:
    name = table.text("name", expected="lower case letters, digits, '_' and '-', as 'eu-only'", pattern=POLICY_NAME)
    tags = table.table("tags")
    policy = Policy(
        name=name or "",
        environments=_patterns(table, "environments", "an environment, as 'production'"),
        tags={tag: told for tag in tags.values if (told := tags.text(tag, expected="a text or a pattern")) is not None},
        providers=_patterns(table, "providers", "a provider, as 'azure' or 'Amazon Bedrock'"),
        forbidden_providers=_patterns(table, "forbidden_providers", "a provider, as 'azure'"),
        models=_patterns(table, "models", "a model or a pattern, as 'openai/*'"),
        forbidden_models=_patterns(table, "forbidden_models", "a model or a pattern, as '*:free'"),
        data_collection=table.choice("data_collection", ("deny",), "") or None,
        zdr=table.switch("zdr", default=False),
        regions=_patterns(table, "regions", "a region of OpenRouter's edge, as 'fra'"),
        headquarters=table.texts("headquarters", expected="a country code, as 'US'", pattern=COUNTRY) or (),
        max_input_tokens=_whole(table, "max_input_tokens"),
        max_output_tokens=_whole(table, "max_output_tokens"),
        require_fallback=table.switch("require_fallback", default=False),
    )
    table.done()
    if "name" not in table.values:
        table.miss("name", "a name, as 'eu-only'")
    if not table.values.keys() - {"name", "environments", "tags"}:
        table.miss("a rule", "at least one, as providers = ['azure']")
    return policy


def _patterns(table: Table, key: str, expected: str) -> tuple[str, ...]:
    return table.texts(key, expected=expected, pattern=PATTERN) or ()


def _whole(table: Table, key: str) -> int | None:
    number = table.number(
        key, expected="a whole number of tokens, 1 or more", is_right=lambda told: told >= 1 and told == int(told)
    )
    return None if number is None else int(number)


def _metric_tags(file: Table) -> tuple[str, ...] | None:
    table = file.table("metrics")
    tags = table.texts("tags", expected="lower case letters, digits and underscores, as 'team'", pattern=TAG)
    table.done()
    return tags


READERS: Mapping[str, Callable[[Table], object]] = {
    "account": _account,
    "keys": _keys,
    "budgets": _budgets,
    "byok": _byok,
    "exporter": _exporter,
    "notify": _notify,
    "policies": _policies,
    "metric_tags": _metric_tags,
}
"""Field of `Config` → reader of its table; a new table is one more row, and thereby known."""
