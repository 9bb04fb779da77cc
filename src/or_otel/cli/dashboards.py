"""`or-otel dashboards`: boards, recording rules and alerts, as files or as Kubernetes manifests."""

from __future__ import annotations

from pathlib import Path

import click

from or_otel.cli.options import FiniteRange, metric_tags, settings_from
from or_otel.dashboards.alertmanager import alertmanager_file
from or_otel.dashboards.installed import board_files
from or_otel.dashboards.kubernetes import IMAGE, Place, manifests
from or_otel.dashboards.rulefiles import rule_files
from or_otel.dashboards.rules import SOURCES, Choices, MoneySource, worked_out

FOLDER = "or-otel-dashboards"
USUAL = Choices()
SPIKE = "A service that spends less in five minutes makes no spike."
UNUSUAL = "A service that spends less in an hour is not unusual."
SLOW = "Seconds beyond which one call in twenty is slow."
MAX_SLOW_S = 80
"""The histogram of durations tells nothing beyond 82 s."""
PIPELINE = {str(source): source for source in SOURCES}


class JobSource(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.4
    """A service and the pipeline that tells its money, as `nightly=spans`."""

    name = "job=pipeline"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, MoneySource]:
        """Read one."""
        job, _, source = str(value).rpartition("=")
        if not job or source not in PIPELINE:
            self.fail(f"{value!r}: expected SERVICE=PIPELINE with one of {', '.join(SOURCES)}", param, ctx)
        return job, PIPELINE[source]


@click.group("dashboards")
def dashboards_command() -> None:
    """Grafana boards, Prometheus rules and alerts for what or-otel measures.

    \b
    or-otel dashboards export
    or-otel dashboards export --format k8s --output or-otel.yaml
    """  # noqa: D301 -- \b is click's sign to keep the lines


@dashboards_command.command("export", short_help="Write boards and rules.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help=f"Folder for files (default: {FOLDER}), file for Kubernetes (default: print).",
)
@click.option("--format", "form", type=click.Choice(["files", "k8s"]), default="files", show_default=True)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="Settings file with budgets.")
@click.option(
    "--default-source",
    type=click.Choice(SOURCES),
    default="client",
    show_default=True,
    help="Which pipeline tells a service's money.",
)
@click.option("--source", "sources", multiple=True, type=JobSource(), help="Another pipeline for one service.")
@click.option("--spike-usd", type=FiniteRange(min=0), default=USUAL.spike_usd, show_default=True, help=SPIKE)
@click.option("--unusual-usd", type=FiniteRange(min=0), default=USUAL.anomaly_usd, show_default=True, help=UNUSUAL)
@click.option("--slow-s", type=FiniteRange(1, MAX_SLOW_S), default=USUAL.slow_s, show_default=True, help=SLOW)
@click.option("--grafana-url", default="", help="Put before the boards' paths in alerts.")
@click.option("--docs-url", default="", help="Put before the documents' paths in alerts and boards.")
@click.option("--namespace", default="monitoring", show_default=True, help="Kubernetes: where all of it goes.")
@click.option("--image", default=IMAGE, show_default=True, help="Kubernetes: the exporter's image.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def export_command(  # noqa: PLR0913 -- the options of the command
    *,
    output: Path | None,
    form: str,
    config: Path | None,
    default_source: MoneySource,
    sources: tuple[tuple[str, MoneySource], ...],
    spike_usd: float,
    unusual_usd: float,
    slow_s: float,
    grafana_url: str,
    docs_url: str,
    namespace: str,
    image: str,
    force: bool,
) -> None:
    """Write boards and rules; client-side budgets of or-otel.toml become rules of their own."""
    settings = settings_from(config)
    choices = Choices(
        default_source=default_source,
        sources=dict(sources),
        budgets=settings.budgets,
        spike_usd=spike_usd,
        anomaly_usd=unusual_usd,
        slow_s=slow_s,
        grafana_url=grafana_url.rstrip("/"),
        docs_url=docs_url and docs_url.rstrip("/") + "/",
    )
    tags = metric_tags(settings)
    for budget in worked_out(choices):
        if budget.label not in tags:
            click.echo(
                f"or-otel: budget {budget.name!r}: metrics do not carry the tag {budget.label!r}, so its rules see no "
                f"spend; name it in `tags` of [metrics] in or-otel.toml or in OR_OTEL_METRIC_TAGS (now: "
                f"{', '.join(tags) or 'none'}), here and where the programs run",
                err=True,
            )
    try:
        boards = board_files(choices.docs_url)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from error
    if form == "k8s":
        text = None if settings.path is None else settings.path.read_text(encoding="utf-8")
        place = Place(namespace=namespace, image=image, settings=text)
        manifest = manifests(boards, choices, place)
        if output is None:
            click.echo(manifest, nl=False)
        else:
            _write({output: manifest}, force=force)
        return
    folder = output or Path(FOLDER)
    files = {**boards, **rule_files(choices), "alertmanager/alertmanager.yml": alertmanager_file()}
    _write({folder / name: text for name, text in files.items()}, force=force)
    click.echo(
        f"{len(files)} files in {folder}: boards for Grafana, rules/ for Prometheus, an example for Alertmanager."
    )


def _write(files: dict[Path, str], *, force: bool) -> None:
    there = [path for path in files if path.exists()]
    if there and not force:
        raise click.ClickException(f"{there[0]} is there already: pass --force to replace it, or another --output")
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{path}: {error.strerror}; expected a place that can be written") from error
