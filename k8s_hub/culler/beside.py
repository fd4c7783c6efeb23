"""Find the cullers that run beside this process, as in the hub's pod: their URLs and tokens."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from k8s_hub.culler.options import SECRETS
from k8s_hub.text import has_credentials, is_http_url, without_secrets

PROCESSES = Path("/proc")
MODULES = frozenset({"k8s_hub.culler", "jupyterhub_idle_culler"})
"""Only the environment of a culler has the culler's token."""

SCRIPTS = frozenset({"jupyterhub-idle-culler", "cull_idle_servers.py"})
"""As programs, or after the interpreter and its flags."""

URL_FLAGS = frozenset({"url", "IdleCuller.url"})

URL = "JUPYTERHUB_API_URL"
TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105 - the name of the variable


class ProcessState(Enum):
    """The state of a culler's process."""

    RUNS = auto()
    ENDED = auto()  # its parent has not noticed yet
    ABSENT = auto()  # no culler of this host has this id


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCuller:
    """How a running culler reaches its hub."""

    url: str
    token: str = field(repr=False)
    page: str = ""  # the address of its page, without the hub's proxy; empty: it has none
    flags: Sequence[str] | None = None  # None: of another package
    directory: Path = Path()  # relative paths in its flags begin there
    has_warn_url: bool = False  # in its environment: the URL itself is a secret that stays there


def environment_of_hub(url: str = "") -> Mapping[str, str]:
    """Return this process's environment; without a token in it, with URL and token of a culler that runs beside it.

    url: the hub's API from a flag, which overrides the variable. Returns a culler's token only for the URL of its own hub.
    """
    if os.environ.get(TOKEN, "").strip():
        return os.environ
    wanted = url or os.environ.get(URL, "")
    cullers = (each for each in running_cullers() if not wanted or _place(each.url) == _place(wanted))
    found = next(cullers, None)
    return os.environ if found is None else {**os.environ, URL: found.url, TOKEN: found.token}


def cullers_here() -> str:
    """Return which hubs the cullers that run here are of, in a clause, to say why the token of none was taken."""
    hubs = sorted({named_hub(culler.url) for culler in running_cullers()})
    match hubs:
        case []:
            return "no culler runs here"
        case [hub]:
            return f"the culler that runs here is of the hub {hub}"
        case _:
            return f"the cullers that run here are of the hubs {', '.join(hubs)}"


def named_hub(url: str) -> str:
    """Return the URL of a hub's API for messages, without user, password and query."""
    if not is_http_url(url):
        return "without a valid URL"
    if has_credentials(url):
        return without_secrets(url)
    return without_secrets(url) + urlsplit(url).path


def running_cullers() -> Iterator[RunningCuller]:
    """Yield the cullers of the same Unix user that have a token."""
    for process in sorted(PROCESSES.glob("[0-9]*")):
        try:
            words = _words_of(process)
            if not is_culler(words):
                continue
            entries = os.fsdecode((process / "environ").read_bytes()).split("\0")
        except OSError:  # the process ended, or belongs to another user
            continue
        environment = dict(entry.split("=", 1) for entry in entries if "=" in entry)
        token = environment.get(TOKEN, "").strip()
        if token:
            # A flag overrides the variable; the chart sets both.
            yield RunningCuller(
                url=[environment.get(URL, ""), *_urls_in(words)][-1],
                token=token,
                flags=flags_of(words),
                directory=process / "cwd",
                page=_page_in(environment),
                has_warn_url=bool(environment.get(SECRETS["warn_url"], "").strip()),
            )


def culler_of(url: str, token: str) -> RunningCuller | None:
    """Return the running culler with this token, or of the hub with this API; None: there is none."""
    cullers = list(running_cullers())
    of_token = (culler for culler in cullers if culler.token == token)
    of_hub = (culler for culler in cullers if _place(culler.url) == _place(url))
    return next(of_token, None) or next(of_hub, None)


def is_culler(words: Sequence[str]) -> bool:
    """Return whether this is the command of a culler: a module, a script, or ``k8s-hub cull``."""
    if MODULES & set(words) or flags_of(words) is not None:
        return True
    program, *arguments = words or [""]
    script = next((word for word in arguments if not word.startswith("-")), "")
    is_python = Path(program).name.startswith("python")
    return not SCRIPTS.isdisjoint({Path(program).name, Path(script).name if is_python else ""})


def flags_of(words: Sequence[str]) -> Sequence[str] | None:
    """Return the flags in the command of a culler of this package; None for other commands."""
    for at, (before, word) in enumerate(pairwise(["", *words])):
        is_verb = word == "cull" and Path(before).name in {"k8s-hub", "k8s_hub"}
        if word == "k8s_hub.culler" or is_verb:
            flags = words[at + 1 :]
            return None if is_verb and flags[:1] == ["explain"] else flags
    return None


def state_of(pid: int) -> ProcessState:
    """Return the state of a culler's process by its id."""
    process = PROCESSES / str(pid)
    try:
        if (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z":
            return ProcessState.ENDED
        words = _words_of(process)
    except OSError:
        return ProcessState.ABSENT
    return ProcessState.RUNS if is_culler(words) else ProcessState.ABSENT


def _words_of(process: Path) -> Sequence[str]:
    return os.fsdecode((process / "cmdline").read_bytes()).removesuffix("\0").split("\0")


def _urls_in(words: Sequence[str]) -> Iterator[str]:
    """Yield the values of all flags for the URL: ``--url=X``, ``--url X`` or ``--IdleCuller.url=X``."""
    for word, following in pairwise([*words, ""]):
        name, is_joined, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name in URL_FLAGS:
            yield value if is_joined else following


def _page_in(environment: Mapping[str, str]) -> str:
    service = environment.get("JUPYTERHUB_SERVICE_URL", "").rstrip("/")
    prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX", "")
    return service + prefix if service and prefix else ""


def _place(url: str) -> str:
    return url.rstrip("/").replace("//localhost:", "//127.0.0.1:")
