"""What the shipped files promise, read as data: no container runs here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from or_otel import catalogue
from or_otel.cli import main

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
LOOK = yaml.safe_load((ROOT / "compose.lgtm.yml").read_text())
COLLECTOR = yaml.safe_load((ROOT / "stack" / "collector.yaml").read_text())
SERVICES = COMPOSE["services"]
EVERY = [pytest.param(service, id=name) for name, service in SERVICES.items()]
EVERYWHERE = [*EVERY, *(pytest.param(service, id=f"look-{name}") for name, service in LOOK["services"].items())]


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


def test_what_is_mounted_exists_or_is_declared():
    for service in (*SERVICES.values(), LOOK["services"]["lgtm"]):
        for mount in service.get("volumes", ()):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"], source
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert set(service.get("networks", ())) <= {*COMPOSE["networks"], "default"}


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
    assert pipelines["traces/in"]["processors"] == ["memory_limiter"]
    assert exporters["otlp_grpc/money"]["sending_queue"]["num_consumers"] == 1
    assert [name for name, each in pipelines.items() if "signal_to_metrics" in each["exporters"]] == ["traces/money"]
    (row,) = [row for row in catalogue.METRICS if row.source == "collector"]
    (counter,) = COLLECTOR["connectors"]["signal_to_metrics"]["spans"]
    assert (counter["name"], counter["unit"], counter["description"]) == (row.name, row.unit, row.description)
    told = {each["key"] for each in counter["attributes"]}
    assert {name for name in told if not name.startswith("openrouter.tag.")} == set(row.attributes) - {catalogue.TAGS}
    assert all(each["optional"] for each in counter["attributes"])


def test_what_cannot_be_sent_waits_on_disk_without_end():
    for name, exporter in COLLECTOR["exporters"].items():
        if name != "nop":
            assert exporter["retry_on_failure"]["max_elapsed_time"] == 0
            assert exporter["sending_queue"]["storage"] == "file_storage"


def test_the_first_preparation_writes_what_compose_wants_and_no_later_one_changes_it(tmp_path, prepare):
    (tmp_path / ".env.example").write_text((ROOT / ".env.example").read_text())

    prepare.prepare(tmp_path, is_demo=True)
    first = {path.name: path.read_text() for path in (tmp_path / ".secrets").iterdir()}

    assert set(first) == {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert len(first["grafana_password"]) >= 24
    assert (tmp_path / ".secrets").stat().st_mode & 0o777 == 0o700
    assert "COMPOSE_PROFILES=demo" in (tmp_path / ".env").read_text()
    assert prepare.prepare(tmp_path, is_demo=False) == []
    assert {path.name: path.read_text() for path in (tmp_path / ".secrets").iterdir()} == first


def test_data_sources_keep_their_uids_and_boards_are_mounted_where_the_provider_looks():
    sources = yaml.safe_load((ROOT / "stack" / "grafana" / "datasources" / "or-otel.yaml").read_text())["datasources"]
    assert [source["uid"] for source in sources] == ["prometheus", "tempo", "alertmanager"]
    assert "$" not in json.dumps(sources).replace("$$", "")
    (provider,) = yaml.safe_load((ROOT / "dashboards" / "provisioning" / "or-otel.yaml").read_text())["providers"]
    assert provider["allowUiUpdates"] is False
    for service in (SERVICES["grafana"], LOOK["services"]["lgtm"]):
        assert provider["options"]["path"] in [mount.split(":")[1] for mount in service["volumes"]]
