from __future__ import annotations

import ast
import hashlib
import re
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from or_otel.account.schedule import Endpoint
from or_otel.accounts import AccountKey
from or_otel.budgets import Budget
from or_otel.config import Config, ConfigError, find_config, read_config, read_urls, reading
from or_otel.config.keys import Assignment, ambiguities
from or_otel.config.options import ProviderContract

ROOT = Path(__file__).resolve().parent.parent
KEY = "sk-or-v1-demo-search"
OTHER_KEY = "sk-or-v1-demo-support"


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


def problems(text, environ=None):
    with pytest.raises(ConfigError) as caught:
        read_config(text, environ or {})
    return caught.value.problems


def example():
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/configuration.md").read_text(), re.DOTALL)
    return "\n".join(blocks)


def test_an_empty_file_is_the_defaults():
    assert read_config("", {}) == Config()


def test_the_example_of_the_documents_loads_whole():
    config = read_config(example(), {})

    assert config.account.base_url == "https://openrouter.ai/api/v1"
    assert config.account.intervals_s == {"keys": 120.0, "models": 900.0}
    assert [rule.assignment.company for rule in config.keys] == ["Acme", "Acme", None]
    assert config.budgets[0] == Budget(name="all", limit_usd=Decimal(500))
    assert config.budgets[2].thresholds == (Decimal("0.9"), Decimal(1))
    assert config.byok == {"anthropic": ProviderContract(discount=Decimal("0.15"), committed_usd=Decimal(1000))}
    assert config.exporter.has_ledger
    assert config.notify.url_variables == ("SLACK_URL",)
    assert config.metric_tags == ("team", "feature")


def test_the_documents_name_every_key_that_a_table_is_asked_for():
    tree = ast.parse(Path(reading.__file__).read_text())
    asked = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in {"text", "take", "number", "choice", "switch", "texts", "table", "tables"}
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    text = (ROOT / "docs/configuration.md").read_text()

    assert {"limit_usd", "urls_file", "watch_models"} <= asked
    assert [
        key for key in asked if f"`{key}`" not in text and f"`[{key}]`" not in text and f"[[{key}]]" not in text
    ] == []


def test_every_endpoint_that_is_polled_may_have_its_interval():
    assert set(reading.ENDPOINTS) == set(get_args(Endpoint))


