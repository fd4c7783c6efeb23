"""The form: KubeSpawner's names of fields, a label for everything, and nothing that acts by itself."""

from datetime import UTC, datetime
from html.parser import HTMLParser

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.profiles.fields import options_from_fields
from k8s_hub.profiles.form import bare, cleaned, render_form, render_last_end
from k8s_hub.profiles.listing import initialised
from k8s_hub.profiles.selection import NOTHING_OFFERED
from tests.profiles.samples import profiles

VOID = {"input", "br", "hr", "img"}


class Page(HTMLParser):
    """What of a form a browser without scripts would see and send."""

    def __init__(self, html):
        super().__init__()
        self.elements = []
        self.open = []
        self.fields = {}
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "select":
            self.select = element["name"]
        if tag == "option" and ("selected" in element or self.select not in self.fields):
            self.fields[self.select] = [element["value"]]
        if tag == "input" and (element["type"] == "text" or "checked" in element):
            self.fields[element["name"]] = [element["value"]]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag, **attributes):
        return [e for e in self.elements if e["tag"] == tag and attributes.items() <= e.items()]


def page(user_options=None, of=profiles):
    return Page(render_form(initialised(of()), user_options or {}))


def test_the_names_of_fields_are_those_of_kubespawner():
    names = [element["name"] for element in page().elements if "name" in element]

    assert names == [
        "profile",
        "profile",
        "profile-option-gpu--image",
        "profile-option-gpu--image--unlisted-choice",
        "profile-option-gpu--cards",
        "profile",
        "profile-option-anything--image--unlisted-choice",
    ]


def test_every_field_has_its_label_and_every_group_its_legend():
    found = page()
    labelled = {label["for"] for label in found.all("label")}
    fields = [element for element in found.elements if element["tag"] in {"input", "select"}]
    ids = [element["id"] for element in found.elements if "id" in element]

    assert [field for field in fields if field["id"] not in labelled] == []
    assert len(found.all("legend")) == len(found.all("fieldset")) == 3
    assert len(ids) == len(set(ids))
    described = [element["aria-describedby"] for element in found.elements if "aria-describedby" in element]
    assert set(described) <= set(ids)


@pytest.mark.parametrize(
    ("user_options", "sent"),
    [
        ({}, {"profile": "small"}),
        ({"profile": "gpu"}, {"profile": "gpu", "image": "new", "image--unlisted-choice": "", "cards": "1"}),
        (
            {"profile": "gpu", "image": "old", "cards": 2},
            {"profile": "gpu", "image": "old", "image--unlisted-choice": "", "cards": "2"},
        ),
        (
            {"profile": "gpu", "image--unlisted-choice": "pangeo/x"},
            {
                "profile": "gpu",
                "image": "unlisted-choice",
                "image--unlisted-choice": "pangeo/x",
                "cards": "1",
            },
        ),
    ],
)
def test_what_was_chosen_last_is_chosen_again_and_sent_without_a_script(user_options, sent):
    assert options_from_fields(page(user_options).fields) == sent


def test_a_choice_of_one_profile_is_not_that_of_another():
    def two():
        options = {"image": {"choices": {"old": {}, "new": {"default": True}}}}
        return [{"display_name": name, "profile_options": options} for name in ("A", "B")]

    fields = page({"profile": "b", "image": "old"}, two).fields
    assert (fields["profile-option-a--image"], fields["profile-option-b--image"]) == (["new"], ["old"])


@pytest.mark.parametrize(("keys", "saved"), [([1, 0], 0), ([True, False], False), (["true", "false"], False)])
def test_zero_and_false_are_chosen_again_too(keys, saved):
    choices = {key: {"display_name": f"{key}"} for key in keys}
    html = page(
        {"profile": "a", "o": saved},
        lambda: [{"display_name": "A", "profile_options": {"o": {"choices": choices}}}],
    )

    assert html.fields["profile-option-a--o"] == [str(keys[1])]


def test_options_without_names_are_called_by_their_keys():
    assert "cards" in page().text


@pytest.mark.parametrize(
    ("names", "label"),
    [
        ((None, None), "image"),
        (("Image", None), "Image"),
        (("Image", "Name and tag"), "Image (Name and tag)"),
        (("Image", "Image"), "Image"),
        ((None, "Name and tag"), "image (Name and tag)"),
    ],
)
def test_an_option_without_choices_is_named_at_its_text(names, label):
    def texts():
        name, unlisted_name = names
        unlisted = {"enabled": True, "display_name": unlisted_name}
        return [
            {
                "display_name": "A",
                "profile_options": {"image": {"display_name": name, "unlisted_choice": unlisted}},
            }
        ]

    assert label in [line.strip() for line in page(None, texts).text.splitlines()]


def test_the_required_form_of_a_value_is_known_to_the_browser():
    (field,) = page().all("input", name="profile-option-gpu--image--unlisted-choice")

    assert field["pattern"] == "^pangeo/.*$"
    assert field["title"] == "Must be pangeo/NAME."
    assert "required" not in field  # the browser would ask for it even if another profile is chosen


EVIL = '"><script>alert(1)</script>{{ 7*7 }}{% raw %}{# x'


def test_no_text_acts_neither_in_the_page_nor_as_a_template():
    def evil():
        unlisted = {
            "enabled": True,
            "display_name": EVIL,
            "display_name_in_choices": EVIL,
            "validation_regex": EVIL,
            "validation_message": EVIL,
        }
        option = {
            "display_name": EVIL,
            "choices": {EVIL: {"display_name": EVIL}},
            "unlisted_choice": unlisted,
        }
        return [{"display_name": EVIL, "description": EVIL, "slug": EVIL, "profile_options": {EVIL: option}}]

    html = render_form(initialised(evil()), {"profile": EVIL, f"{EVIL}--unlisted-choice": EVIL})
    found = Page(html)

    assert len(found.all("script")) == 1
    assert options_from_fields(found.fields)["profile"] == EVIL
    assert options_from_fields(found.fields)[f"{EVIL}--unlisted-choice"] == EVIL
    assert "{{ 7*7 }}" in found.text
    assert jinja2.Environment(autoescape=True).from_string(html).render() == html.rstrip("\n")


def test_simple_markup_of_administrators_works():
    def marked():
        return [
            {
                "display_name": "<b>GPU</b> &amp; more",
                "description": 'See <a href="https://example.org">it</a>',
            }
        ]

    html = render_form(initialised(marked()), {})
    assert "<b>GPU</b> &amp; more" in html
    assert '<a href="https://example.org">it</a>' in html


def test_where_nothing_is_offered_the_form_says_so():
    assert NOTHING_OFFERED in Page(render_form([], {})).text
    assert "Another reason." in Page(render_form([], {}, nothing="Another reason.")).text


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


def test_the_end_of_the_last_server_is_text_whatever_its_cause():
    notice = render_last_end(datetime(2026, 7, 1, 12, 5, tzinfo=UTC), "it used {{ 7 * 7 }} of <b>disk</b>")
    shown = jinja2.Template(notice).render()
    assert "Your last server ended at " in shown
    assert '<time datetime="2026-07-01T12:05:00Z">2026-07-01 12:05 UTC</time>' in shown
    assert "it used &#123;&#123; 7 * 7 }} of &lt;b&gt;disk&lt;/b&gt;." in shown
