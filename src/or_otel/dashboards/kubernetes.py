"""The same as Kubernetes manifests: boards as ConfigMaps, rules as a PrometheusRule, the exporter as a Deployment.

Texts and values in, YAML out; knows no cluster. ConfigMaps carry the label that Grafana's sidecar looks for, the rule
is of the Prometheus Operator (monitoring.coreos.com/v1). Keys come from a Secret that the owner makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from or_otel.dashboards.rulefiles import group_specs
from or_otel.dashboards.rules import Choices
from or_otel.dashboards.yaml_text import to_yaml

EXPORTER = "or-otel-exporter"
PORT = 9877
SECRET = "openrouter"  # noqa: S105 -- the name of one
USER = 10001
DATA = "/var/lib/or-otel"
"""Where the image keeps what the exporter remembers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the manifests go.

    Attributes:
        namespace: All of them live there.
        image: The exporter's image.
        labels: What the owner's Prometheus selects rules by.
    """

    namespace: str = "monitoring"
    image: str = "or-otel:latest"
    labels: tuple[tuple[str, str], ...] = (("release", "prometheus"),)


def manifests(boards: Mapping[str, str], choices: Choices, place: Place) -> str:
    """Give all manifests as one YAML stream."""
    documents = [
        *(_config_map(name, text, place) for name, text in boards.items()),
        _prometheus_rule(choices, place),
        _deployment(place),
        _service(place),
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


def _prometheus_rule(choices: Choices, place: Place) -> dict[str, object]:
    head = _head("PrometheusRule", "monitoring.coreos.com/v1", "or-otel", place, **dict(place.labels))
    return {**head, "spec": {"groups": [group for groups in group_specs(choices).values() for group in groups]}}


def _deployment(place: Place) -> dict[str, object]:
    mine = {"app.kubernetes.io/name": EXPORTER}
    container = {
        "name": "exporter",
        "image": place.image,
        "args": ["exporter", "--listen", f"0.0.0.0:{PORT}"],
        "env": [
            _from_secret("OPENROUTER_API_KEY", "api-key"),
            _from_secret("OPENROUTER_MANAGEMENT_KEY", "management-key"),
        ],
        "ports": [{"name": "metrics", "containerPort": PORT}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}, "periodSeconds": 30},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": DATA}],
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
                # What it remembers of days and keys; OpenRouter tells most of it again after a loss.
                "volumes": [{"name": "data", "emptyDir": {}}],
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
