"""Options that have lost their meaning, or belong to the hub by now; each says so when it is set."""

from typing import Any

from traitlets import HasTraits, Integer, Unicode, observe
from traitlets.utils.bunch import Bunch

from k8s_hub.spawner.deprecated import tell_once


class ObsoleteTraits(HasTraits):
    """Accepted, so that an old configuration still starts a hub."""

    hub_connect_ip = Unicode(
        allow_none=True,
        config=True,
        help="""
        Deprecated: set JupyterHub.hub_connect_url.

        Host by which users' servers reach the hub. Empty or None: as JupyterHub says.
        """,
    )

    hub_connect_port = Integer(
        config=True,
        help="""
        Deprecated: set JupyterHub.hub_connect_url.

        Port by which users' servers reach the hub. 0: as JupyterHub says.
        """,
    )

    k8s_api_threadpool_workers = Integer(
        0,
        config=True,
        help="""
        Without effect: requests to the Kubernetes API need no threads.
        """,
    )

    @observe("hub_connect_ip", "hub_connect_port")
    def _pass_on_to_the_hub(self, change: Bunch) -> None:
        spawner: Any = self
        if change.new and spawner.hub is not None:
            tell_once(spawner.log, f"KubeSpawner.{change.name} is deprecated: set JupyterHub.hub_connect_url")
            setattr(spawner.hub, change.name.removeprefix("hub_"), change.new)

    @observe("k8s_api_threadpool_workers")
    def _without_effect(self, change: Bunch) -> None:
        spawner: Any = self
        tell_once(
            spawner.log,
            f"KubeSpawner.{change.name} has no effect: requests to the Kubernetes API need no threads",
        )
