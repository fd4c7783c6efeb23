"""The demo's changes to the hub's configuration. `hub_config.py` calls it in the hub's process.

The repository's configuration gets features to show (`showcase`). An administrator's file loses settings that need their
cluster (`fitting`). Both get a service whose token the demo and ``k8s-hub`` use.
"""

import ast
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from jupyterhub.spawner import Spawner
from jupyterhub.traitlets import EntryPointType
from traitlets import HasTraits, TraitError
from traitlets.config import Config
from traitlets.config.loader import LazyConfigValue

from devkit.demo import cullers
from devkit.demo.fitting import fit
from devkit.demo.hub_log import TOOLS
from devkit.demo.leftovers import MARKER
from devkit.demo.showcase import show
from k8s_hub.doctor.checks.configuration import near_misses, own_names

VARIABLE = "K8S_HUB_DEMO_RUN"
SCOPES = (
    *("list:users", "read:users", "read:servers", "delete:servers", "admin:server_state"),
    *("list:services", "read:services"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """What the hub's configuration needs to know about one run of the demo. It is passed in the environment."""

    config: str  # absolute path of the loaded file
    is_own: bool  # an administrator's own file
    is_mini: bool  # on the mini cluster
    marker: str
    token: str = field(repr=False)
    activity_seconds: int
    culler_url: str
    culler_options: str  # the culler's config file
    outcome: str  # path for the outcome
    culler_variables: str  # path for a script with the variables and the token of the culler's service
    repeated: str  # path for what the terminal repeats of the hub's log

    def as_environment(self) -> dict[str, str]:
        """Return the variable that `of_environment` reads."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def of_environment(cls) -> Self:
        """Return the run of this process."""
        return cls(**json.loads(os.environ[VARIABLE]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the demo needs to know about the hub's configuration."""

    left_out: Sequence[str] = ()  # replaced settings, such as JupyterHub.db_url
    has_culler: bool = True
    culler_flags: Sequence[str] = ()
    culler_directory: str = ""  # where its relative paths begin; empty: it has none
    culler_variables: str = (
        ""  # a script that exports the variables of its service, with its token; empty: no culler
    )
    culler_page: str = ""  # its path below the URL for users; empty: it has none

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the outcome that `complete` wrote."""
        return cls(**json.loads(path.read_text()))


def complete(c: Config, run: DemoRun) -> None:
    """Adapt ``c`` to this run, and write the outcome."""
    left_out: Sequence[str] = ()
    if run.is_own:
        left_out = [*fit(c), *cullers.fit(_items(c.JupyterHub.services))]
    else:
        show(c, culler_url=run.culler_url, culler_options=run.culler_options, is_mini=run.is_mini)
    culler = cullers.first(_items(c.JupyterHub.services))
    if culler is not None:
        _write_for_its_owner(Path(run.culler_variables), cullers.script(culler.variables))
    _mark_servers(c, run)
    _mark_services(c, run)
    c.JupyterHub.services.append({"name": TOOLS, "api_token": run.token})
    c.JupyterHub.load_roles.append({"name": TOOLS, "services": [TOOLS], "scopes": list(SCOPES)})
    outcome = Outcome(
        left_out=left_out,
        has_culler=culler is not None,
        culler_flags=culler.flags if culler else (),
        culler_directory=culler.directory if culler and run.is_own else "",
        culler_variables=run.culler_variables if culler else "",
        culler_page=culler.page if culler else "",
    )
    Path(run.outcome).write_text(json.dumps(asdict(outcome)))


def _write_for_its_owner(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


class _Chosen(HasTraits):  # type: ignore[misc, unused-ignore]
    """The spawner's class, named as JupyterHub's option names it."""

    spawner_class = EntryPointType(klass=Spawner, entry_point_group="jupyterhub.spawners")


def try_spawner(c: Config) -> None:
    """Raise TraitError when the spawner refuses a value in ``c``; without this the first login finds it."""
    spawner_class = _Chosen(spawner_class=c.JupyterHub.spawner_class).spawner_class
    try:
        spawner_class(config=c)
    except TraitError:
        raise
    except Exception:  # noqa: BLE001, S110 - a subclass may need the user that there is not yet
        pass


def sections_without_effect(c: Config, path: Path) -> list[str]:
    """Return a sentence for each section whose class has a typing error in its name; traitlets ignores it."""
    loaded, left = {*own_names(ast.parse(path.read_bytes()))}, [HasTraits]
    while left:
        found = left.pop()
        loaded.add(found.__name__)
        left += found.__subclasses__()
    return [sentence for _, sentence in near_misses(dict.fromkeys(c, 0), own=loaded)]


def _mark_servers(c: Config, run: DemoRun) -> None:
    """Mark servers with this run, and let them report activity often, also in the sections of subclasses."""
    ours = {MARKER: run.marker, "JUPYTERHUB_ACTIVITY_INTERVAL": str(run.activity_seconds)}
    c.KubeSpawner.environment.update(ours)
    for section in c.values():
        if isinstance(section, Config) and isinstance(section.get("environment"), dict):
            section["environment"].update(ours)


def _mark_services(c: Config, run: DemoRun) -> None:
    """Mark the services: the hub passes them the variables of their own, not its environment."""
    for service in _items(c.JupyterHub.services):
        if isinstance(service, dict) and service.get("command"):
            service["environment"] = {**(service.get("environment") or {}), MARKER: run.marker}


def _items(services: Any) -> list[Any]:
    """Return a list from the configuration, also if it was only appended to."""
    if isinstance(services, LazyConfigValue):
        added = services.to_dict()
        inserted = [service for _, service in added.get("inserts", ())]
        return [*added.get("prepend", ()), *inserted, *added.get("extend", ())]
    return list(services)
