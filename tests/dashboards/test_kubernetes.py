from __future__ import annotations

import json
import re

import kubernetes_validate
import yaml

import or_otel
from or_otel.dashboards.installed import board_files
from or_otel.dashboards.kubernetes import DATA, OPERATOR, SETTINGS_MAP, Place, manifests
from or_otel.dashboards.rules import Choices

SETTINGS = "[[budgets]]\nname = 'all'\nlimit_usd = 5\n"
DOCUMENTS = list(
    yaml.safe_load_all(
        manifests(board_files(), Choices(), Place(namespace="llm", image="or-otel:1.2", settings=SETTINGS))
    )
)


def of_kind(kind):
    return [document for document in DOCUMENTS if document["kind"] == kind]


def test_every_manifest_is_what_kubernetes_accepts():
    for document in DOCUMENTS:
        if document["apiVersion"] != OPERATOR:  # not of Kubernetes itself; below
            kubernetes_validate.validate(document, "1.30", strict=True)
        assert document["metadata"]["namespace"] == "llm"


def test_a_config_map_holds_a_board_whole():
    maps = [each for each in of_kind("ConfigMap") if each["metadata"]["name"] != SETTINGS_MAP]

    assert {json.loads(text)["uid"] for each in maps for text in each["data"].values()} == {
        name.removesuffix(".json") for name in board_files()
    }
    for each in maps:
        ((name, text),) = each["data"].items()
        assert text == board_files()[name]
        # What `kubectl apply` can note beside it; an object itself may hold four times as much.
        assert len(json.dumps(text)) < 256 * 1024
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_prometheus_rule_is_what_the_operator_accepts():
    (rule,) = of_kind("PrometheusRule")

    assert rule["apiVersion"] == "monitoring.coreos.com/v1"
    names = [group["name"] for group in rule["spec"]["groups"]]
    assert len(names) == len(set(names)) > 5
    for group in rule["spec"]["groups"]:
        assert set(group) == {"name", "interval", "rules"}
        assert re.fullmatch(r"\d+[smh]", group["interval"])
        for each in group["rules"]:
            assert set(each) <= {"record", "alert", "expr", "for", "labels", "annotations"}
            assert ("record" in each) is not ("alert" in each)
            assert all(isinstance(value, str) for value in (*each.get("labels", {}).values(), each["expr"]))


def test_the_exporter_runs_once_without_rights_and_with_its_keys_from_a_secret():
    (deployment,) = of_kind("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert deployment["spec"]["replicas"] == 1
    assert container["image"] == "or-otel:1.2"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert all("valueFrom" in variable for variable in container["env"] if "KEY" in variable["name"])
    assert deployment["spec"]["selector"]["matchLabels"] == of_kind("Service")[0]["spec"]["selector"]


def mounted(documents):
    (deployment,) = [each for each in documents if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    values = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    return values, {each["mountPath"]: each["name"] for each in container["volumeMounts"]}


def test_the_exporter_remembers_where_it_may_write_and_reads_the_settings_that_were_given():
    values, mounts = mounted(DOCUMENTS)
    (settings,) = [each for each in of_kind("ConfigMap") if each["metadata"]["name"] == SETTINGS_MAP]

    assert values["OR_OTEL_LEDGER"] in mounts
    folder, _, name = values["OR_OTEL_CONFIG"].rpartition("/")
    assert mounts[folder] == "settings"
    assert settings["data"] == {name: SETTINGS}


def test_without_settings_none_are_mounted():
    values, mounts = mounted(list(yaml.safe_load_all(manifests(board_files(), Choices(), Place()))))

    assert (set(values), set(mounts)) == ({"OR_OTEL_LEDGER"}, {DATA})


def test_the_image_that_nobody_named_is_that_of_this_release():
    (deployment,) = [
        each
        for each in yaml.safe_load_all(manifests(board_files(), Choices(), Place()))
        if each["kind"] == "Deployment"
    ]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert container["image"] == f"or-otel:{or_otel.__version__}"


def test_the_monitor_finds_the_exporter_s_service_and_port():
    (monitor,) = of_kind("ServiceMonitor")
    (service,) = of_kind("Service")
    (endpoint,) = monitor["spec"]["endpoints"]

    assert monitor["apiVersion"] == OPERATOR
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_old_data_does_not_restart_the_exporter():
    (deployment,) = of_kind("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert container["livenessProbe"]["tcpSocket"] == {"port": "metrics"}
