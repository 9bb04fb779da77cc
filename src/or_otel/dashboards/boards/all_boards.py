"""Every board, in the order in which a visitor meets them."""

from __future__ import annotations

from or_otel.dashboards.board import Board
from or_otel.dashboards.boards import (
    agents,
    attribution,
    budgets,
    byok,
    caching,
    governance,
    health,
    models,
    overview,
    reliability,
    routing,
)

BOARDS: tuple[Board, ...] = tuple(
    module.BOARD
    for module in (
        overview,
        models,
        routing,
        reliability,
        budgets,
        attribution,
        agents,
        caching,
        byok,
        health,
        governance,
    )
)
