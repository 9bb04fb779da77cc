"""Which clients are here, and what the table of coverage is told of their tests.

A client that is not installed in this environment has no tests in it; what a client does not offer is
declared with its reason.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from drivers import Way, imported
from drivers.frameworks import (
    Instructor,
    LangChainOpenAI,
    LangChainOpenRouter,
    LiteLLM,
    LlamaIndex,
    OpenAIAgents,
    PydanticAI,
)
from drivers.raw import Aiohttp, Httpx, Httpx2, Requests
from drivers.sdks import Anthropic, AnthropicHelper, Groq, Mistral, OpenAI, OpenRouter

HERE = Path(__file__).parent
CLIENTS = (
    *(OpenAI, OpenRouter, Anthropic, AnthropicHelper, Groq, Mistral),
    *(LangChainOpenAI, LangChainOpenRouter, LiteLLM, LlamaIndex, PydanticAI, OpenAIAgents, Instructor),
    *(Httpx, Httpx2, Requests, Aiohttp),
)


def is_installed(kind):
    """Some modules are there, and a dependency of theirs is not."""
    try:
        imported(kind.module)
    except ImportError:
        return False
    return True


def pytest_configure(config):
    config.addinivalue_line("markers", "feature(name): the column of the table of coverage that a test fills")


def pytest_generate_tests(metafunc):
    if "way" in metafunc.fixturenames:
        ways = [(kind, mode) for kind in CLIENTS if is_installed(kind) for mode in kind.modes]
        ids = [f"{kind.name}-{mode}" for kind, mode in ways]
        metafunc.parametrize("way", [Way(kind, mode) for kind, mode in ways], ids=ids)


def pytest_collection_finish():
    gc.freeze()  # the clients' modules are large, and each test here collects garbage


def pytest_collection_modifyitems(items):
    """Some clients never close their sockets, and the warning comes in whatever test is next; some warn themselves."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))
            way = item.callspec.params.get("way") if hasattr(item, "callspec") else None
            if way is not None and way.kind.is_warning:
                item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(autouse=True)
def _what_a_client_left_open_is_its_own():
    yield
    gc.collect()  # now, while its warnings are passed over


@pytest.fixture(autouse=True)
def _for_the_table(request, record_property):
    """Tell the table of coverage whose feature is tested; skip what the client declares not to have."""
    mark = request.node.get_closest_marker("feature")
    if mark is None or "way" not in request.fixturenames:
        return
    kind, mode = (way := request.getfixturevalue("way")).kind, way.mode
    (feature,) = mark.args
    record_property("client", kind.name)
    record_property("packages", " ".join(kind.packages or (kind.module,)))
    record_property("mode", mode)
    record_property("feature", feature)
    if feature in kind.notes:
        record_property("note", kind.notes[feature])
    if (reason := kind.absent.get(feature) or kind.absent.get((feature, mode))) is not None:
        record_property("absent", reason)
        pytest.skip(reason)
