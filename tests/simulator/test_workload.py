from or_otel.simulator.server import ScriptedOpenRouter
from or_otel.simulator.workload import SCENES, run_workload


def test_one_round_plays_every_scene_and_ends_as_staged(server):
    events = []

    played = run_workload(server.base_url, on_event=events.append)

    errors = {event.scene: event.error for event in events if event.error}
    entries = server.book.entries
    assert played == len(events) == len(SCENES)
    assert errors == {"broke": "APIStatusError", "mistaken": "BadRequestError", "broken_stream": "APIError"}
    assert len(server.wait_for_disconnect(3)) == 3
    assert {entry.outcome for entry in entries} == {"ok", "error", "cancelled"}
    assert any(len(entry.attempts) > 1 for entry in entries)
    assert any(entry.is_byok for entry in entries)
    assert any(entry.usage.cache_read_tokens for entry in entries)
    assert any(entry.cache_source_id for entry in entries)
    assert {entry.api for entry in entries} >= {"responses", "messages", "embeddings", "rerank", "images", "stt"}


def test_the_same_seed_costs_the_same(server):
    with ScriptedOpenRouter() as other:
        run_workload(server.base_url, seed=3)
        run_workload(other.base_url, seed=3)
        server.wait_for_disconnect(3)
        other.wait_for_disconnect(3)

        assert server.book.total("spend") == other.book.total("spend")
        assert server.book.by("provider") == other.book.by("provider")
