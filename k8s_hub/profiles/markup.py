"""Administrators' texts on a page: simple markup works, as in KubeSpawner's form; anything else is shown as text."""

from html import escape
from html.parser import HTMLParser

_TAGS = frozenset(
    {
        "a",
        "abbr",
        "b",
        "br",
        "code",
        "del",
        "em",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "s",
    }
    | {"samp", "small", "span", "strong", "sub", "sup", "u", "ul"}
)
_VOID = frozenset({"br", "hr", "img"})
_ATTRIBUTES = frozenset({"alt", "class", "height", "href", "src", "target", "title", "width"})
_ADDRESSES = frozenset({"href", "src"})
_SCHEMES = ("https:", "http:", "mailto:")


def cleaned(text: str) -> str:
    """Return HTML that shows the text: with the markup that does no harm, every tag closed."""
    return _read(text, keeps_tags=True)


def bare(text: str) -> str:
    """Return the text without markup, where a page can have none; it is not escaped."""
    return _read(text, keeps_tags=False)


def _read(text: str, *, keeps_tags: bool) -> str:
    reader = _Reader(keeps_tags=keeps_tags)
    reader.feed(text)
    reader.close()
    return reader.result()


class _Reader(HTMLParser):
    def __init__(self, *, keeps_tags: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._keeps_tags = keeps_tags
        self._parts: list[str] = []
        self._open: list[str] = []

    def result(self) -> str:
        closing = [f"</{tag}>" for tag in reversed(self._open)]
        return "".join(self._parts + closing)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            self.handle_data(self.get_starttag_text() or "")
        elif self._keeps_tags:
            kept = "".join(
                f' {name}="{escape(value or "")}"' for name, value in attrs if _is_harmless(name, value)
            )
            self._parts.append(f"<{tag}{kept}>")
            if tag not in _VOID:
                self._open.append(tag)
        elif tag == "br":
            self._parts.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _TAGS:
            self.handle_data(f"</{tag}>")
        elif tag in self._open:
            while True:
                last = self._open.pop()
                self._parts.append(f"</{last}>")
                if last == tag:
                    break

    def handle_data(self, data: str) -> None:
        self._parts.append(escape(data) if self._keeps_tags else data)


def _is_harmless(name: str, value: str | None) -> bool:
    if name not in _ATTRIBUTES:
        return False
    if name not in _ADDRESSES:
        return True
    # Browsers ignore blanks and control characters in front of and within a scheme.
    address = "".join(character for character in value or "" if character > " ").lower()
    return ":" not in address.partition("/")[0] or address.startswith(_SCHEMES)
