"""Dashboards, recording rules and alerts as code.

In: the metric catalogue, and a few choices of the owner. Out: the files of `dashboards/`, made again by
`make generate`. `rules`, `alerts`, `alertmanager` and `kubernetes` need nothing but the standard library, so that
an installed `or-otel` renders rules for the owner's budgets; `panels` and `boards` need grafana-foundation-sdk,
which only builders of this package have, so an installed `or-otel` carries the finished boards.
"""