def test_all_problems_are_told_at_once_with_path_and_remedy(tmp_path):
    path = tmp_path / "or-otel.toml"
    path.write_text(
        '[[budgets]]\nname = "a"\nlimit_usd = 1\n[[budgets]]\nname = "b"\nlimit_usd = -1\nperiod = "weekly"\n'
    )

    with pytest.raises(ConfigError) as caught:
        read_config(path, {})

    assert caught.value.problems == (
        f"{path}: budgets[1].limit_usd = -1: expected US dollars, 0 or more",
        f"{path}: budgets[1].period = 'weekly': expected one of day, week, month, lifetime; did you mean 'week'?",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[acount]", "acount: no such key; did you mean 'account'?"),
        ("[exporter]\nprot = 1", "exporter.prot: no such key; did you mean 'port'?"),
        ("[exporter]\nport = 70000", "exporter.port = 70000: expected a port"),
        ("[exporter]\nport = true", "exporter.port = true: expected a port"),
        ("[exporter]\notlp = 'yes'", "exporter.otlp = 'yes': expected true or false"),
        ("exporter = 1", "exporter = 1: expected a table, as [exporter]"),
        ("budgets = 1", "budgets = 1: expected a list of tables, each headed [[budgets]]"),
        ("budgets = [1]", "budgets[0] = 1: expected a table"),
        ("[[budgets]]\nlimit_usd = 1", "budgets[0]: name is missing"),
        ("[[budgets]]\nname = 'a'", "budgets[0]: limit_usd is missing"),
        ("[[budgets]]\nname = 'a'\nlimit_usd = nan", "budgets[0].limit_usd = NaN: expected US dollars"),
        ("[[budgets]]\nname = 'a'\nlimit_usd = 1\nscope = 'team'", "budgets[0]: value is missing: expected the name"),
        ("[[budgets]]\nname = 'a'\nlimit_usd = 1\nvalue = 'x'", "budgets[0].value = 'x': expected none"),
        ("[[budgets]]\nname = 'a'\nlimit_usd = 1\nscope = 'compny'\nvalue = 'x'", "did you mean 'company'?"),
        ("[[budgets]]\nname = 'a'\nlimit_usd = 1\nthresholds = [1, 0.5]", "thresholds = [1, 0.5]: expected shares"),
        ("[[budgets]]\nname = 'a'\nlimit_usd = 1\nthresholds = []", "thresholds = […]: expected shares"),
        ("[[budgets]]\nname = 'a'\nlimit_usd = 1\npace_alarm = 1", "pace_alarm = 1: expected a number above 1"),
        ('[[budgets]]\nname = "a\\nb"\nlimit_usd = 1', "name = 'a\\nb': expected a text"),
        ("[[budgets]]\nname='a'\nlimit_usd=1\n[[budgets]]\nname='a'\nlimit_usd=1", "[1].name = 'a': expected a name"),
        ("[[keys]]\nteam = 'x'", "keys[0]: hash, fingerprint or name is missing"),
        ("[[keys]]\nhash = 'abc'", "keys[0].hash = 'abc': expected 8 to 64 hex digits"),
        ("[[keys]]\nhash = 'abcdefab'\nname = 'x'", "keys[0].name = 'x': expected no name beside hash"),
        ("[[keys]]\nname = 'x'\n[keys.tags]\nteam = 'y'", "keys[0].tags.team: expected lower case"),
        ("[[keys]]\nname = 'x'\n[keys.tags]\ncost = 7", "keys[0].tags.cost = 7: expected a text"),
        ("[byok.openai]\ndiscount = 15", "byok.openai.discount = 15: expected a share of 0 to 1"),
        ("[account]\nwatch_models = ['gpt-5']", "account.watch_models[0] = 'gpt-5': expected a model"),
        ("[account]\nwatch_models = 'a/b'", "account.watch_models = 'a/b': expected a list of a model"),
        ("[account.intervals_s]\nkeys = 1", "account.intervals_s.keys = 1: expected 5 seconds or more"),
        ("[account.intervals_s]\nkey_s = 9", "account.intervals_s.key_s: no such key; did you mean 'keys'?"),
        ("[notify]\nkinds = ['treshold']", "notify.kinds[0] = 'treshold': expected one of"),
        ("[notify]\nkinds = 'pace'", "notify.kinds = 'pace': expected a list of threshold"),
        ("[account]\nbase_url = 'http://['", "account.base_url: expected a URL"),
        ("[notify]\nurls_file = 1", "notify.urls_file = 1: expected the path of a file"),
        ("[notify]\nurls = '$X'", "notify.urls: expected a list of variables"),
        ("[metrics]\ntags = ['Team']", "metrics.tags[0] = 'Team': expected lower case"),
        ("a = [", "no TOML"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_where_it_stands(text, said):
    assert any(said in problem for problem in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("hash = 'abcdef0123'", "hash = 'abcdef01'"),
        ("fingerprint = 'abcdef012345'", "fingerprint = 'abcdef012345'"),
        ("name = 'acme'", "name = 'acme'"),
        ("name = 'acme-*'", "name = 'acme-search'"),
    ],
)
def test_two_rows_that_mean_one_key_are_a_problem(first, second):
    said = problems(f"[[keys]]\n{first}\n[[keys]]\n{second}")

    assert said[0].startswith("or-otel.toml: keys[1]: means keys that keys[0] already takes")


def test_a_name_before_the_pattern_that_holds_it_is_fine_and_wins():
    config = read_config("[[keys]]\nname='acme-ci'\nteam='ci'\n[[keys]]\nname='acme-*'\nteam='all'", {})

    assert config.assign(AccountKey(name="acme-ci")).team == "ci"
    assert config.assign(AccountKey(name="acme-x")).team == "all"
    assert config.assign(AccountKey(name="other")) == Assignment()


def test_a_client_s_fingerprint_alone_meets_no_row_of_names():
    config = read_config("[[keys]]\nname='*'\nteam='all'", {})

    assert config.assign(None, "abcdef012345") == Assignment()


def test_a_name_that_two_patterns_meet_is_told():
    config = read_config("[[keys]]\nname='acme-*'\nteam='a'\n[[keys]]\nname='*-ci'\nteam='b'", {})

    told = ambiguities(config.keys, [AccountKey(name="acme-ci"), AccountKey(name="acme-x")])
    settled = read_config("[[keys]]\nhash='aaaaaaaa'\n[[keys]]\nname='acme-*'\nteam='a'\n[[keys]]\nname='*-ci'", {})

    assert ambiguities(settled.keys, [AccountKey(name="acme-ci", hash="a" * 64)]) == ()
    assert len(told) == 1
    assert "'acme-ci' meets the patterns 'acme-*', '*-ci'" in told[0]


@pytest.mark.parametrize(
    "text",
    [
        f"[[keys]]\nhash = '{KEY}'",
        f"[account]\nbase_url = 'https://user:{KEY}@openrouter.ai'",
        f"[account]\nkey = '{KEY}'",
        f"[notify]\nurls = ['slack://T/B/{KEY}']",
        f"[notify]\nurls = 'slack://T/B/{KEY}'",
        f"[notify]\nurls_file = 'slack://T/B/{KEY}'",
        f"[notify]\nkinds = ['{KEY}']",
        f"['{KEY}']",
    ],
)
def test_a_credential_in_the_file_is_refused_and_never_repeated(text):
    said = "\n".join(problems(text))

    assert KEY not in said
    assert "slack" not in said


def test_addresses_come_from_variables_and_from_a_file_beside_the_settings(tmp_path):
    (tmp_path / "urls").write_text("# ours\njson://127.0.0.1:1/\n\n")
    (tmp_path / "or-otel.toml").write_text('[notify]\nurls_file = "urls"\nurls = ["$SLACK_URL"]\n')
    config = read_config(tmp_path / "or-otel.toml", {})

    assert read_urls(config.notify, {"SLACK_URL": "slack://a"}) == ("slack://a", "json://127.0.0.1:1/")
    with pytest.raises(ConfigError, match=r"notify\.urls\[0\]: \$SLACK_URL is not set"):
        read_urls(config.notify, {})


def test_a_file_of_addresses_that_is_not_there_is_told(tmp_path):
    (tmp_path / "or-otel.toml").write_text('[notify]\nurls_file = "urls"\n')

    with pytest.raises(ConfigError, match=r"notify\.urls_file: .*urls: No such file"):
        read_urls(read_config(tmp_path / "or-otel.toml", {}).notify, {})


def test_the_base_url_of_the_environment_wins():
    text = "[account]\nbase_url = 'http://file/'"

    assert read_config(text, {}).account.base_url == "http://file"
    assert read_config(text, {"OR_OTEL_BASE_URL": "http://env:1/api/v1/"}).account.base_url == "http://env:1/api/v1"
    assert problems("", {"OR_OTEL_BASE_URL": "openrouter"})[0].startswith(
        "OR_OTEL_BASE_URL='openrouter': expected a URL"
    )


def test_the_file_is_found_by_variable_then_beside_then_at_home(tmp_path):
    here, home, named = tmp_path / "here", tmp_path / "home", tmp_path / "named.toml"
    (home / "or-otel").mkdir(parents=True)
    here.mkdir()
    environ = {"XDG_CONFIG_HOME": str(home)}

    assert find_config({"HOME": str(tmp_path)}, here) == Config()
    (home / "or-otel" / "or-otel.toml").write_text("[exporter]\nport = 1")
    assert find_config(environ, here).exporter.port == 1
    (here / "or-otel.toml").write_text("[exporter]\nport = 2")
    assert find_config(environ, here).exporter.port == 2
    named.write_text("[exporter]\nport = 3")
    assert find_config(environ | {"OR_OTEL_CONFIG": str(named)}, here).exporter.port == 3


def test_a_named_file_that_is_not_there_is_an_error_not_a_default(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: No such file or directory: expected a readable file"):
        find_config({"OR_OTEL_CONFIG": str(tmp_path / "none.toml")})


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xff")

    with pytest.raises(ConfigError, match="not UTF-8 at byte 0"):
        read_config(tmp_path / "x.toml", {})


def test_a_rotated_key_goes_on_in_its_company():
    config = read_config("[[keys]]\nhash='aaaaaaaa'\ncompany='Acme'\n[[keys]]\nhash='bbbbbbbb'\ncompany='Acme'", {})

    old, new = AccountKey(hash="a" * 64), AccountKey(hash="b" * 64)

    assert config.assign(old).labels == config.assign(new).labels == {"company": "Acme"}


def test_labels_hold_the_owner_and_the_free_tags():
    config = read_config("[[keys]]\nfingerprint='abcdef012345'\nteam='t'\nowner='o'\n[keys.tags]\ncost_center='7'", {})

    assert config.assign(None, "abcdef012345").labels == {"team": "t", "owner": "o", "cost_center": "7"}
    assert config.assign(AccountKey(hash="a" * 64)).labels == {}


def row(key, label=None, key_hash=None):
    return AccountKey(hash=key_hash or digest(key), label=label or f"{key[:12]}...{key[-3:]}", name=key[-6:])


def test_a_row_that_names_both_sides_matches_them():
    config = read_config("[[keys]]\nhash='cccccccc'\nfingerprint='abcdef012345'", {})

    told = config.match_keys([AccountKey(hash="c" * 64)], ["abcdef012345", "000000000000"])

    assert told.hash_of == {"abcdef012345": "c" * 64}
    assert told.how == {"abcdef012345": "configured"}
    assert told.unknown_fingerprints == ("000000000000",)
    assert told.unused_hashes == ()
    assert told.fingerprint_of("c" * 64) == "abcdef012345"


def test_the_hash_is_believed_only_when_a_held_key_proves_it():
    rows, marks = [row(KEY), row(OTHER_KEY)], [digest(KEY)[:12], digest(OTHER_KEY)[:12]]

    unproved = Config().match_keys(rows, marks)
    proved = Config().match_keys(rows, marks, [KEY])

    assert unproved.hash_of == {}
    assert unproved.unknown_fingerprints == tuple(marks)
    assert proved.hash_of == {marks[0]: digest(KEY), marks[1]: digest(OTHER_KEY)}
    assert set(proved.how.values()) == {"hash"}


def test_a_masked_label_matches_a_held_key_only_when_it_is_the_only_one():
    mine, other = row(KEY, key_hash="1" * 64), row(OTHER_KEY, key_hash="2" * 64)
    twin = row(KEY, key_hash="3" * 64)

    told = Config().match_keys([mine, other], [digest(OTHER_KEY)[:12]], [KEY])

    assert told.hash_of == {digest(KEY)[:12]: "1" * 64}
    assert told.how == {digest(KEY)[:12]: "label"}
    assert told.unknown_fingerprints == (digest(OTHER_KEY)[:12],)
    assert told.unused_hashes == ("2" * 64,)
    assert Config().match_keys([mine, twin], [], [KEY]).hash_of == {}


@pytest.mark.parametrize("label", [None, "", "...", "sk-or...", "...rch", "another...rch", KEY])
def test_a_label_that_masks_nothing_or_another_key_matches_nothing(label):
    assert Config().match_keys([AccountKey(hash="1" * 64, label=label)], [], [KEY]).hash_of == {}


def test_held_keys_leave_no_trace_in_the_map():
    told = Config().match_keys([row(KEY)], [], [KEY])

    assert KEY not in repr(told)


def test_two_held_keys_under_one_label_match_nothing():
    twin = f"{KEY[:-4]}XX{KEY[-3:]}"

    told = Config().match_keys([row(KEY, key_hash="1" * 64)], [], [KEY, twin])

    assert told.hash_of == {}


def test_a_row_whose_hash_begins_two_keys_matches_neither():
    config = read_config("[[keys]]\nhash='cccccccc'\nfingerprint='abcdef012345'", {})

    told = config.match_keys([AccountKey(hash="c" * 64), AccountKey(hash="c" * 63 + "d")], ["abcdef012345"])

    assert told.unknown_fingerprints == ("abcdef012345",)


def test_two_hashes_that_begin_alike_are_not_guessed_between():
    mark = digest(OTHER_KEY)[:12]
    rows = [row(KEY), AccountKey(hash=digest(OTHER_KEY)), AccountKey(hash=mark + "0" * 52)]

    assert mark not in Config().match_keys(rows, [mark], [KEY]).hash_of
