import json
from pathlib import Path

import pytest

from or_otel.doctor.documented import CHAT, GENERATION, KEY, METADATA, Document, compare

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "facts" / "openrouter-examples"
DOCUMENT = Document(
    name="example",
    always=frozenset({"id", "usage", "usage.cost", "choices", "choices[].index"}),
    sometimes=frozenset({"provider"}),
)
WHOLE = {"id": "gen-1", "usage": {"cost": 1}, "choices": [{"index": 0}]}


def test_a_whole_answer_is_in_order():
    check = compare(WHOLE, DOCUMENT)

    assert check.state == "ok"
    assert check.came == ("choices", "choices[].index", "id", "usage", "usage.cost")


def test_a_documented_field_that_did_not_come_is_a_warning():
    check = compare({**WHOLE, "usage": {}, "choices": [{}]}, DOCUMENT)

    assert (check.state, check.lacked) == ("warn", ("choices[].index",))


def test_only_the_field_above_is_lacking_when_all_below_it_is():
    check = compare({"id": "gen-1", "choices": []}, DOCUMENT)

    assert check.lacked == ("usage",)


def test_below_null_nothing_is_lacking():
    assert compare({**WHOLE, "usage": None}, DOCUMENT).lacked == ()


def test_a_new_field_is_told_by_its_name_alone_and_not_looked_into():
    check = compare({**WHOLE, "mood": {"secret": "word"}}, DOCUMENT)

    assert (check.state, check.new) == ("info", ("mood",))
    assert "secret" not in str(check)
    assert "word" not in str(check)


def test_a_name_that_looks_like_content_is_not_told():
    check = compare({**WHOLE, "tell me a joke": 1, "x" * 500: 2}, DOCUMENT)

    assert check.new == ("(unprintable name)",)


@pytest.mark.parametrize("told", [None, [], "text", 7, {"usage": 3, "choices": "none"}])
def test_an_answer_of_strange_types_is_only_lacking(told):
    assert compare(told, DOCUMENT).state == "warn"


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not beside the repository")
@pytest.mark.parametrize(
    ("name", "key", "document"),
    [
        ("chat.json", None, CHAT),
        ("chat-provider-fallback-metadata.json", "openrouter_metadata", METADATA),
        ("key.json", "data", KEY),
        ("generation-provider-fallback.json", "data", GENERATION),
    ],
)
def test_answers_as_documented_are_in_order(name, key, document):
    told = json.loads((EXAMPLES / name).read_text())

    check = compare(told[key] if key else told, document)

    assert (check.lacked, check.new) == ((), ())
