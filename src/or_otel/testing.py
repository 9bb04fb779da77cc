"""For the tests of applications: assert what a piece of code asks of a model, and what that costs.

Installed as a pytest plugin: ask for the fixture `llm_calls`.

    def test_a_summary_is_cheap(llm_calls):
        summarise("…")

        assert len(llm_calls) == 1
        assert llm_calls.cost <= Decimal("0.002")
        assert llm_calls.output_tokens < 500

Nothing is sent by this module; point the client at a server of your own, such as
`or_otel.simulator.server.ScriptedOpenRouter`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, overload

import pytest

if TYPE_CHECKING:  # the plugin is loaded in every test run of the environment, so it loads nothing else
    from or_otel.calls import CallRecord


class Calls(Sequence["CallRecord"]):
    """The finished calls of one test, oldest first."""

    def __init__(self, records: list[CallRecord]) -> None:
        self._records = records

    @overload
    def __getitem__(self, index: int) -> CallRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CallRecord]: ...
    def __getitem__(self, index: int | slice) -> CallRecord | Sequence[CallRecord]:
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    @property
    def cost(self) -> Decimal:
        """US dollars over all calls, exact.

        Raises:
            AssertionError: Some call's price is not known, so that no sum would be true.
        """
        unpriced = [record.unpriced for record in self._records if record.unpriced is not None]
        if unpriced:
            raise AssertionError(f"{len(unpriced)} of {len(self)} calls have no known price: {', '.join(unpriced)}")
        totals = [record.cost.total for record in self._records if record.cost is not None]
        return sum((total for total in totals if total is not None), Decimal(0))

    @property
    def input_tokens(self) -> int:
        """Prompt tokens over all calls, cached ones included."""
        return sum(record.usage.input_tokens or 0 for record in self._records if record.usage is not None)

    @property
    def output_tokens(self) -> int:
        """Completion tokens over all calls, reasoning included."""
        return sum(record.usage.output_tokens or 0 for record in self._records if record.usage is not None)


@pytest.fixture
def llm_calls() -> Iterator[Calls]:
    """Collect every call to a model that the test makes; switches or-otel on if it is not."""
    from or_otel import instrumentor  # noqa: PLC0415 -- see the module docstring

    was_on = instrumentor.is_on()
    if not was_on:
        instrumentor.instrument()
    with instrumentor.capture() as records:
        yield Calls(records)
    if not was_on:
        instrumentor.uninstrument()
