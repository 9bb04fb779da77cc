from __future__ import annotations

import re
import sys
from html.parser import HTMLParser

import pytest

from or_otel.reports.digest import digest_of
from or_otel.reports.html import to_html

VOID = {"meta"}


class Page(HTMLParser):
    """What a page is made of; fails on a tag that is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.addresses, self.texts = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href", "xlink:href", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, _):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def text(frame, call):
    calls = [call("4", days_ago=30), call("2", tags={"team": "<script>alert(1)</script>"}, response_model="m/<b>")]
    return to_html(digest_of(frame(), calls))


def test_the_page_needs_nothing_else_and_runs_nothing(text):
    page = Page(text)

    assert "script" not in page.tags
    assert page.addresses == []
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "default-src 'none'" in text


def test_names_of_others_are_text(text):
    page = Page(text)

    assert "<script>alert(1)</script>" in page.texts
    assert "b" not in page.tags


def test_charts_show_their_figures_at_the_pointer(text):
    page = Page(text)

    assert page.tags.count("svg") == 2
    assert "desc" not in page.tags
    assert re.search(r"<title[^>]*>(21: )?\$2\.00</title>", text)


def test_a_share_is_drawn_as_a_bar_within_its_cell(text):
    assert 'class="number share" style="--part:100.0%">100%</td>' in text


def test_pages_are_small(text):
    assert len(text) < 100_000


def test_drawing_leaves_no_finder_of_imports_behind(text):
    assert [finder for finder in sys.meta_path if type(finder).__module__.startswith("pygal")] == []


def test_the_same_digest_gives_the_same_page(frame, call):
    digest = digest_of(frame(), [call("2")])

    assert to_html(digest) == to_html(digest)
