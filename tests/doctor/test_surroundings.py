import socket

import pytest

from or_otel.doctor.surroundings import surroundings
from or_otel.simulator.scenarios import Scenario


@pytest.fixture
def look(tmp_path):
    """Look around under some variables; gives the checks by topic and name."""

    def look(folder=None, **environ):
        folder = folder or tmp_path / "ledger"
        return {(check.topic, check.name): check for check in surroundings(environ, folder)}

    return look


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package's description on the path, as an installer would."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(name, own="1.0", requires=(), entry_points=""):
        folder = tmp_path / "site" / f"{name.replace('-', '_')}-{own}.dist-info"
        folder.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {own}\n{needs}")
        (folder / "entry_points.txt").write_text(entry_points)

    return install


@pytest.fixture
def closed_port():
    """Give a port where nobody listens: bound, so that nobody else takes it, but not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_machine_in_order_has_no_failure(look):
    assert [check for check in look().values() if check.state in {"warn", "fail"}] == []


def test_versions_are_told(look):
    sentence = look()["packages", "versions"].sentence

    assert "or-otel 0." in sentence
    assert "msgspec " in sentence


def test_a_client_is_seen_through_the_library_its_package_needs(look, install):
    install("groq", requires=("httpx<1,>=0.23", "aiohttp; extra == 'aiohttp'"))

    check = look()["clients", "groq"]

    assert check.state == "ok"
    assert check.sentence == "1.0: seen through httpx; its retries are attempts of one call"


def test_a_framework_is_seen_through_the_client_it_needs(look, install):
    install("groq", requires=("httpx<1,>=0.23",))
    install("langchain-openai", requires=("langchain-core", "groq>=1"))

    assert look()["clients", "langchain-openai"].sentence == "1.0: seen through httpx"


def test_a_client_without_a_watched_library_is_told_so(look, install):
    install("groq", requires=("carrier-pigeon",))

    check = look()["clients", "groq"]

    assert check.state == "info"
    assert "may pass unseen" in check.sentence


def test_clients_that_need_each_other_end_the_search(look, install):
    install("groq", requires=("mistralai",))
    install("mistralai", requires=("groq",))

    assert look()["clients", "groq"].state == "info"


def test_another_genai_instrumentation_is_named_with_what_happens_and_its_switch(look, install):
    install("openinference-instrumentation-openai", entry_points="[opentelemetry_instrumentor]\nopenai = x.y:Z\n")

    check = look()["instrumentations", "openinference-instrumentation-openai"]

    assert check.state == "info"
    assert "below it, ours" in check.sentence
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=openai" in check.remedy


def test_an_instrumentation_that_tells_of_its_span_needs_nothing(look, install):
    name = "opentelemetry-instrumentation-genai-openai"
    install(name, entry_points="[opentelemetry_instrumentor]\nopenai = x.y:Z\n")

    check = look()["instrumentations", name]

    assert "no second span" in check.sentence
    assert check.remedy is None


def test_another_instrumentation_that_is_switched_off_needs_nothing(look, install):
    install("openinference-instrumentation-groq", entry_points="[opentelemetry_instrumentor]\ngroq = x.y:Z\n")

    found = look(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="groq, flask")

    check = found["instrumentations", "openinference-instrumentation-groq"]
    assert "keeps it off" in check.sentence
    assert check.remedy is None


def test_a_package_that_instruments_without_an_entry_point_is_told(look, install):
    install("logfire", "5.1")

    check = look()["instrumentations", "logfire"]

    assert check.state == "info"
    assert check.sentence.startswith("5.1 may instrument")
    assert "suppress_other_instrumentation=False" in check.remedy


def test_instrumentations_of_other_things_are_not_told(look, install):
    install("opentelemetry-instrumentation-flask", entry_points="[opentelemetry_instrumentor]\nflask = x.y:Z\n")

    assert ("instrumentations", "opentelemetry-instrumentation-flask") not in look()


@pytest.mark.parametrize(("own", "is_told"), [("1.9", False), ("2.11.0", True)])
def test_the_spans_of_anthropic_itself_are_told_from_version_2(look, install, own, is_told):
    install("anthropic", own, requires=("httpx2",))

    assert (("instrumentations", "anthropic") in look()) is is_told


@pytest.mark.parametrize("names", ["or_otel", "flask, or_otel", "*"])
def test_being_kept_from_auto_instrumentation_is_a_warning(look, names):
    check = look(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=names)["instrumentations", "or_otel"]

    assert check.state == "warn"
    assert "or_otel.instrument()" in check.remedy


def test_a_setting_that_cannot_be_read_fails_with_its_sentence(look):
    check = look(OR_OTEL_HOSTS="a b")["settings", "OR_OTEL_HOSTS"]

    assert check.state == "fail"
    assert "expected host[:port][=provider]" in check.sentence


@pytest.mark.parametrize(("name", "value"), [("OR_OTEL_ENABLED", "false"), ("OTEL_SDK_DISABLED", "true")])
def test_being_off_names_the_variable_that_does_it(look, name, value):
    check = look(**{name: value})["settings", "enabled"]

    assert (check.state, check.remedy) == ("warn", f"unset {name}")


def test_router_metadata_switched_off_is_told_with_what_it_costs(look):
    check = look(OR_OTEL_ROUTER_METADATA="false")["settings", "router metadata"]

    assert check.state == "info"
    assert "cannot be seen" in check.sentence


def test_a_collector_that_takes_exports_is_in_order(look, sink):
    found = look(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)

    assert {name: check.state for (topic, name), check in found.items() if topic == "export"} == {
        "traces": "ok",
        "metrics": "ok",
        "logs": "ok",
    }
    assert set(sink.requests) == {"/v1/traces", "/v1/metrics", "/v1/logs"}


def test_signals_without_an_exporter_are_not_asked_for(look, sink):
    look(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")

    assert set(sink.requests) == {"/v1/traces"}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_that_is_not_there_fails(look, closed_port, protocol):
    found = look(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://user:secret@127.0.0.1:{closed_port}",
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
    )

    check = found["export", "traces"]
    assert check.state == "fail"
    assert f"http://127.0.0.1:{closed_port} cannot be reached" in check.sentence
    assert "secret" not in str(check)
    assert "start the collector" in check.remedy


def test_a_grpc_collector_is_found_by_its_open_port(look, sink):
    found = look(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url.removeprefix("http://"), OTEL_EXPORTER_OTLP_PROTOCOL="grpc")

    assert found["export", "traces, metrics, logs"].state == "ok"
    assert not sink.requests


def test_a_collector_that_knows_no_such_path_is_a_warning(look, openrouter):
    check = look(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{openrouter.port}/nowhere")["export", "traces"]

    assert check.state == "warn"
    assert "HTTP 404" in check.sentence


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [(401, "info", "wants credentials"), (400, "info", "listens"), (503, "warn", "answers with HTTP 503")],
)
def test_a_collector_that_refuses_is_told_by_how(look, openrouter, status, state, said):
    openrouter.script(Scenario(status=status), path="/v1/traces")

    check = look(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{openrouter.port}/v1/traces")["export", "traces"]

    assert check.state == state
    assert said in check.sentence


@pytest.mark.parametrize("url", ["localhost", "http://", "http://[::1", "ftp://x", "http://x:99999"])
def test_an_endpoint_that_is_no_url_fails(look, url):
    check = look(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=url)["export", "traces"]

    assert (check.state, check.sentence) == ("fail", "the OTLP endpoint is no URL")


def test_an_unknown_protocol_fails(look):
    found = look(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://x", OTEL_EXPORTER_OTLP_PROTOCOL="http/json")

    assert found["export", "traces"].remedy == "expected one of http/protobuf, grpc"


def test_a_ledger_open_to_others_is_a_warning(look, tmp_path):
    tmp_path.chmod(0o755)

    check = look(folder=tmp_path)["ledger", "folder"]

    assert (check.state, check.remedy) == ("warn", f"chmod 700 {tmp_path}")


def test_a_private_ledger_is_in_order(look, tmp_path):
    tmp_path.chmod(0o700)

    assert look(folder=tmp_path)["ledger", "folder"].state == "ok"


def test_looking_makes_no_ledger(look, tmp_path):
    check = look(folder=tmp_path / "a" / "b")["ledger", "folder"]

    assert check.state == "ok"
    assert "will be made" in check.sentence
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_below_a_file_fails(look, tmp_path):
    (tmp_path / "file").write_text("")

    assert look(folder=tmp_path / "file" / "ledger")["ledger", "folder"].state == "fail"


def test_a_ledger_that_is_switched_off_is_only_told(look):
    assert look(OR_OTEL_LEDGER="off")["ledger", "folder"].state == "info"
