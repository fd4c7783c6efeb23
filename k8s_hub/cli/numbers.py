"""Numbers on the command line. An error names the option, the value and the range."""

from argparse import ArgumentTypeError


def port(text: str) -> int:
    """Parse a port; 0 means any free one."""
    return _within(text, 0, 65535, "a port")


def seconds(text: str) -> int:
    """Parse a duration of at least one second."""
    return _within(text, 1, 10**9, "a number of seconds")


def days(text: str) -> int:
    """Parse a number of whole days; 0 is allowed."""
    return _within(text, 0, 10**5, "a number of days")


def _within(text: str, least: int, most: int, meaning: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ArgumentTypeError(f"{text!r} is not {meaning} from {least} to {most}")
    return number
