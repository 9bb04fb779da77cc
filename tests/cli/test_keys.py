"""`or-otel keys` before a scripted account: whose is which key, and what wants a look."""

from __future__ import annotations

import csv
import json

from or_otel.entries import to_line
from or_otel.simulator.book import fingerprint

NORTH = "sk-or-v1-demo-north-ferries"
DOCK = "sk-or-v1-demo-dry-dock"


def told(answer):
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def findings(row):
    return [each["name"] for each in row["findings"]]


def test_keys_are_assigned_and_the_most_urgent_comes_first(desk):
    desk.past(days=3)
    desk.account.change_key(DOCK, expires_at_s=desk.now_s + 3 * 86_400)

    rows = told(desk.run("keys", "--json"))["keys"]

    assert (rows[0]["key"], findings(rows[0])) == ("dry-dock", ["expiring", "no_limit"])
    assert rows[0]["assignment"] == {"company": "Dock", "team": "yard"}
    found = {row["key"]: row for row in rows}
    assert findings(found["north-ferries"]) == ["never_expires"]
    assert findings(found["support"]) == ["no_limit", "unassigned", "unused", "never_expires"]


def test_what_fingerprints_cannot_tell_is_counted_on_both_sides(desk):
    desk.past(days=3, is_ledger=True)

    shown = told(desk.run("keys", "--json"))
    answer = desk.run("keys")

    assert {each["fingerprint"] for each in shown["unknown_fingerprints"]} == {
        entry.key for entry in desk.server.book.entries
    }
    assert len(shown["unseen_keys"]) == len(shown["keys"]) == 10
    assert "6 fingerprints" in answer.stdout
    assert "10 keys: " in answer.stdout


def test_one_key_at_hand_matches_the_rest(desk):
    desk.past(days=3, is_ledger=True)

    shown = told(desk.run("keys", "--json", api_key=NORTH))

    assert shown["unknown_fingerprints"] == []
    assert {row["fingerprint"] for row in shown["keys"] if row["services"]} == {
        entry.key for entry in desk.server.book.entries
    }
    assert set(shown["unseen_keys"]) <= {"search", "support", "byok", "broke"}


def test_a_key_in_two_services_is_found_by_the_ledger(desk, entry):
    desk.past(days=1)
    lines = [
        entry("0.1", key_id=fingerprint(NORTH), service_name=service, call_started_at_s=desk.now_s - 60)
        for service in ("web", "cron", "web")
    ]
    (desk.folder / "host-1-1.jsonl").write_bytes(b"".join(map(to_line, lines)))

    answer = desk.run("keys", api_key=NORTH)
    (first, *_) = told(desk.run("keys", "--json", api_key=NORTH))["keys"]

    assert (first["key"], findings(first)[0], first["services"]) == ("north-ferries", "shared", ["cron", "web"])
    assert "used by 2 services: cron, web" in answer.stdout


def test_csv_names_findings_for_programs(desk):
    rows = {row["key"]: row for row in csv.DictReader(desk.run("keys", "--csv").stdout.splitlines())}

    assert rows["support"]["findings"] == "no_limit unassigned unused never_expires"
    assert rows["search"]["limit_usd"] == "50"


def test_an_ordinary_key_shows_itself_by_its_fingerprint(desk):
    desk.past(days=3, is_ledger=True)
    desk.config.write_text(f'[[keys]]\nfingerprint = "{fingerprint(DOCK)}"\ncompany = "Dock"\n')

    shown = told(desk.run("keys", "--json", management_key=None, api_key=DOCK))

    (row,) = shown["keys"]
    assert (row["key"], row["assignment"], row["services"]) == ("this key", {"company": "Dock"}, ["harbour-app"])
    assert shown["unknown_fingerprints"] == []
    assert "does not see other keys" in shown["notes"][0]


def test_no_key_and_no_part_of_one_is_shown(desk):
    desk.past(days=1)

    answer = desk.run("keys", "--json", api_key=NORTH)

    assert "sk-or" not in answer.output


def test_a_name_that_meets_several_rows_is_told(desk):
    desk.past(days=1)
    desk.config.write_text('[[keys]]\nname = "dry-*"\nteam = "a"\n[[keys]]\nname = "*-dock"\nteam = "b"\n')

    assert "'dry-dock' meets the patterns" in desk.run("keys").stdout


def test_without_any_key_the_way_to_one_is_said(desk):
    answer = desk.run("keys", management_key=None)

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "openrouter.ai/settings/management-keys" in answer.stderr
