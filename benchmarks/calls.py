"""What watching costs: CPU of a plain call, of a chunk, of start-up; and how true the first token is told.

Measured against no instrumentation and against two hand-written wrappers: a minimal one (one span
with 20 attributes, two histograms, two counters) and one that emits the same as or-otel does, by the
instruments of the SDK. Every call has a body of its own: equal ones would be a retry loop, the dearest
to judge. In-process transport, so that no network noise is in the figures; CPU time of this process;
the best of several rounds. The first token is told by a server on loopback that notes when it sends it.
Prints ratios, asserts nothing.

    python benchmarks/calls.py [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from opentelemetry import context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import or_otel

URL = "https://openrouter.ai/api/v1/chat/completions"
BODIES = [
    json.dumps(
        {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": f"hello {number} " * 40}]}
    ).encode()
    for number in range(5000)
]
next_body = itertools.cycle(BODIES).__next__
STREAM_BODY = json.dumps({**json.loads(BODIES[0]), "stream": True}).encode()
ANSWER = json.dumps(
    {
        "id": "gen-1793700001-a1B2c3D4e5F6g7H8i9J0",
        "object": "chat.completion",
        "created": 1793700001,
        "model": "openai/gpt-5-mini",
        "provider": "Azure",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "answer " * 100}}
        ],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 80,
            "total_tokens": 180,
            "cost": 0.0016072,
            "is_byok": False,
            "cost_details": {
                "upstream_inference_cost": 0.0016072,
                "upstream_inference_prompt_cost": 0.0004872,
                "upstream_inference_completions_cost": 0.00112,
            },
        },
    }
).encode()
CHUNKS = 20_000
TAGS = {"team": "search", "feature": "summary"}
HEADERS = {"authorization": "Bearer sk-or-v1-0123456789abcdef", "content-type": "application/json"}
FIRST_TOKENS = 200
FIRST_TOKEN_DELAY_S = 0.01


def stream_chunks(number: int) -> list[bytes]:
    """Make the SSE events of one stream, one network chunk each."""
    head = '{"id":"gen-1","object":"chat.completion.chunk","created":1,"model":"openai/gpt-5-mini","provider":"Azure",'
    chunk = (
        f'data: {head}"choices":[{{"index":0,"delta":{{"role":"assistant","content":"word "}},'
        '"finish_reason":null,"native_finish_reason":null,"logprobs":null}]}\n\n'
    ).encode()
    usage = json.dumps(json.loads(ANSWER)["usage"])
    last = (
        f'data: {head}"choices":[{{"index":0,"delta":{{"content":""}},"finish_reason":"stop"}}],"usage":{usage}}}\n\n'
    ).encode()
    return [chunk] * number + [last, b"data: [DONE]\n\n"]


class Nowhere(SpanExporter):
    """Takes spans and drops them."""

    def export(self, spans):
        del spans
        return SpanExportResult.SUCCESS


class Stream(httpx.SyncByteStream):
    """A body that is there chunk by chunk."""

    def __init__(self, chunks):
        self.chunks = chunks

    def __iter__(self):
        yield from self.chunks


def client(chunks=None):
    """Make a real client whose transport answers at once."""

    def answer(request):
        del request
        if chunks is not None:
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Stream(chunks))
        # A stream, so that the body is read by `send` as it is with a real connection.
        return httpx.Response(200, headers={"content-type": "application/json"}, stream=Stream([ANSWER]))

    return httpx.Client(transport=httpx.MockTransport(answer))


def providers():
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    return tracer_provider, MeterProvider([InMemoryMetricReader()])


class Wrapper:
    """The hand-written minimum that people put around a call."""

    def __init__(self):
        tracer_provider, meter_provider = providers()
        self.tracer = tracer_provider.get_tracer("wrapper")
        meter = meter_provider.get_meter("wrapper")
        self.histograms = [meter.create_histogram("duration", unit="s"), meter.create_histogram("tokens")]
        self.counters = [meter.create_counter("cost"), meter.create_counter("calls")]

    def record(self, span, answer, started):
        usage = answer["usage"]
        common = {"model": answer["model"], "provider": answer["provider"]}
        for number in range(14):
            span.set_attribute(f"attribute.{number}", number)
        span.set_attribute("model", answer["model"])
        span.set_attribute("provider", answer["provider"])
        span.set_attribute("id", answer["id"])
        span.set_attribute("input", usage["prompt_tokens"])
        span.set_attribute("output", usage["completion_tokens"])
        span.set_attribute("cost", usage["cost"])
        self.histograms[0].record(time.perf_counter() - started, common)
        self.histograms[1].record(usage["completion_tokens"], common)
        self.counters[0].add(usage["cost"], common)
        self.counters[1].add(1, common)

    def plain(self, http):
        started = time.perf_counter()
        with self.tracer.start_as_current_span("chat") as span:
            response = http.post(URL, content=next_body(), headers=HEADERS)
            self.record(span, json.loads(response.content), started)

    def stream(self, http):
        started = time.perf_counter()
        with (
            self.tracer.start_as_current_span("chat") as span,
            http.stream("POST", URL, content=STREAM_BODY, headers=HEADERS) as response,
        ):
            answer = None
            for chunk in response.iter_raw():
                if b'"usage"' in chunk:
                    answer = json.loads(chunk[6:])
            self.record(span, answer, started)


class Equal:
    """A wrapper that emits the same as or-otel did for one call: its span, histograms and counters, by the SDK."""

    def __init__(self, http):
        spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracer_provider, meter_provider = TracerProvider(), MeterProvider([reader])
        tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
        or_otel.instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
        with or_otel.tags(**TAGS):
            plain(http)
        or_otel.uninstrument()
        (span,) = spans.get_finished_spans()
        # Nine are known before the request is sent.
        told = list(span.attributes.items())
        self.started, self.ended = dict(told[:9]), dict(told[9:])
        tracer_provider, meter_provider = providers()
        self.tracer, meter = tracer_provider.get_tracer("equal"), meter_provider.get_meter("equal")
        self.histograms, self.counters = [], []
        (resource,) = reader.get_metrics_data().resource_metrics
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            points = metric.data.data_points
            if hasattr(points[0], "explicit_bounds"):
                instrument = meter.create_histogram(
                    metric.name, explicit_bucket_boundaries_advisory=list(points[0].explicit_bounds)
                )
                self.histograms += [(instrument.record, point.sum, dict(point.attributes)) for point in points]
            elif metric.name.startswith("openrouter."):
                instrument = meter.create_up_down_counter(metric.name)
                self.counters += [(instrument.add, point.value, dict(point.attributes)) for point in points]

    def begin(self):
        """Start the span and make it current."""
        here = context.get_current()
        span = self.tracer.start_span(
            "chat", context=here, kind=trace.SpanKind.CLIENT, attributes=self.started, start_time=time.time_ns()
        )
        within = trace.set_span_in_context(span, here)
        return span, within, context.attach(within)

    def end(self, begun, instruments):
        """Complete the span and record the measurements."""
        span, within, token = begun
        context.detach(token)
        span.set_attributes(self.ended)
        span.end()
        for record, amount, attributes in instruments:
            record(amount, attributes, within)

    def plain(self, http):
        begun = self.begin()
        json.loads(http.post(URL, content=next_body(), headers=HEADERS).content)
        self.end(begun, self.histograms + self.counters)

    def floor(self, http):
        """Do what or-otel, too, leaves to the SDK: span and histograms; its counters are sums of its own."""
        begun = self.begin()
        http.post(URL, content=next_body(), headers=HEADERS)
        self.end(begun, self.histograms)


def plain(http):
    http.post(URL, content=next_body(), headers=HEADERS)


def stream(http):
    with http.stream("POST", URL, content=STREAM_BODY, headers=HEADERS) as response:
        for _ in response.iter_raw():
            pass


def cpu_s(function, argument, times, rounds):
    """Give the CPU seconds of one run: the best of several rounds."""
    function(argument)
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        started = time.process_time()
        for _ in range(times):
            function(argument)
        best = min(best, (time.process_time() - started) / times)
    return best


def startup_s(code):
    """Give the CPU seconds of a fresh interpreter running `code`: the best of five, with bytecode as installed ones."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    program = f"import resource\n{code}\nr=resource.getrusage(resource.RUSAGE_SELF)\nprint(r.ru_utime+r.ru_stime)"
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
        for _ in range(5)
    ]
    return min(float(run.stdout.split()[-1]) for run in runs)


