"""The culler's acceptance table: each row as facts for the library, and as answers of a hub and of a server.

tests/data/culling/README.md says what the keys of a row mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from k8s_hub.culler.core import rules
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.core.policy import Facts, Notice, facts_of
from k8s_hub.culler.core.probing import Answer
from k8s_hub.culler.core.rules import Limits, Rules
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.state import StateStore
from k8s_hub.hub.users import user_of

DATA = Path(__file__).parent.parent / "data" / "culling" / "decisions.yaml"

KEEP_LIMITS = ExtensionLimits(longest=timedelta(days=1), per_week=7)

_DEFAULTS = {
    "now": "2026-07-01T12:00:00Z",
    "settings": {"timeout": "1h", "busy_limit": "24h"},
    "rules": [],
    "user": {"name": "ann", "admin": False, "groups": []},
    "server": {
        "name": "",
        "ready": True,
        "pending": None,
        "started": "3h",
        "active": "2h",
        "user_options": {},
    },
    "kernels": None,
    "terminals": None,
    "answers": None,
    "kept": None,
    "warned": None,
    "warned_since": None,
}
_DURATIONS = ("timeout", "max_age", "busy_limit", "warn_before")
_EXPECTED = {"verdict", "cause", "rule", "due"}


@dataclass(frozen=True, kw_only=True)
class Extension:
    """What a user asked for: to keep the server for so long, so long ago."""

    ago: timedelta
    duration: timedelta


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is to be decided."""

    verdict: str
    cause: str
    rule: str | None
    looks_at_due: bool
    deadline: datetime | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row, with the words that hub, server and admin would use."""

    what: str
    source: str
    now: datetime
    settings: Mapping[str, Any]  # options of the culler; durations in seconds
    rules: Any  # as an admin writes them
    user: Mapping[str, Any]  # as the hub tells it
    server_name: str
    kernels: list[dict[str, Any]] | None  # as the server tells it; None: it is not asked, or does not answer
    terminals: list[dict[str, Any]] | None
    is_asked: bool
    keep: Extension | None
    notice: Notice | None
    expected: Expected

    @property
    def user_name(self) -> str:
        return self.user["name"]

    @property
    def limits(self) -> Limits:
        """What holds where no rule says otherwise."""
        return Limits(
            timeout=timedelta(seconds=self.settings["timeout"]),
            max_age=self._duration("max_age"),
            busy_limit=self._duration("busy_limit"),
            default_servers=self.settings.get("cull_default_servers", True),
            named_servers=self.settings.get("cull_named_servers", True),
        )

    @property
    def decider(self) -> Decider:
        return Decider(
            limits=self.limits, rules=Rules.parse(self.rules), notice=self._duration("warn_before")
        )

    def facts(self) -> Facts:
        """Return what is known about the server."""
        user = user_of(self.user)
        server = user.server(self.server_name)
        assert server is not None
        answer = Answer()
        if self.kernels is not None:
            answer.add_kernels(self.kernels)
            answer.add_terminals(self.terminals)
        return facts_of(server, user, self.store(None), None if self.kernels is None else answer.work)

    def store(self, path: Path | None) -> StateStore:
        """Return a memory of what the user asked for and was told; the file that it is kept in is free for a culler."""
        clock = [self.now]
        store = StateStore(path, KEEP_LIMITS, lambda: clock[0])
        if self.keep is not None:
            clock[0] = self.now - self.keep.ago
            store.extend(self.user_name, self.server_name, self.keep.duration)
            clock[0] = self.now
        if self.notice is not None:
            store.save_notice(self.user_name, self.server_name, self.notice)
        store.close()
        return store

    def _duration(self, name: str) -> timedelta | None:
        seconds = self.settings.get(name)
        return timedelta(seconds=seconds) if seconds else None


def rows() -> list[Row]:
    """Return all rows of the table."""
    table = yaml.safe_load(DATA.read_text())
    return [_row(raw, table["rule_sets"]) for raw in table["rows"]]


def _row(raw: Mapping[str, Any], rule_sets: Mapping[str, Any]) -> Row:
    unknown = raw.keys() - _DEFAULTS.keys() - {"what", "from", "expect"}
    assert not unknown, f"{raw['what']}: {unknown}"
    row = _DEFAULTS | dict(raw)
    now = datetime.fromisoformat(row["now"]).astimezone(UTC)
    server = _with_defaults(row, "server")
    assert row["kernels"] is None or row["answers"] is None, raw["what"]
    return Row(
        what=row["what"],
        source=row["from"],
        now=now,
        settings=_settings(_with_defaults(row, "settings")),
        rules=rule_sets[row["rules"]] if isinstance(row["rules"], str) else row["rules"],
        user=_user_model(_with_defaults(row, "user"), server, now),
        server_name=server["name"],
        kernels=None if row["kernels"] is None else [_kernel_model(kernel, now) for kernel in row["kernels"]],
        terminals=None
        if row["kernels"] is None
        else [_terminal_model(index, each, now) for index, each in enumerate(row["terminals"] or [])],
        is_asked=row["kernels"] is not None or row["answers"] is False,
        keep=None
        if row["kept"] is None
        else Extension(
            ago=rules.parse_duration(row["kept"]["ago"]), duration=rules.parse_duration(row["kept"]["for"])
        ),
        notice=_notice(row, server, now),
        expected=_expected(row["expect"], now),
    )


def _with_defaults(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    unknown = row[key].keys() - _DEFAULTS[key].keys() if key != "settings" else set()
    assert not unknown, f"{row['what']}: {key} has {unknown}"
    return _DEFAULTS[key] | row[key]


def _settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    def seconds(value: Any) -> int:
        duration = rules.parse_limit(value)
        return 0 if duration is None else int(duration.total_seconds())

    return {key: seconds(value) if key in _DURATIONS else value for key, value in raw.items()}


def _notice(row: Mapping[str, Any], server: Mapping[str, Any], now: datetime) -> Notice | None:
    if row["warned"] is None:
        return None
    since = server["active"] if row["warned_since"] is None else row["warned_since"]
    return Notice(at=_moment(row["warned"], now), since=_moment(since, now))


def _expected(raw: Mapping[str, Any], now: datetime) -> Expected:
    assert raw.keys() <= _EXPECTED, raw
    deadline = raw.get("due", "never")
    return Expected(
        verdict=raw["verdict"],
        cause=raw["cause"],
        rule=raw.get("rule"),
        looks_at_due="due" in raw,
        deadline=None if deadline == "never" else _moment(deadline, now),
    )


# --- As the hub and the server tell it ---


def _user_model(user: Mapping[str, Any], server: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    groups = {} if user["groups"] == "hidden" else {"groups": user["groups"]}
    name = server["name"]
    return {
        "kind": "user",
        "name": user["name"],
        "admin": user["admin"],
        **groups,
        "created": _iso(now - timedelta(days=100)),
        "last_activity": _iso(now),
        "servers": {
            name: {
                "name": name,
                "ready": server["ready"],
                "pending": server["pending"],
                "started": _told(server["started"], now),
                "last_activity": _told(server["active"], now),
                "user_options": server["user_options"],
                "url": f"/user/{user['name']}/" + (f"{name}/" if name else ""),
                "state": {},
            }
        },
    }


def _kernel_model(kernel: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    assert kernel.keys() == {"state", "tabs", "active"}, kernel
    return {
        "id": "0d3a7a0e-0000-4000-8000-000000000000",
        "name": "python3",
        "last_activity": _told(kernel["active"], now),
        "execution_state": kernel["state"],
        "connections": kernel["tabs"],
    }


def _terminal_model(index: int, terminal: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    assert terminal.keys() == {"active"}, terminal
    return {"name": str(index + 1), "last_activity": _told(terminal["active"], now)}


# --- Times ---


def _told(written: str | None, now: datetime) -> str | None:
    return None if written is None else _iso(_moment(written, now))


def _moment(written: str, now: datetime) -> datetime:
    """Return the moment that is meant by "2h" (before now), "in 2h" (after it) or a time of its own."""
    if "T" in written:
        return datetime.fromisoformat(written).astimezone(UTC)
    if written == "0s":
        return now
    if written.startswith("in "):
        return now + rules.parse_duration(written.removeprefix("in "))
    return now - rules.parse_duration(written)


def _iso(moment: datetime) -> str:
    """Write a time as the hub does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
