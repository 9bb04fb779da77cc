from __future__ import annotations

import json
import re
from pathlib import Path

import kubernetes_validate
import yaml

import or_otel
from or_otel.account.errors import MANAGEMENT_KEY
from or_otel.cli.exporter import exporter_command
from or_otel.config_file import CONFIG
from or_otel.dashboards.installed import board_files
from or_otel.dashboards.kubernetes import DATA, OPERATOR, SETTINGS_MAP, Place, manifests
from or_otel.dashboards.rulefiles import group_specs
from or_otel.dashboards.rules import Choices

DOCKERFILE = (Path(__file__).parents[2] / "Dockerfile").read_text(encoding="utf-8")
SETTINGS = "[[budgets]]\nname = 'all'\nlimit_usd = 5\n"
DOCUMENTS = list(
    yaml.safe_load_all(
        manifests(board_files(), Choices(), Place(namespace="llm", image="or-otel:1.2", settings=SETTINGS))
    )
)


CHOICES = Choices(sources={"nightly": "spans"}, spike_usd=7)
LABELLED = Place(labels=(("team", "llm"), ("release", "kube")))


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


def made(*, place, choices=None):
    """Give kind → manifest, of those of which there is one."""
    documents = yaml.safe_load_all(manifests({}, choices or Choices(), place))
    return {document["kind"]: document for document in documents}


def test_the_rules_are_those_of_the_owner_s_choices():
    rule = made(place=Place(), choices=CHOICES)["PrometheusRule"]
    specs = group_specs(CHOICES)

    assert rule["spec"]["groups"] == [*specs["or-otel-recording"], *specs["or-otel-alerts"]]


def test_what_the_owner_s_prometheus_selects_by_stands_on_rule_and_monitor():
    told = made(place=LABELLED)

    assert {
        kind
        for kind, each in told.items()
        if {"team": "llm", "release": "kube"}.items() <= each["metadata"]["labels"].items()
    } == {
        "PrometheusRule",
        "ServiceMonitor",
    }
    assert made(place=Place())["PrometheusRule"]["metadata"]["labels"]["release"] == "prometheus"
    assert {each["metadata"]["labels"]["app.kubernetes.io/part-of"] for each in told.values()} == {"or-otel"}


def test_one_way_leads_from_the_monitor_to_the_port_that_the_exporter_listens_on():
    told = made(place=Place())
    (endpoint,) = told["ServiceMonitor"]["spec"]["endpoints"]
    (port,) = told["Service"]["spec"]["ports"]
    pod = told["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    (listening,) = container["ports"]
    name, *arguments = container["args"]
    asked = exporter_command.make_context(name, arguments).params["listen"]

    assert endpoint == {"port": port["name"], "interval": "30s"}
    assert port["targetPort"] == listening["name"]
    assert told["Service"]["spec"]["selector"] == pod["metadata"]["labels"]
    assert asked == ("0.0.0.0", listening["containerPort"])
    assert f"EXPOSE {listening['containerPort']}\n" in DOCKERFILE
    # Whose value is the job that boards and alerts read.
    assert told["Service"]["metadata"]["labels"][told["ServiceMonitor"]["spec"]["jobLabel"]] == "or-otel-exporter"


def test_either_key_of_one_secret_is_enough():
    (deployment,) = of_kind("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    keys = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each}

    assert keys == {
        "OPENROUTER_API_KEY": {"name": "openrouter", "key": "api-key", "optional": True},
        MANAGEMENT_KEY: {"name": "openrouter", "key": "management-key", "optional": True},
    }


def test_the_image_s_user_and_folder_are_those_of_the_pod():
    (deployment,) = of_kind("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    user = pod["securityContext"]["runAsUser"]

    assert f"USER {user}:{pod['securityContext']['fsGroup']}\n" in DOCKERFILE
    assert f"install --directory --owner={user} --group={user} --mode=0700 {DATA}\n" in DOCKERFILE


def test_the_pod_may_do_nothing_and_never_runs_twice():
    (deployment,) = of_kind("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert set(container["resources"]) == {"requests", "limits"}


def test_what_is_mounted_is_there():
    (deployment,) = of_kind("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["volumes"] == [
        {"name": "data", "emptyDir": {}},
        {"name": "settings", "configMap": {"name": SETTINGS_MAP}},
    ]
    assert [each["name"] for each in container["volumeMounts"]] == ["data", "settings"]
    assert [each["name"] for each in container["volumeMounts"] if each.get("readOnly")] == ["settings"]
    assert CONFIG in {each["name"] for each in container["env"]}


def test_old_data_does_not_restart_the_exporter():
    (deployment,) = of_kind("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert container["livenessProbe"]["tcpSocket"] == {"port": "metrics"}
