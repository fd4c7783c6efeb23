"""Time zones as admins write them: what is probably meant where it is none, and what surprises where it is one."""

import re
from zoneinfo import ZoneInfo, available_timezones

from k8s_hub.culler.ruling.reading import BadRule, suggestion
from k8s_hub.text import quoted

_PLACES = {
    "PST PDT PT": "America/Los_Angeles",
    "MST MDT MT": "America/Denver",
    "CST": "America/Chicago or Asia/Shanghai",
    "CDT CT": "America/Chicago",
    "EST EDT ET": "America/New_York",
    "AKST AKDT": "America/Anchorage",
    "GMT BST": "Europe/London",
    "WEST": "Europe/Lisbon",
    "CEST MEZ MESZ": "Europe/Berlin",
    "EEST": "Europe/Athens",
    "MSK": "Europe/Moscow",
    "IST": "Asia/Kolkata, Asia/Jerusalem or Europe/Dublin",
    "SGT": "Asia/Singapore",
    "HKT": "Asia/Hong_Kong",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "AEST AEDT": "Australia/Sydney",
    "AWST": "Australia/Perth",
    "NZST NZDT": "Pacific/Auckland",
}
_PLACE_OF = {short: place for shorts, place in _PLACES.items() for short in shorts.split()}
"""What people call a clock that the database of time zones knows by a place."""

_WITHOUT_SUMMER_TIME = frozenset({"EST", "MST", "GMT"})
"""Of these names, the ones that are zones as well: the same clock, in summer an hour off."""

_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])\s*0?([0-9]{1,2})(?::?00)?", re.IGNORECASE)
_TURNED_AROUND = re.compile("Etc/GMT([+-])([0-9]+)")


def zone_named(name: str, path: str) -> ZoneInfo:
    """Return a time zone; raise BadRule, which begins with ``path``."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown, no name, or a file that holds no zone
        raise BadRule(f"{path}: {quoted(name)} is no time zone{_guess(name.strip())}") from None


def surprise(name: str) -> str | None:
    """Return what somebody who has chosen this zone may not expect of it; None: nothing."""
    if name in _WITHOUT_SUMMER_TIME:
        return f"{name} has no summer time; the clock on the wall is that of {_PLACE_OF[name]}"
    if offset := _TURNED_AROUND.fullmatch(name):
        return f"{name} is UTC{_turned(offset[1])}{offset[2]}, all year: its sign is turned around"
    return None


def _turned(sign: str) -> str:
    return "-" if sign == "+" else "+"


def _guess(name: str) -> str:
    """Return what was probably meant, as the end of a sentence."""
    if name.upper() in _PLACE_OF:
        return f"; is {_PLACE_OF[name.upper()]} meant?"
    zones = available_timezones()
    if offset := _OFFSET.fullmatch(name):
        all_year = f"Etc/GMT{_turned(offset[1])}{offset[2]}"
        place = "; write a place such as Europe/Berlin, whose clock follows summer time"
        return place + (f", or {all_year} for this offset all year" if all_year in zones else "")
    word = name.replace(" ", "_").casefold()
    same = [zone for zone in zones if word in {zone.casefold(), zone.rpartition("/")[2].casefold()}]
    if same:
        return f"; is {min(same)} meant?"
    # Of the short names, and of the numbers, one that looks like this one is another clock.
    places = [zone for zone in zones if "/" in zone and not zone.startswith("Etc/")]
    return suggestion(name, places, likeness=0.8) or ", such as Europe/Berlin"
