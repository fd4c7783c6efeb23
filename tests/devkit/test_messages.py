"""The list of all texts that somebody can read."""

import pytest

from devkit.messages import PACKAGE, main, texts

MODULE = '''"""A docstring that nobody is shown."""

import re

AGAIN = "Try again later."
"""What a constant is for."""
PATTERN = re.compile("no such file")
NAMED = ("group", r"(?P<name>[a-z]+) not found")


def fail(name: "a type that is read", log) -> "another one":
    """What the function does."""
    if name == "no name at all" or name.startswith("words of others"):
        log.warning("%s: cannot start: %s", name, PATTERN)
    raise ValueError(
        f"The server {name!r} did not "
        f"start. {AGAIN}"
    )
'''
PAGE = """{# nothing to read #}
<title>{% block title %}Idle servers{% endblock %}</title>
<script>alert("no text of the page")</script>
<p title="When it stops">{{ only.code }}</p><p>
  Stops at {{ time }}
  unless you use it.</p><br><b>Now</b>
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("devkit.messages.ROOT", tmp_path)
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "page.css").write_text('/* not a text */ a { content: "no text either" }')
    return tmp_path


def test_what_a_module_says_is_found_and_nothing_else(folder):
    found = [(text.line, text.words) for text in texts([folder / "module.py"])]

    assert found == [
        (5, "Try again later."),
        (14, "%s: cannot start: %s"),
        (16, "The server {name} did not start. Try again later."),
    ]


@pytest.mark.slow
def test_what_a_page_says_is_found_and_nothing_else(folder):
    found = [(text.line, text.words) for text in texts([folder / "page.html"])]

    assert found == [
        (2, "Idle servers"),
        (4, "When it stops"),
        (4, "Stops at {{ time }} unless you use it."),
        (6, "Now"),
    ]


def test_a_text_is_printed_with_its_place(folder, capsys):
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "module.py:5: Try again later."


@pytest.mark.parametrize(
    "words",
    [
        # A named text is filled in.
        "Your server did not start within {waited}. Try again; if it keeps happening, contact your administrator.",
        "stop idle servers of a JupyterHub; `cull explain USER` shows why a server stops or runs on",
    ],
)
@pytest.mark.slow
def test_what_the_package_says_is_among_them(words):
    assert words in [text.words for text in texts([PACKAGE])]
