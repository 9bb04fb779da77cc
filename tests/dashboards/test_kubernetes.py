from __future__ import annotations

import json
import re

import kubernetes_validate
import yaml

from or_otel.dashboards.installed import board_files
from or_otel.dashboards.kubernetes import Place, manifests
from or_otel.dashboards.rules import Choices

DOCUMENTS = list(yaml.safe_load_all(manifests(board_files(), Choices(), Place(namespace="llm", image="or-otel:1.2"))))


def of_kind(kind):
    return [document for document in DOCUMENTS if document["kind"] == kind]


def test_every_manifest_is_what_kubernetes_accepts():
    for document in DOCUMENTS:
        if document["kind"] != "PrometheusRule":  # not of Kubernetes itself; below
            kubernetes_validate.validate(document, "1.30", strict=True)
        assert document["metadata"]["namespace"] == "llm"


def test_a_config_map_holds_a_board_whole():
    maps = of_kind("ConfigMap")

    assert {json.loads(text)["uid"] for each in maps for text in each["data"].values()} == {
        name.removesuffix(".json") for name in board_files()
    }
    for each in maps:
        ((name, text),) = each["data"].items()
        assert text == board_files()[name]
        assert len(text) < 1024 * 1024
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
    assert all("value" not in variable for variable in container["env"])
    assert deployment["spec"]["selector"]["matchLabels"] == of_kind("Service")[0]["spec"]["selector"]
