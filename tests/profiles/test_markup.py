"""Administrators' texts on a page."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.profiles.markup import bare, cleaned


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("Small", "Small"),
        ("R & Python", "R &amp; Python"),
        ("R &amp; Python", "R &amp; Python"),
        ("a < b", "a &lt; b"),
        ("<b>GPU</b>, <i>A100", "<b>GPU</b>, <i>A100</i>"),
        ("two<br/>lines", "two<br>lines"),
        ("<span/>x", "<span></span>x"),
        ("</b>x", "x"),
        ("<b><i>x</b>y", "<b><i>x</i></b>y"),
        ('<a href="https://example.org" onclick="x()">l</a>', '<a href="https://example.org">l</a>'),
        ('<a href="/hub/home">l</a>', '<a href="/hub/home">l</a>'),
        ('<a href="java\nscript:x()">l</a>', "<a>l</a>"),
        ('<a href="JaVaScript:x()">l</a>', "<a>l</a>"),
        ('<img src="data:text/html,x" alt="logo">', '<img alt="logo">'),
        ('<img src=x onerror="x()">', '<img src="x">'),
        ("<script>x()</script>", "&lt;script&gt;x()&lt;/script&gt;"),
        ("List<int>", "List&lt;int&gt;"),
        ("<!-- note -->x", "x"),
    ],
)
def test_simple_markup_works_and_everything_else_is_text(text, page):
    assert cleaned(text) == page


def test_where_there_is_no_markup_the_words_stay():
    assert bare("<b>R</b> &amp; <i>Python</i><br>3 < 4") == "R & Python 3 < 4"


class _Strict(HTMLParser):
    """Fails at whatever could act, and at tags that are not closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        assert tag not in {"script", "style", "iframe", "form", "input", "svg", "fieldset", "div"}
        assert all(not name.startswith("on") and name != "style" for name, _ in attrs)
        assert all("script" not in (value or "").lower() for name, value in attrs if name in {"href", "src"})
        if tag not in {"br", "hr", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


_pieces = st.sampled_from(
    [
        "<b>",
        "</b>",
        "<a href='javascript:x'>",
        "</a>",
        "<img src=x onerror=y>",
        "<script>",
        "</script>",
        "<svg/onload=x>",
        "<",
        ">",
        '"',
        "'",
        "&lt;",
        "</div>",
        "<p",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "&",
        "text",
        " ",
    ]
)


@given(st.lists(_pieces | st.text(max_size=3), max_size=12).map("".join))
def test_nothing_gets_through_that_could_act_or_break_the_page(text):
    reader = _Strict()
    reader.feed(cleaned(text))
    reader.close()
    assert reader.open == []
