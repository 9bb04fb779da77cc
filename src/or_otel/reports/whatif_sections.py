"""A `WhatIf` → sections: what it would have cost, on what grounds, and what would be cheaper. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from or_otel.reports.money import plural, usd
from or_otel.reports.over_time import change
from or_otel.reports.sections import Section
from or_otel.reports.tables import Column, Table
from or_otel.reports.whatif import INPUT_RANGE, LEAST_CALLS, OUTPUT_RANGE, TOOLS, Estimate, WhatIf

QUALITY = "Whether the answers would have been as good is yours to judge: try it on cases you know before you switch."
ASSUMED = (
    f"assumed: {INPUT_RANGE[0]} to {INPUT_RANGE[1]} of the input tokens, {OUTPUT_RANGE[0]} to {OUTPUT_RANGE[1]} of the "
    "output tokens; as much from caches at best and nothing at worst, and as many attempts"
)
SEEN = f"ledger: tokens, cached share and attempts of {LEAST_CALLS} or more calls of the new model for the same use"


def sections(whatif: WhatIf, *, listed_at_s: float | None) -> Iterator[Section]:
    """Give what an answer says.

    Args:
        whatif: The answer.
        listed_at_s: When the list of prices was fetched.
    """
    asked = whatif.replacement
    at = (
        "at an unknown time"
        if listed_at_s is None
        else f"{datetime.fromtimestamp(listed_at_s, UTC):%Y-%m-%d %H:%M} UTC"
    )
    if asked.new is not None:
        yield _replaced(whatif, at)
    if whatif.alternatives:
        yield _alternatives(whatif, at)
    elif asked.new is None:
        said = f"No listed model with the same capabilities is cheaper than {asked.old}."
        if not whatif.calls:
            said = f"No call of {asked.old} with a known price in this period."
        yield Section(name="alternatives", title=f"Instead of {asked.old}", lead=said)


def _replaced(whatif: WhatIf, at: str) -> Section:
    asked = whatif.replacement
    target = f"{asked.new}@{asked.tag}" if asked.tag else str(asked.new)
    low, high, now = whatif.low_usd, whatif.high_usd, whatif.now_usd
    lead = f"No call of {asked.old} with a known price in this period."
    if whatif.calls:
        lead = (
            f"{plural(whatif.calls, 'call')} cost {usd(now)}; on {target} {_range(low, high)}{_change(now, low, high)}."
        )
    notes = [f"Prices of {at}. {QUALITY}"]
    grounds = {SEEN: any(each.is_seen for each in whatif.estimates)}
    grounds[ASSUMED] = not all(each.is_seen for each in whatif.estimates)
    notes += [
        f"On the grounds of {text}." if text is SEEN else f"{text.capitalize()}."
        for text, is_so in grounds.items()
        if is_so
    ]
    if whatif.lacking:
        notes.append(f"{asked.new} has no {', no '.join(whatif.lacking)}, which {asked.old} has.")
    if whatif.too_long_calls:
        notes.append(f"{plural(whatif.too_long_calls, 'call')} would not fit into its context.")
    if whatif.unpriced_calls:
        notes.append(f"{plural(whatif.unpriced_calls, 'call')} of {asked.old} without a known price left out.")
    return Section(
        name="what_if",
        title=f"What if: {asked.old} → {target}",
        lead=lead,
        table=Table(
            columns=(
                Column(name="use", title="used for"),
                Column(name="calls", title="calls", kind="count"),
                Column(name="now_usd", title="now", kind="usd"),
                Column(name="low_usd", title="at least", kind="usd"),
                Column(name="high_usd", title="at most", kind="usd"),
                Column(name="grounds", title="on the grounds of"),
                Column(name="seen_calls", title="", kind="count"),
                Column(name="input_ratio", title="in, each", kind="share"),
                Column(name="output_ratio", title="out, each", kind="share"),
                Column(name="attempt_ratio", title="attempts", kind="share"),
            ),
            rows=tuple(
                (
                    each.use,
                    each.calls,
                    each.now_usd,
                    each.low_usd,
                    each.high_usd,
                    _grounds(each),
                    each.seen_calls,
                    each.input_ratio,
                    each.output_ratio,
                    each.attempt_ratio,
                )
                for each in whatif.estimates
            ),
        ),
        notes=tuple(notes),
    )


def _grounds(estimate: Estimate) -> str:
    return f"ledger, {plural(estimate.seen_calls, 'call')}" if estimate.is_seen else "assumed"


def _range(low: Decimal, high: Decimal) -> str:
    return f"{usd(low)}" if low == high else f"{usd(low)} to {usd(high)}"


def _change(now: Decimal, low: Decimal, high: Decimal) -> str:
    least, most = change(low, now), change(high, now)
    if least is None or most is None:
        return ""
    return f" ({least})" if least == most else f" ({least} to {most})"


def _alternatives(whatif: WhatIf, at: str) -> Section:
    asked = whatif.replacement
    listed = whatif.listed_usd if whatif.listed_usd is not None else whatif.now_usd
    return Section(
        name="alternatives",
        title=f"Cheaper than {asked.old}, with its capabilities",
        lead=f"The same tokens cost {usd(listed)} at its own list price.",
        table=Table(
            columns=(
                Column(name="model", title="model"),
                Column(name="cost_usd", title="same tokens", kind="usd"),
                Column(name="change", title="change"),
                Column(name="context", title="context", kind="tokens"),
                Column(name="tools", title="tools"),
                Column(name="inputs", title="takes"),
            ),
            rows=tuple(
                (
                    each.model.id,
                    each.cost_usd,
                    change(each.cost_usd, listed),
                    each.model.context_length,
                    "yes" if TOOLS in each.model.supported_parameters else "no",
                    ", ".join(sorted(each.model.input_modalities)),
                )
                for each in whatif.alternatives
            ),
        ),
        notes=(f"List prices of {at}; models differ in how many tokens they need. {QUALITY}",),
    )
