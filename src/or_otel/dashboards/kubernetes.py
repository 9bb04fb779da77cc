"""The same as Kubernetes manifests: boards as ConfigMaps, rules as a PrometheusRule, the exporter as a Deployment.

Texts and values in, YAML out; knows no cluster. ConfigMaps carry the label that Grafana's sidecar looks for, rule and
monitor are of the Prometheus Operator (monitoring.coreos.com/v1). Keys come from a Secret that the owner makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from or_otel.dashboards.rulefiles import group_specs
from or_otel.dashboards.rules import Choices
from or_otel.dashboards.yaml_text import to_yaml
from or_otel.version import own_version

EXPORTER = "or-otel-exporter"
IMAGE = f"or-otel:{own_version()}"
"""Never `latest`: of that Kubernetes asks a registry each time, and a newer one is a decision."""
PORT = 9877
SECRET = "openrouter"  # noqa: S105 -- the name of one
USER = 10001
DATA = "/var/lib/or-otel"
"""Where the image keeps what the exporter remembers."""
SETTINGS = "or-otel.toml"
SETTINGS_FOLDER = "/etc/or-otel"
SETTINGS_MAP = "or-otel-settings"
OPERATOR = "monitoring.coreos.com/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the manifests go.

    Attributes:
        namespace: All of them live there.
        image: The exporter's image.
        labels: What the owner's Prometheus selects rules and monitors by.
        settings: Text of the `or-otel.toml` that the exporter reads; None for none.
    """

    namespace: str = "monitoring"
    image: str = IMAGE
    labels: tuple[tuple[str, str], ...] = (("release", "prometheus"),)
    settings: str | None = None


def manifests(boards: Mapping[str, str], choices: Choices, place: Place) -> str:
    """Give all manifests as one YAML stream."""
    documents = [
        *(_config_map(name, text, place) for name, text in boards.items()),
        _prometheus_rule(choices, place),
        *([_settings_map(place.settings, place)] if place.settings is not None else []),
        _deployment(place),
        _service(place),
        _service_monitor(place),
    ]
    return "---\n".join(to_yaml(document) for document in documents)


def _head(kind: str, api: str, name: str, place: Place, **labels: str) -> dict[str, object]:
    metadata = {
        "name": name,
        "namespace": place.namespace,
        "labels": {"app.kubernetes.io/part-of": "or-otel", **labels},
    }
    return {"apiVersion": api, "kind": kind, "metadata": metadata}


def _config_map(name: str, text: str, place: Place) -> dict[str, object]:
    head = _head("ConfigMap", "v1", name.removesuffix(".json"), place, grafana_dashboard="1")
    return {**head, "data": {name: text}}


def _settings_map(text: str, place: Place) -> dict[str, object]:
    return {**_head("ConfigMap", "v1", SETTINGS_MAP, place), "data": {SETTINGS: text}}


def _prometheus_rule(choices: Choices, place: Place) -> dict[str, object]:
    head = _head("PrometheusRule", OPERATOR, "or-otel", place, **dict(place.labels))
    return {**head, "spec": {"groups": [group for groups in group_specs(choices).values() for group in groups]}}


def _deployment(place: Place) -> dict[str, object]:
    mine = {"app.kubernetes.io/name": EXPORTER}
    env = [
        _from_secret("OPENROUTER_API_KEY", "api-key"),
        _from_secret("OPENROUTER_MANAGEMENT_KEY", "management-key"),
        {"name": "OR_OTEL_LEDGER", "value": DATA},
    ]
    mounts: list[dict[str, object]] = [{"name": "data", "mountPath": DATA}]
    # What it remembers of days and keys; OpenRouter tells most of it again after a loss.
    volumes: list[dict[str, object]] = [{"name": "data", "emptyDir": {}}]
    if place.settings is not None:
        env.append({"name": "OR_OTEL_CONFIG", "value": f"{SETTINGS_FOLDER}/{SETTINGS}"})
        mounts.append({"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True})
        volumes.append({"name": "settings", "configMap": {"name": SETTINGS_MAP}})
    container = {
        "name": "exporter",
        "image": place.image,
        "args": ["exporter", "--listen", f"0.0.0.0:{PORT}"],
        "env": env,
        "ports": [{"name": "metrics", "containerPort": PORT}],
        # Not /healthz, which tells of old data: a restart would not make OpenRouter answer, nor a scrape withheld.
        "livenessProbe": {"tcpSocket": {"port": "metrics"}, "periodSeconds": 30},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {
        # Two would tell everything twice.
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": mine},
        "template": {
            "metadata": {"labels": mine},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": USER,
                    "fsGroup": USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
                "volumes": volumes,
            },
        },
    }
    return {**_head("Deployment", "apps/v1", EXPORTER, place, **mine), "spec": spec}


def _from_secret(variable: str, key: str) -> dict[str, object]:
    # Either key is enough; which one is missing only decides what can be told.
    return {
        "name": variable,
        "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key, "optional": True}},
    }


def _service(place: Place) -> dict[str, object]:
    mine = {"app.kubernetes.io/name": EXPORTER}
    ports = [{"name": "metrics", "port": PORT, "targetPort": "metrics"}]
    return {**_head("Service", "v1", EXPORTER, place, **mine), "spec": {"selector": mine, "ports": ports}}


def _service_monitor(place: Place) -> dict[str, object]:
    mine = {"app.kubernetes.io/name": EXPORTER}
    endpoints = [{"port": "metrics", "interval": "30s"}]
    spec = {"selector": {"matchLabels": mine}, "endpoints": endpoints, "jobLabel": "app.kubernetes.io/name"}
    return {**_head("ServiceMonitor", OPERATOR, EXPORTER, place, **dict(place.labels)), "spec": spec}