class SlowToBegin(BaseHTTPRequestHandler):
    """Streams one answer; the first content comes late, after a comment and an empty delta."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        content, *rest = stream_chunks(1)
        self.write(b": OPENROUTER PROCESSING\n\n")
        self.write(content.replace(b"word ", b""))
        time.sleep(FIRST_TOKEN_DELAY_S)
        self.server.sent_at_s = time.perf_counter()
        self.write(content)
        for chunk in rest:
            self.write(chunk)
        self.write(b"")

    def write(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_):
        pass


def first_token_errors_s():
    """Give how far the told time to the first token is from the true one, for many streams, sorted."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowToBegin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"
    or_otel.instrument(hosts={host: "openrouter"}, ledger="off")
    errors = []
    with httpx.Client() as http, or_otel.capture() as calls:
        for _ in range(FIRST_TOKENS):
            started = time.perf_counter()
            with http.stream(
                "POST", f"http://{host}/api/v1/chat/completions", content=STREAM_BODY, headers=HEADERS
            ) as response:
                response.read()
            # Server and client are one process, and so is their clock.
            errors.append(abs(calls[-1].time_to_first_chunk_s - (server.sent_at_s - started)))
    or_otel.uninstrument()
    server.shutdown()
    return sorted(errors)


def instrumented_s(http, rounds, tracer_provider, **options):
    """Give the CPU seconds of a plain call under or-otel with some options."""
    or_otel.instrument(tracer_provider=tracer_provider, meter_provider=providers()[1], **options)
    with or_otel.tags(**TAGS):
        spent_s = cpu_s(plain, http, 300, rounds)
    or_otel.uninstrument()
    return spent_s


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    figures = measured(options.rounds)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        show(figures)


