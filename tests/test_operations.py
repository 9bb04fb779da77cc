from __future__ import annotations

import asyncio
import threading

import pytest

from or_otel.operations import Operation, bind, current_operation, current_tags, operation, tags


class Ended:
    def __init__(self):
        self.times = 0

    def end(self):
        self.times += 1


def test_a_call_ends_when_nobody_is_inside_and_nothing_is_open():
    call, group = Ended(), Operation()

    group.enter()
    assert group.opened(lambda: call) is call
    group.closed()
    assert call.times == 0
    group.opened(Ended)
    group.leave()
    assert call.times == 0
    group.closed()

    assert call.times == 1


def test_an_operation_without_an_exchange_ends_nothing():
    call, group = Ended(), Operation()

    group.enter()
    group.leave()
    group.opened(lambda: call)
    group.closed()

    assert call.times == 1


def test_a_nested_operation_joins_the_outer():
    with operation():
        outer = current_operation()
        with operation():
            assert current_operation() is outer

    assert current_operation() is None


def test_an_operation_decorates_functions_and_coroutine_functions():
    @operation()
    def grouped():
        return current_operation()

    @operation()
    async def grouped_async():
        await asyncio.sleep(0)
        return current_operation()

    first, second = grouped(), grouped()
    third = asyncio.run(grouped_async())

    assert all(isinstance(found, Operation) for found in (first, second, third))
    assert len({first, second, third}) == 3


def test_tags_nest_and_inner_ones_win_and_none_removes():
    with tags(team="search", feature="summary"):
        with tags(feature="answer", customer=7, team=None):
            assert current_tags() == {"feature": "answer", "customer": "7"}
        assert current_tags() == {"team": "search", "feature": "summary"}

    assert current_tags() == {}


def test_tag_keys_are_normalised_and_a_collision_is_refused():
    with tags(Cost_Centre="a"):
        assert current_tags() == {"cost_centre": "a"}

    with pytest.raises(ValueError, match="another key is also 'team'"):
        tags(Team=1, team=2)
    with pytest.raises(ValueError, match="starts with a letter"):
        tags(**{"123": 1})


def test_tags_follow_asyncio_tasks_and_do_not_leak_between_them():
    async def tagged(team):
        async with tags(team=team):
            await asyncio.sleep(0)
            return dict(current_tags())

    async def main():
        return await asyncio.gather(tagged("a"), tagged("b"))

    assert asyncio.run(main()) == [{"team": "a"}, {"team": "b"}]


def test_bind_carries_tags_and_operation_into_a_plain_thread():
    seen = []

    def work():
        seen.append((dict(current_tags()), current_operation()))

    with tags(team="search"), operation():
        here = current_operation()
        threads = [threading.Thread(target=bind(work)), threading.Thread(target=work)]
        for thread in threads:
            thread.start()
            thread.join()

    assert seen == [({"team": "search"}, here), ({}, None)]
