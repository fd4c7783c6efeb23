"""Text that others chose (names of users and servers, their settings), as logs, tables and pages may show it."""


def printable(text: str) -> str:
    r"""Return the text with an escape in place of each character that is not to be seen.

    Such a character could end a line, move a terminal's cursor, or turn the direction of what follows: control and
    format characters, all spaces but the plain one, surrogates. Escapes are those of Python's literals, such as
    ``\n`` and ``\u202e``. Backslashes stay as they are, so that to do it twice changes nothing.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
