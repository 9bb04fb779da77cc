from __future__ import annotations

import socket
import threading
from decimal import Decimal

import httpx
import pytest

from or_otel import catalogue, guard
from or_otel.account.readings import Reading
from or_otel.exporter.health import Health
from or_otel.exporter.page import Page

COST = {"openrouter.key.name": 'a "b"\\', "openrouter.cost.ledger": "openrouter"}
READINGS = (
    Reading(catalogue.KEY_USAGE_DAILY, Decimal("0.1"), COST),
    Reading(catalogue.KEY_USAGE_DAILY, Decimal("1e-7"), {"openrouter.key.hash": "abc"}),
    Reading(catalogue.KEY_EXPIRES_TIME, 1795249038.5, {}),
    Reading(catalogue.POLL_ERRORS, 3, {"or_otel.endpoint": "keys", "error.type": "500"}),
    Reading(catalogue.BUDGET_THRESHOLD_RATIO, Decimal("0.8"), {}),
)


@pytest.fixture
def serve():
    pages = []

    def start(read=lambda: READINGS, *, is_ok=True, host="127.0.0.1"):
        health = Health(is_ok=is_ok, key_kind="management", reasons=() if is_ok else ("/keys: no",))
        page = Page(host, 0, read=read, health=lambda: health)
        page.start()
        pages.append(page)
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{page.port}"

    yield start
    for page in pages:
        page.stop()


def test_a_page_has_the_names_of_the_catalogue_and_nothing_else(serve):
    answer = httpx.get(serve() + "/metrics")

    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert lines == [
        (
            'openrouter_key_usage_daily{openrouter_cost_ledger="openrouter",openrouter_key_hash="",'
            'openrouter_key_name="a \\"b\\"\\\\"} 0.1'
        ),
        'openrouter_key_usage_daily{openrouter_cost_ledger="",openrouter_key_hash="abc",openrouter_key_name=""} 1e-07',
        "openrouter_key_expires_time_seconds 1.7952490385e+09",
        'or_otel_exporter_poll_errors_total{error_type="500",or_otel_endpoint="keys"} 3.0',
        "openrouter_budget_threshold_ratio 0.8",
    ]
    assert "# TYPE openrouter_key_usage_daily gauge" in answer.text
    assert "# TYPE or_otel_exporter_poll_errors_total counter" in answer.text


def test_openmetrics_has_no_created_series_either(serve):
    answer = httpx.get(serve() + "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "_created" not in answer.text
    assert "target_info" not in answer.text


@pytest.mark.parametrize(("is_ok", "status"), [(True, 200), (False, 503)])
def test_health_is_a_status_and_its_reasons(serve, is_ok, status):
    answer = httpx.get(serve(is_ok=is_ok) + "/healthz")

    assert answer.status_code == status
    assert answer.json()["reasons"] == ([] if is_ok else ["/keys: no"])


def test_where_metrics_are_pushed_there_is_only_health(serve):
    url = serve(read=None)

    assert httpx.get(url + "/metrics").status_code == 404
    assert "/metrics" not in httpx.get(url).text
    assert httpx.get(url + "/healthz").status_code == 200


def test_other_pages_and_methods_are_refused(serve):
    url = serve()

    assert httpx.get(url + "/").status_code == 404
    assert "/metrics and /healthz" in httpx.get(url + "/").text
    assert httpx.post(url + "/metrics").status_code == 405
    assert httpx.post(url + "/healthz").status_code == 405


@pytest.mark.parametrize(("path", "status"), [("/metrics", 200), ("/healthz", 503), ("/", 404)])
def test_asked_for_the_head_it_gives_that_of_the_page_and_no_body(serve, path, status):
    port = int(serve(is_ok=False).rpartition(":")[2])

    with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rb") as answer:
        client.sendall(f"HEAD {path} HTTP/1.0\r\n\r\n".encode())
        head, _, body = answer.read().partition(b"\r\n\r\n")

    assert head.split()[1] == str(status).encode()
    assert b"content-length: 0" not in head.lower()
    assert body == b""


def test_a_scrape_that_hangs_holds_up_neither_health_nor_the_end_of_the_process(serve):
    begun, may_end, is_daemon = threading.Event(), threading.Event(), []

    def read():
        is_daemon.append(threading.current_thread().daemon)
        begun.set()
        may_end.wait(20)
        return ()

    url = serve(read=read)
    scrape = threading.Thread(target=httpx.get, args=(f"{url}/metrics",), kwargs={"timeout": 20})
    scrape.start()
    try:
        assert begun.wait(20)
        assert httpx.get(f"{url}/healthz").status_code == 200
    finally:
        may_end.set()
        scrape.join()
    assert is_daemon == [True]


def test_a_page_that_stopped_leaves_no_thread_and_its_port_can_be_had_at_once():
    def page(port):
        return Page("127.0.0.1", port, read=None, health=lambda: Health(is_ok=True, key_kind="management", reasons=()))

    before = set(threading.enumerate())
    first = page(0)
    first.start()
    (thread,) = set(threading.enumerate()) - before
    # It closes the connection first, so the system keeps the port for a while.
    httpx.get(f"http://127.0.0.1:{first.port}/healthz")
    first.stop()
    thread.join(20)

    assert not thread.is_alive()
    page(first.port)._server.server_close()


def test_a_fault_of_ours_is_an_empty_page_and_counted(serve):
    def read():
        raise RuntimeError("planted")

    answer = httpx.get(serve(read=read) + "/metrics")

    assert (answer.status_code, answer.text.strip()) == (200, "")
    assert guard.faults["exporter.page"] >= 1
    guard.reset()


def test_a_scrape_asks_for_readings_once(serve):
    asked = []

    def read():
        asked.append(1)
        return READINGS

    httpx.get(serve(read=read) + "/metrics")

    assert len(asked) == 1


def test_it_listens_on_ipv6_too(serve):
    assert httpx.get(serve(host="::1") + "/healthz").status_code == 200


def test_an_address_in_use_is_an_error(serve):
    port = int(serve().rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        Page("127.0.0.1", port, read=None, health=lambda: None)
