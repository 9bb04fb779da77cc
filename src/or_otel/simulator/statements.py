"""What the simulated account tells by GET: keys, credits, activity, workspaces, members, guardrails.

A path and a query in, a body out; all figures come from `account`. `/key` answers any key, everything else
management keys alone. Shapes: OpenRouter Python SDK 1.3.84 and API reference, seen 2026-11.
"""

from __future__ import annotations

from datetime import UTC, datetime

from or_otel.days import DAY_S
from or_otel.simulator.account import (
    BEGAN_AT_S,
    PERIODS,
    Account,
    Budget,
    Guardrail,
    Key,
    Member,
    Spent,
    Workspace,
    endpoint_id,
    iso,
)
from or_otel.simulator.book import Slot, Tally
from or_otel.simulator.market import MODELS
from or_otel.simulator.questions import Query, QuestionError, day, page, truth, whole
from or_otel.simulator.scenarios import Received, Scenario, error

ACTIVITY_DAYS = 30
FREE_REQUESTS = 1000
"""Requests to free models in a day, once credits were bought."""
PAGE = 50
LARGEST_PAGE = 100

Body = dict[str, object]


class Statements:
    """The account, page by page."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._pages = {
            "/credits": self._credits,
            "/keys": self._keys,
            "/activity": self._activity,
            "/workspaces": self._workspaces,
            "/organization/members": self._members,
            "/guardrails": self._guardrails,
        }

    def answer(self, path: str, query: Query, request: Received) -> Scenario | None:
        """Answer one page; None when the path is none."""
        is_one_key = path.startswith("/keys/")
        if path not in self._pages and path != "/key" and not is_one_key:
            return None
        key = self.account.authorised(request) if path == "/key" else self.account.managing(request)
        if isinstance(key, Scenario):
            return key
        if path == "/key":
            return Scenario(body={"data": self._calling_key(key)})
        try:
            body = self._one_key(key, path.removeprefix("/keys/")) if is_one_key else self._pages[path](key, query)
        except QuestionError as fault:
            return error(400, str(fault))
        return error(404, "Not found") if body is None else Scenario(body=body)

    # Keys ---------------------------------------------------------------------------------------

    def _calling_key(self, key: Key) -> Body:
        account = self.account
        spent = account.spent(key)
        budgets = account.budgets(key, spent)
        tightest = min(budgets, key=lambda budget: budget.remaining_usd, default=None)
        today = account.since("daily") // DAY_S
        free = account.book.summed(
            lambda slot: True if slot.day == today and slot.model.endswith(":free") else None, key=key.fingerprint
        )
        used = free[True].requests if free else 0
        return self._common(key, spent, budgets) | {
            "is_free_tier": False,
            "is_management_key": key.is_management,
            "is_provisioning_key": key.is_management,
            "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
            "organization_id": key.organization_id,
            "allowed_data_regions": ["global"],
            "budgets": [_budget(budget) for budget in budgets],
            "effective_budget": None if tightest is None else _budget(tightest),
            "free_model_daily_requests": {"limit": FREE_REQUESTS, "used": used, "remaining": FREE_REQUESTS - used},
        }

    def _common(self, key: Key, spent: Spent, budgets: list[Budget]) -> Body:
        own = next((budget for budget in budgets if budget.scope == "key_limit"), None)
        usage: Body = {"usage": spent.lifetime.charged, "byok_usage": spent.lifetime.byok}
        for period in PERIODS:
            usage[f"usage_{period}"] = spent.periods[period].charged
            usage[f"byok_usage_{period}"] = spent.periods[period].byok
        return {
            "label": key.label,
            "limit": key.limit_usd,
            "limit_remaining": None if own is None else own.remaining_usd,
            "limit_reset": key.limit_reset,
            "include_byok_in_limit": key.is_byok_in_limit,
            **usage,
            "creator_user_id": key.creator_user_id,
            "workspace_id": key.workspace_id,
            "expires_at": _iso(key.expires_at_s),
        }

    def _listed(self, key: Key) -> Body:
        spent = self.account.spent(key)
        return self._common(key, spent, self.account.budgets(key, spent)) | {
            "hash": key.hash,
            "name": key.name,
            "disabled": key.is_disabled,
            "created_at": iso(key.created_at_s),
            "updated_at": _iso(key.updated_at_s),
            "last_used_at": _iso(spent.lifetime.last_at_s or None),
            "external_user": key.external_user,
        }

    def _keys(self, asking: Key, query: Query) -> Body | None:
        """List one workspace's keys; only `offset` turns pages, and their size is the server's own."""
        workspace = self._workspace(query) or self.account.workspaces[0].id
        listed = [
            key
            for key in self.account.keys
            if not key.is_management
            and key.organization_id == asking.organization_id
            and key.workspace_id == workspace
            and (truth(query, "include_disabled") or not key.is_disabled)
            and (truth(query, "include_expired") or not self.account.is_expired(key))
        ]
        begin = whole(query, "offset", 0)
        return {"data": [self._listed(key) for key in listed[begin : begin + self.account.page_size]]}

    def _one_key(self, asking: Key, name: str) -> Body | None:
        for key in self.account.keys:
            if key.hash == name and key.organization_id == asking.organization_id:
                return {"data": self._listed(key)}
        return None

    # Money --------------------------------------------------------------------------------------

    def _credits(self, asking: Key, query: Query) -> Body | None:
        del query
        account = self.account
        return {"data": {"total_credits": account.credits_usd, "total_usage": account.used(asking.organization_id)}}

    def _activity(self, asking: Key, query: Query) -> Body | None:
        account = self.account
        today = int(account.since("daily") // DAY_S)
        wanted, workspace = day(query, "date"), self._workspace(query)
        by_workspace = query.get("group_by") == "workspace"
        if not by_workspace and "group_by" in query:
            raise QuestionError(f"group_by={query['group_by'][:40]!r}: expected workspace")

        def group(slot: Slot) -> tuple[str, str, str, str] | None:
            key = account.known(slot.key)
            room = key.workspace_id if key is not None else account.workspaces[0].id
            user = key.creator_user_id if key is not None else None
            told = iso(slot.day * DAY_S)[:10]
            is_wanted = (
                today - ACTIVITY_DAYS <= slot.day < today
                and wanted in {None, told}
                and account.is_of(slot.key, asking.organization_id)
                and workspace in {None, room}
                and query.get("user_id", user) == user
                and query.get("api_key_hash", slot.key)[:12] == slot.key
            )
            return (told, slot.permaslug, slot.provider, room if by_workspace else "") if is_wanted else None

        rows = sorted(account.book.summed(group).items())
        return {"data": [_activity_row(*name, tally) for name, tally in rows]}

    # People and rules ---------------------------------------------------------------------------

    def _workspace(self, query: Query) -> str | None:
        """Read which workspace is asked about; None when it is not said.

        Raises:
            QuestionError: The account has no such workspace.
        """
        wanted = query.get("workspace_id")
        if wanted is not None and wanted not in {each.id for each in self.account.workspaces}:
            raise QuestionError(f"workspace_id={wanted[:40]!r}: expected a workspace of this account")
        return wanted

    def _workspaces(self, asking: Key, query: Query) -> Body | None:
        del asking
        rows = page(self.account.workspaces, query, default=PAGE, most=LARGEST_PAGE)
        return {"data": [_workspace(each) for each in rows], "total_count": len(self.account.workspaces)}

    def _members(self, asking: Key, query: Query) -> Body | None:
        del asking
        rows = page(self.account.members, query, default=PAGE, most=LARGEST_PAGE)
        return {"data": [_member(each) for each in rows], "total_count": len(self.account.members)}

    def _guardrails(self, asking: Key, query: Query) -> Body | None:
        del asking
        workspace = self._workspace(query) or self.account.workspaces[0].id
        listed = [each for each in self.account.guardrails if each.workspace_id == workspace]
        rows = page(listed, query, default=PAGE, most=LARGEST_PAGE)
        return {"data": [_guardrail(each) for each in rows], "total_count": len(listed)}


def _iso(at_s: float | None) -> str | None:
    return None if at_s is None else iso(at_s)


def _budget(budget: Budget) -> Body:
    return {
        "scope": budget.scope,
        "limit_usd": budget.limit_usd,
        "spend_usd": budget.spend_usd,
        "remaining_usd": budget.remaining_usd,
        "reset_interval": budget.reset,
        "resets_at": None if budget.resets_at_s is None else _seconds(budget.resets_at_s),
        "include_byok": budget.is_byok_included,
        "budget_id": None,
        "guardrail_id": budget.guardrail_id,
    }


def _seconds(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _activity_row(date: str, permaslug: str, provider: str, workspace: str, tally: Tally) -> Body:
    row: Body = {
        "date": date,
        "model": model_of(permaslug, provider),
        "model_permaslug": permaslug,
        "endpoint_id": endpoint_id(permaslug, provider),
        "provider_name": provider,
        "usage": tally.charged,
        "byok_usage_inference": tally.byok,
        "requests": tally.requests,
        "prompt_tokens": tally.input_tokens,
        "completion_tokens": tally.output_tokens,
        "reasoning_tokens": tally.reasoning_tokens,
        "cached_tokens": tally.cache_read_tokens,
    }
    return row | ({"workspace_id": workspace} if workspace else {})


def model_of(permaslug: str, provider: str) -> str:
    """Give the model id that a provider serves under a dated name."""
    dated = [model for model in MODELS if model.permaslug == permaslug]
    served = [model for model in dated if any(offer.provider.name == provider for offer in model.offers)]
    return next((model.id for model in served or dated), permaslug)


def _workspace(workspace: Workspace) -> Body:
    return {
        "id": workspace.id,
        "name": workspace.name,
        "slug": workspace.name.lower().replace(" ", "-"),
        "description": None,
        "created_at": iso(BEGAN_AT_S),
        "created_by": None,
        "updated_at": None,
        "default_guardrail_id": workspace.id[::-1],
        "default_image_model": None,
        "default_provider_sort": None,
        "default_text_model": None,
        "io_logging_api_key_ids": None,
        "io_logging_sampling_rate": 1,
        "is_data_discount_logging_enabled": False,
        "is_observability_broadcast_enabled": False,
        "is_observability_io_logging_enabled": False,
    }


def _member(member: Member) -> Body:
    return {
        "id": member.id,
        "email": f"{member.first_name.lower()}@example.org",
        "first_name": member.first_name,
        "last_name": member.last_name,
        "role": member.role,
    }


def _guardrail(guardrail: Guardrail) -> Body:
    return {
        "id": guardrail.id,
        "name": guardrail.name,
        "description": None,
        "limit_usd": guardrail.limit_usd,
        "reset_interval": guardrail.reset_interval,
        "include_byok_in_budgets": guardrail.is_byok_included,
        "allowed_models": guardrail.allowed_models,
        "allowed_providers": guardrail.allowed_providers,
        "workspace_id": guardrail.workspace_id,
        "created_at": iso(BEGAN_AT_S),
        "updated_at": None,
    }