def measured(rounds):
    """Give every figure; µs, KiB and ms as the names say."""
    chunks = stream_chunks(CHUNKS)
    http, streaming = client(), client(chunks)

    bare, bare_stream = cpu_s(plain, http, 300, rounds), cpu_s(stream, streaming, 1, rounds)
    wrapper = Wrapper()
    wrapped, wrapped_stream = cpu_s(wrapper.plain, http, 300, rounds), cpu_s(wrapper.stream, streaming, 1, rounds)
    equal = Equal(http)
    equalled, floor = cpu_s(equal.plain, http, 300, rounds), cpu_s(equal.floor, http, 300, rounds)
    tracer_provider, meter_provider = providers()
    or_otel.instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
    with or_otel.tags(**TAGS):
        ours, ours_stream = cpu_s(plain, http, 300, rounds), cpu_s(stream, streaming, 1, rounds)
        peaks = []
        for number in (CHUNKS // 10, CHUNKS):
            small = client(stream_chunks(number))
            stream(small)
            gc.collect()
            tracemalloc.start()
            stream(small)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    or_otel.uninstrument()
    unsampled = instrumented_s(http, rounds, TracerProvider(sampler=ALWAYS_OFF))
    without_insights = instrumented_s(http, rounds, providers()[0], insights=False)
    errors = first_token_errors_s()
    sdk = "import opentelemetry.sdk.trace, opentelemetry.sdk.metrics, httpx"
    activation = startup_s(f"{sdk}\nimport or_otel\nor_otel.instrument()") - startup_s(sdk)
    return {
        "plain_us": {
            "bare": bare * 1e6,
            "wrapper": (wrapped - bare) * 1e6,
            "or_otel": (ours - bare) * 1e6,
            "or_otel_unsampled": (unsampled - bare) * 1e6,
            "or_otel_without_insights": (without_insights - bare) * 1e6,
            "equal_wrapper": (equalled - bare) * 1e6,
            "sdk_alone": (floor - bare) * 1e6,
            "ratio": (ours - bare) / (wrapped - bare),
            "ratio_to_equal": (ours - bare) / (equalled - bare),
        },
        "chunk_us": {
            "bare": bare_stream * 1e6 / CHUNKS,
            "wrapper": (wrapped_stream - bare_stream) * 1e6 / CHUNKS,
            "or_otel": (ours_stream - bare_stream) * 1e6 / CHUNKS,
            "beyond_wrapper": (ours_stream - wrapped_stream) * 1e6 / CHUNKS,
        },
        "peak_kib": {str(CHUNKS // 10): peaks[0] / 1024, str(CHUNKS): peaks[1] / 1024},
        "first_token_error_ms": {
            f"p{percent}": errors[min(len(errors) - 1, len(errors) * percent // 100)] * 1e3 for percent in (50, 95, 99)
        },
        "activation_ms": activation * 1e3,
    }


def show(figures):
    """Print the figures for people."""
    call, chunk, peaks = figures["plain_us"], figures["chunk_us"], figures["peak_kib"]
    print(f"plain call      bare {call['bare']:7.1f} µs")
    print(f"  added by the wrapper {call['wrapper']:7.1f} µs")
    print(f"  … that emits as much {call['equal_wrapper']:7.1f} µs")
    print(f"  … SDK's part of ours {call['sdk_alone']:7.1f} µs")
    print(f"  added by or-otel     {call['or_otel']:7.1f} µs")
    print(f"  … when not sampled   {call['or_otel_unsampled']:7.1f} µs")
    print(f"  … without insights   {call['or_otel_without_insights']:7.1f} µs")
    print(f"  ratio to the wrapper {call['ratio']:7.2f}   (aim: at most 1.2)")
    print(f"  … that emits as much {call['ratio_to_equal']:7.2f}")
    print(f"stream of {CHUNKS} chunks, per chunk: bare {chunk['bare']:.2f} µs")
    print(f"  added by the wrapper {chunk['wrapper']:7.2f} µs")
    print(f"  added by or-otel     {chunk['or_otel']:7.2f} µs")
    print(f"  beyond the wrapper   {chunk['beyond_wrapper']:7.2f} µs   (aim: at most 1)")
    print("peak memory: " + ", ".join(f"{peak:.0f} KiB for {number} chunks" for number, peak in peaks.items()))
    errors = figures["first_token_error_ms"]
    print("first token, error: " + ", ".join(f"{name} {error:.2f} ms" for name, error in errors.items()))
    print(f"activation beyond importing the SDK: {figures['activation_ms']:.0f} ms CPU   (aim: at most 30)")


if __name__ == "__main__":
    main()
