"""What the shipped files promise, read as data: no container runs here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from or_otel import catalogue
from or_otel.cli import main
from or_otel.config import read_config
from or_otel.dashboards import rules
from or_otel.dashboards.alertmanager import SECRETS, alertmanager_file

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILES = sorted(path.name for path in ROOT.glob("*compose*.yml"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
WITH_CONTENT = yaml.safe_load((ROOT / "compose.content.yml").read_text())
LOOK = yaml.safe_load((ROOT / "compose.lgtm.yml").read_text())
COLLECTOR = yaml.safe_load((ROOT / "stack" / "collector.yaml").read_text())
SERVICES = COMPOSE["services"]
EVERY = [
    *(pytest.param(service, id=name) for name, service in SERVICES.items()),
    pytest.param(WITH_CONTENT["services"]["tempo-content"], id="tempo-content"),
]
EVERYWHERE = [*EVERY, *(pytest.param(service, id=f"look-{name}") for name, service in LOOK["services"].items())]


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_a_compose_file_is_what_compose_accepts(name):
    told = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(ROOT / name)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("service", EVERYWHERE)
def test_no_port_is_open_beyond_this_machine(service):
    assert all(re.match(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+$", port) for port in service.get("ports", ()))


@pytest.mark.parametrize("service", EVERYWHERE)
def test_an_image_has_the_tag_of_one_release(service):
    name, _, tag = service["image"].partition(":")
    assert tag == "local" if name == "or-otel" else re.fullmatch(r"v?\d+\.\d+\.\d+", tag)


@pytest.mark.parametrize("service", EVERYWHERE)
def test_memory_processors_and_logs_are_bounded(service):
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert 0 < service["cpus"] <= 2
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("service", EVERY)
def test_a_part_may_write_only_to_its_volumes(service):
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    files = [mount.rsplit(":", 2) for mount in service.get("volumes", ()) if mount.startswith((".", "$"))]
    assert all(len(parts) == 3 and parts[2] == "ro" for parts in files)


@pytest.mark.parametrize("service", [each for each in EVERYWHERE if each.values[0]["image"] == "or-otel:local"])
def test_our_own_parts_are_started_with_options_that_exist(service):
    name, *options = service["command"]
    command = main.get_command(None, name)
    if command is None:
        pytest.skip(f"or-otel {name} does not exist yet")
    known = {option for each in command.params for option in each.opts}
    assert {option for option in options if option.startswith("--")} <= known


def test_only_the_part_that_hands_over_volumes_is_root_and_it_has_no_network():
    root = {name for name, service in SERVICES.items() if "user" in service or "cap_add" in service}
    assert root == {"owners"}
    assert SERVICES["owners"]["network_mode"] == "none"
    assert SERVICES["owners"]["cap_add"] == ["CHOWN"]


def test_the_key_of_openrouter_is_a_file_and_the_exporters_alone():
    holders = {
        name: [secret for secret in service.get("secrets", ()) if secret.startswith("openrouter")]
        for name, service in SERVICES.items()
    }
    assert {name for name, held in holders.items() if held} == {"exporter"}
    assert all(Path(secret["file"]).parts[0] == ".secrets" for secret in COMPOSE["secrets"].values())
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".secrets/", ".env", ".stack/"} <= set(ignored)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    environments = [value for service in SERVICES.values() for value in (service.get("environment") or {}).items()]
    assert all(name.endswith("_FILE") for name, _ in environments if re.search("KEY|PASSWORD|SECRET|TOKEN", name))


def test_what_is_mounted_exists_or_is_declared(tmp_path, prepare):
    prepare.prepare(_prepared(tmp_path), is_demo=False)
    volumes, networks = ({*COMPOSE[kind], *WITH_CONTENT[kind]} for kind in ("volumes", "networks"))
    for service in (*SERVICES.values(), *WITH_CONTENT["services"].values(), LOOK["services"]["lgtm"]):
        for mount in service.get("volumes", ()):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists() or (tmp_path / source).exists(), source
            else:
                assert source in volumes, source
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert set(service.get("networks", ())) <= {*networks, "default"}


def test_the_exporters_settings_are_in_order_and_only_the_demo_has_budgets():
    budgets = {name: read_config(ROOT / "stack" / f"{name}.toml", {}).budgets for name in ("or-otel", "demo")}
    assert budgets["or-otel"] == ()
    assert min(budget.limit_usd for budget in budgets["demo"]) < 1
    # What stands there as an example, too.
    example = (ROOT / "stack" / "or-otel.toml").read_text().split("#\n", 1)[1]
    assert read_config(re.sub("^# ?", "", example, flags=re.MULTILINE), {}).budgets


def test_content_is_forgotten_early_and_lies_where_nobody_else_reads():
    mine, everybodys = WITH_CONTENT["services"]["tempo-content"], SERVICES["tempo"]
    default = r"\$\{\w+:-(\d+)h\}"
    (hours, days) = (
        int(re.fullmatch(default, each["environment"]["TRACES_RETENTION"])[1]) for each in (mine, everybodys)
    )
    assert hours < days
    assert mine["image"] == everybodys["image"]
    assert "-config.expand-env=true" in mine["command"]
    assert mine["networks"] == ["content"]
    assert [name for name, each in SERVICES.items() if "content" in each.get("networks", ())] == []
    assert "content-data:/var/tempo" in mine["volumes"]
    sources = (ROOT / "stack" / "grafana" / "datasources" / "or-otel.yaml").read_text()
    assert "content" not in sources


def test_keeping_content_adds_a_pipeline_and_changes_none():
    added = yaml.safe_load((ROOT / "stack" / "content.yaml").read_text())["service"]["pipelines"]
    base = COLLECTOR["service"]["pipelines"]
    assert set(added) == {"traces/content"}
    assert "traces/content" not in base
    # Without it nothing of a span passes but through what removes content.
    takers = [name for name, each in base.items() if "otlp" in each["receivers"] and name.startswith("traces")]
    assert takers == ["traces/in"]
    # One that answers at once and refuses nothing: what happens to content is no reason to send money twice.
    assert added["traces/content"]["processors"] == ["tail_sampling/content"]
    assert WITH_CONTENT["services"]["collector"]["command"] == [
        *SERVICES["collector"]["command"],
        "--config=/etc/otelcol/content.yaml",
    ]


def test_every_part_that_can_be_asked_for_its_health_is_asked():
    asked = {name for name, service in SERVICES.items() if "healthcheck" in service}
    # The exporter's stands in its image; the collector's image holds nothing that could ask; `owners` ends.
    assert set(SERVICES) - asked == {"collector", "exporter", "owners"}
    assert SERVICES["tempo"]["healthcheck"]["test"] == ["CMD", "/tempo", "-health"]
    assert "/healthz" in (ROOT / "Dockerfile").read_text()


def test_the_image_runs_as_nobody_of_this_machine():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    assert all(re.match(r"FROM python:3\.\d+-slim-\w+( AS build)?$", line) for line in lines if line.startswith("FROM"))


def test_the_builder_of_the_image_gets_all_that_the_package_is_made_of():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {project["project"]["readme"], *project["project"]["license-files"], *wheel["force-include"]}
    wanted |= {package.split("/")[0] for package in wheel["packages"]}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == {*wanted, "pyproject.toml"}


@pytest.mark.parametrize("part", ["prometheus", "alertmanager", "tempo"])
def test_what_runs_natively_runs_with_the_flags_of_compose(native, tmp_path, part, monkeypatch):
    monkeypatch.setattr(native, "binary", str)
    command = native.Stack(tmp_path).command(part)
    # Paths and settings of the owner aside.
    assert {flag for flag in SERVICES[part]["command"] if not re.search(r"[/$]", flag)} <= set(command)


def test_the_document_names_the_images_that_are_run():
    told = (ROOT / "docs" / "stack.md").read_text()
    images = {service["image"] for service in SERVICES.values()} - {"or-otel:local"}
    assert [image for image in images if f"| {image.replace(':v', ' ').replace(':', ' ')} |" not in told] == []


def test_tempo_is_asked_where_it_listens():
    server = yaml.safe_load((ROOT / "stack" / "tempo.yaml").read_text())["server"]
    assert server["http_listen_port"] == 3200  # what `tempo -health` asks unless told otherwise


def test_grafana_lets_nobody_in_without_the_password():
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_password"
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"


def test_every_component_of_the_collector_is_in_the_builders_manifest():
    manifest = yaml.safe_load((ROOT / "stack" / "builder.yaml").read_text())
    for kind in ("receivers", "processors", "connectors", "exporters", "extensions"):
        modules = " ".join(module["gomod"] for module in manifest[kind])
        for name in {each.split("/")[0] for each in COLLECTOR[kind]}:
            plain = {"otlp_grpc": "otlp", "file_storage": "filestorage"}.get(name, name.replace("_", ""))
            assert re.search(rf"/{plain}({kind[:-1]})? ", modules), name
    assert len({module["gomod"].split()[1] for kind in manifest if kind != "dist" for module in manifest[kind]}) == 2


def test_money_is_counted_before_sampling_in_one_lane():
    pipelines, exporters = COLLECTOR["service"]["pipelines"], COLLECTOR["exporters"]
    assert "otlp_grpc/money" in pipelines["traces/in"]["exporters"]
    assert pipelines["traces/in"]["processors"] == ["memory_limiter", "transform/content"]
    assert exporters["otlp_grpc/money"]["sending_queue"]["num_consumers"] == 1
    assert [name for name, each in pipelines.items() if "signal_to_metrics" in each["exporters"]] == ["traces/money"]
    (row,) = [row for row in catalogue.METRICS if row.source == "collector"]
    (counter,) = COLLECTOR["connectors"]["signal_to_metrics"]["spans"]
    assert (counter["name"], counter["unit"], counter["description"]) == (row.name, row.unit, row.description)
    told = {each["key"] for each in counter["attributes"]}
    assert {name for name in told if not name.startswith("openrouter.tag.")} == set(row.attributes) - {catalogue.TAGS}
    assert all(each["optional"] for each in counter["attributes"])


def test_what_cannot_be_sent_waits_on_disk_without_end():
    more = yaml.safe_load((ROOT / "stack" / "content.yaml").read_text())
    for name, exporter in (COLLECTOR["exporters"] | more["exporters"]).items():
        if name != "nop":
            assert exporter["retry_on_failure"]["max_elapsed_time"] == 0
            assert exporter["sending_queue"]["storage"] == "file_storage"


def test_the_first_preparation_writes_what_compose_wants_and_no_later_one_changes_it(tmp_path, prepare):
    prepare.prepare(_prepared(tmp_path), is_demo=True)
    first = _secrets_of(tmp_path)

    assert set(first) == {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert len(first["grafana_password"]) >= 24
    assert (tmp_path / ".secrets").stat().st_mode & 0o777 == 0o700
    assert "COMPOSE_PROFILES=demo" in (tmp_path / ".env").read_text()
    assert prepare.prepare(tmp_path, is_demo=False) == []
    assert _secrets_of(tmp_path) == first


def _prepared(folder):
    """Give a folder that holds what the repository has for it."""
    (folder / ".env.example").write_text((ROOT / ".env.example").read_text())
    return folder


def _secrets_of(folder):
    return {path.name: path.read_text() for path in (folder / ".secrets").iterdir() if path.is_file()}


def test_env_is_its_owners_alone_and_a_folder_that_was_open_is_closed(tmp_path, prepare):
    (tmp_path / ".secrets").mkdir(mode=0o755)

    prepare.prepare(_prepared(tmp_path), is_demo=False)

    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / ".env", tmp_path / ".secrets")}
    assert modes == {".env": 0o600, ".secrets": 0o700}
    # Containers of other users read them; the folder is what keeps others out.
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (tmp_path / ".secrets").iterdir())


def test_who_changes_to_the_demo_is_told_what_stands_in_the_way(tmp_path, prepare):
    prepare.prepare(_prepared(tmp_path), is_demo=False)
    mine = prepare.in_the_way(tmp_path, is_demo=True)
    assert ".env" in mine
    assert "openrouter_api_key" in mine

    (tmp_path / ".env").unlink()
    for name in prepare.DEMO_KEYS:
        (tmp_path / ".secrets" / name).unlink()
    prepare.prepare(tmp_path, is_demo=True)

    assert prepare.in_the_way(tmp_path, is_demo=True) == ""
    assert ".env" in prepare.in_the_way(tmp_path, is_demo=False)


def test_every_variable_of_env_is_one_that_compose_reads_and_the_reverse(prepare):
    written = (ROOT / ".env.example").read_text() + prepare.DEMO_ENV
    named = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", written, re.MULTILINE)) - {"COMPOSE_PROFILES", "COMPOSE_FILE"}
    read = {name for file in COMPOSE_FILES for name in re.findall(r"\$\{(\w+)", (ROOT / file).read_text())}
    assert named == read


def test_data_sources_keep_their_uids_and_boards_are_mounted_where_the_provider_looks():
    sources = yaml.safe_load((ROOT / "stack" / "grafana" / "datasources" / "or-otel.yaml").read_text())["datasources"]
    assert [source["uid"] for source in sources] == ["prometheus", "tempo", "alertmanager"]
    assert "$" not in json.dumps(sources).replace("$$", "")
    # One source of money here too: a trace leads to what the rules recorded.
    assert re.findall(r"or:\w+:\w+|openrouter_\w+", json.dumps(sources)) == [rules.COST_1H.name]
    (provider,) = yaml.safe_load((ROOT / "dashboards" / "provisioning" / "or-otel.yaml").read_text())["providers"]
    assert provider["allowUiUpdates"] is False
    for service in (SERVICES["grafana"], LOOK["services"]["lgtm"]):
        assert provider["options"]["path"] in [mount.split(":")[1] for mount in service["volumes"]]


def test_the_stacks_alertmanager_groups_and_silences_as_the_example_does():
    ours = yaml.safe_load((ROOT / "stack" / "alertmanager.yml").read_text())
    example = yaml.safe_load(alertmanager_file())

    assert ours["inhibit_rules"] == example["inhibit_rules"]
    for name in ("group_by", "group_interval", "repeat_interval"):
        assert ours["route"][name] == example["route"][name]
    # The example can take its place: where it looks for secrets, there is a folder.
    assert f"./.secrets/alertmanager:{SECRETS}:ro" in SERVICES["alertmanager"]["volumes"]
