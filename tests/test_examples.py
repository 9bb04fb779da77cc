"""Every example runs as its README says, offline, in a process of its own, and tells the truth about money."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import totals
from or_otel.ledger.workflow_runs import workflow_runs, workflows

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = {path.name for path in EXAMPLES.glob("*.py")} - {"offline.py"}


class Done:
    """What an example printed, and what its ledger holds."""

    def __init__(self, process, folder):
        assert process.returncode == 0, process.stderr
        self.out = process.stdout
        self.err = process.stderr
        self.billed = Decimal(re.search(r"billed \$(\S+)\.$", process.stdout, re.MULTILINE)[1])
        import_journals(folder)
        with open_ledger(folder / DATABASE) as ledger:
            self.tracked = sum((row.sums.total for row in totals(ledger)), Decimal(0))
            self.customers = {row.group[0]: row.sums.total for row in totals(ledger, by=["customer"])}
            self.features = {row.group[0] for row in totals(ledger, by=["feature"])}
            self.teams = {row.group[0] for row in totals(ledger, by=["team"])}
            self.runs = workflow_runs(ledger)


@pytest.fixture
def run(tmp_path):
    def offline(script, **environment):
        process = subprocess.run(
            [sys.executable, "-W", "error", str(EXAMPLES / "offline.py"), str(script)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OR_OTEL_LEDGER": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(process, tmp_path)

    return offline


def test_every_example_is_in_the_readme_and_tested_here():
    listed = set(re.findall(r"^\| `(\w+\.py)` \|", (EXAMPLES / "README.md").read_text(), re.MULTILINE))

    assert listed == SCRIPTS
    assert all(name in Path(__file__).read_text() for name in SCRIPTS)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_an_example_is_short(name):
    assert len((EXAMPLES / name).read_text().splitlines()) <= 60


def test_a_one_shot_job_is_attributed_by_who_starts_it(run):
    done = run(EXAMPLES / "one_shot_job.py", OR_OTEL_TAGS="team=finance,feature=digest")

    assert done.tracked == done.billed > 0
    assert (done.teams, done.features) == ({"finance"}, {"digest"})
    assert "or-otel receipt" in done.err


def test_a_batch_knows_what_each_customer_cost(run):
    done = run(EXAMPLES / "batch.py")

    assert "5 of 5 reviews classified" in done.out
    assert done.tracked == done.billed > 0
    for customer in ("acme", "globex"):
        assert re.search(rf"{customer}: \$([\d.]+) for", done.out)[1] == str(done.customers[customer])
    assert done.features == {"review-triage"}


def test_a_service_bills_each_tenant(run, tmp_path):
    driver = tmp_path / "driver.py"
    driver.write_text(f"""
import json, runpy
import or_otel
from fastapi.testclient import TestClient

service = runpy.run_path({str(EXAMPLES / "fastapi_service.py")!r})
with TestClient(service["app"]) as browser:
    for tenant, question in [("acme", "Why?"), ("globex", "How much is it, in all?"), ("acme", "When?")]:
        assert browser.get("/answer", params={{"question": question}}, headers={{"x-tenant": tenant}}).text
    or_otel.flush()
    print(json.dumps({{tenant: browser.get(f"/bill/{{tenant}}").json() for tenant in ("acme", "globex", "initech")}}))
""")

    done = run(driver)

    bills = json.loads(next(line for line in done.out.splitlines() if line.startswith("{")))
    assert {tenant: Decimal(bill["usd"]) for tenant, bill in bills.items() if tenant != "initech"} == done.customers
    assert bills["initech"] == {"usd": "0", "calls_of_unknown_cost": 0}
    assert done.tracked == done.billed == sum(done.customers.values()) > 0
    assert done.features == {"/answer"}


def test_tasks_are_tagged_by_their_message(run):
    done = run(EXAMPLES / "celery_tasks.py")

    assert re.findall(r"^(\w+): summarise \$", done.out, re.MULTILINE) == ["acme", "globex"]
    assert done.tracked == done.billed > 0
    assert set(done.customers) == {"acme", "globex"}


def test_an_agent_s_run_has_its_figures_and_its_late_verdict(run):
    done = run(EXAMPLES / "agent.py")

    (one,) = done.runs
    (advice,) = workflows(done.runs)
    assert "2 calls in 2 steps, 1 tool calls" in done.out
    assert (one.workflow, one.outcome, one.units, one.sums.calls) == ("travel-advice", "error", 0, 2)
    assert advice.cost == done.tracked == done.billed > 0
    assert advice.cost_per_ok_run is None
