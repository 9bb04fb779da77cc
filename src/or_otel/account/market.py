"""The account's list of models as it was on earlier days, kept in the ledger's SQLite file.

An open connection (`isolation_level=None`), models and times come in; models go out. A model is written
when it is new, changed or gone, so a year of hourly lists stays small. Prices are exact text.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

from or_otel.accounts import Model, Prices

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS models (
        id TEXT NOT NULL, seen_at_s REAL NOT NULL, line TEXT, PRIMARY KEY (id, seen_at_s)
    ) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS model_lists (seen_at_s REAL PRIMARY KEY)",
)
SETS = ("input_modalities", "output_modalities", "supported_parameters")
MONEY = tuple(field.name for field in fields(Prices) if field.name != "is_variable")


def store_models(connection: sqlite3.Connection, models: Iterable[Model], seen_at_s: float) -> int:
    """Keep a list of all models.

    Args:
        connection: To the ledger.
        models: The whole list: what is not in it is gone. An empty one is an answer gone wrong, and not kept.
        seen_at_s: When it was asked for; a list older than the newest kept one is passed over.

    Returns:
        How many models were new, changed or gone.
    """
    lines = {model.id: _line(model) for model in models}
    _prepare(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        (newest_s,) = connection.execute("SELECT max(seen_at_s) FROM model_lists").fetchone()
        changed: list[tuple[str, float, str | None]] = []
        if lines and (newest_s is None or newest_s < seen_at_s):
            known = _lines(connection, seen_at_s)
            changed = [(id_, seen_at_s, line) for id_, line in lines.items() if known.get(id_) != line]
            changed += [(id_, seen_at_s, None) for id_ in known.keys() - lines.keys()]
            connection.executemany("INSERT INTO models VALUES (?, ?, ?)", changed)
            # The first list's time is its begin, the newest one's tells what is known last.
            connection.execute("INSERT INTO model_lists VALUES (?)", (seen_at_s,))
            connection.execute(
                "DELETE FROM model_lists WHERE seen_at_s NOT IN "
                "((SELECT min(seen_at_s) FROM model_lists), (SELECT max(seen_at_s) FROM model_lists))"
            )
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return len(changed)


def read_models(connection: sqlite3.Connection, at_s: float) -> tuple[Model, ...] | None:
    """Give the list as it was at a time, by name; None when none had been kept by then."""
    _prepare(connection)
    (first_s,) = connection.execute("SELECT min(seen_at_s) FROM model_lists").fetchone()
    if first_s is None or first_s > at_s:
        return None
    return tuple(_model(line) for _, line in sorted(_lines(connection, at_s).items()))


def told_at_s(connection: sqlite3.Connection) -> float | None:
    """Give when the newest list was asked for; None when none is kept."""
    _prepare(connection)
    (newest_s,) = connection.execute("SELECT max(seen_at_s) FROM model_lists").fetchone()
    return None if newest_s is None else float(newest_s)


def _prepare(connection: sqlite3.Connection) -> None:
    for statement in SCHEMA:
        connection.execute(statement)


def _lines(connection: sqlite3.Connection, at_s: float) -> dict[str, str]:
    rows = connection.execute("SELECT id, line, max(seen_at_s) FROM models WHERE seen_at_s <= ? GROUP BY id", (at_s,))
    return {id_: line for id_, line, _ in rows if line is not None}


def _line(model: Model) -> str:
    told = {name: value for name, value in asdict(model).items() if value is not None}
    told |= {name: sorted(told[name]) for name in SETS}
    told["prices"] = {name: value for name, value in told["prices"].items() if value is not None}
    return json.dumps(told, default=str, sort_keys=True)


def _model(line: str) -> Model:
    names = {field.name for field in fields(Model)}
    told: dict[str, Any] = {name: value for name, value in json.loads(line).items() if name in names}
    told |= {name: frozenset(told[name]) for name in SETS if name in told}
    prices = told.get("prices", {})
    money = {name: Decimal(prices[name]) for name in MONEY if name in prices}
    return Model(**told | {"prices": Prices(is_variable=bool(prices.get("is_variable")), **money)})
