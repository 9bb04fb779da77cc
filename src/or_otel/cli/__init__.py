"""The command `or-otel`: one file per group of commands, imported only when it is asked for.

Commands parse, call and print. Usage errors exit with 2; data goes to standard output,
everything said beside it to standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click

from or_otel.version import own_version

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("or_otel.cli.demo", "See it work in half a minute: no key, no network, no set-up."),
    "run": ("or_otel.cli.run", "Run any Python program with every LLM call watched; ends with a receipt."),
    "report": ("or_otel.cli.report", "Where the money went: by model, provider, team, day, …"),
    "calls": ("or_otel.cli.calls", "Single calls, dearest first, with their generation and trace ids."),
    "show": ("or_otel.cli.show", "One generation: what we saw beside the account's own record, differences marked."),
    "top": ("or_otel.cli.top", "Live: spend of the last minute, hour and day, newest and dearest calls."),
    "export": ("or_otel.cli.export", "Every charge for finance, as CSV or JSON lines with FOCUS columns."),
    "reconcile": ("or_otel.cli.reconcile", "Is what we tracked what we are billed? Day by day, and why not."),
    "ledger": ("or_otel.cli.ledger", "The local file behind the reports: path, stats, import, prune, erase."),
    "account": (
        "or_otel.cli.account",
        "Balance, spending, forecast, runway; closed days by model, app, company, member.",
    ),
    "keys": ("or_otel.cli.keys", "Whose is which key, and which ones want a look."),
    "statement": ("or_otel.cli.statement", "What one company owes for a month, to the last digit."),
    "budget": (
        "or_otel.cli.budget",
        "Limits of your own in or-otel.toml: write a first one, check it, see how they stand.",
    ),
    "watch": ("or_otel.cli.watch", "Tell of budgets, credits and keys while it runs, here and by Slack or e-mail."),
    "exporter": ("or_otel.cli.exporter", "Credits, keys, limits, budgets, activity for Prometheus and OTLP."),
    "dashboards": (
        "or_otel.cli.dashboards",
        "Grafana boards, Prometheus rules and alerts, as files or Kubernetes manifests.",
    ),
    "doctor": ("or_otel.cli.doctor", "Is everything in order? What is wrong, and what would be right."),
}
"""Name → module that holds a command of that name, and its line in the help: so that the help imports none of them."""


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names in the order of a first visit."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for a name that is none."""
        del ctx
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        command = getattr(import_module(found[0]), f"{cmd_name}_command")
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(own_version(), prog_name="or-otel")
def main() -> None:
    """Know what every LLM call costs, who really served it, and how fast it was.

    \b
    Try it:          or-otel demo
    Your program:    or-otel run -- python app.py
    Where it went:   or-otel report --since 7d --by model,team
    Dearest calls:   or-otel calls --sort cost --top 20
    The account:     or-otel account

    Reports come from a local file: no server, no account. To send the same to OpenTelemetry,
    set OTEL_EXPORTER_OTLP_ENDPOINT or pass --otlp-endpoint to run. What only OpenRouter knows
    (account, keys, statement, budget, watch, exporter, reconcile) is asked with a key of yours.
    """  # noqa: D301 -- \b is click's sign to keep the lines
