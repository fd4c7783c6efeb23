"""Where an administrator's own code takes part in a start."""

from typing import Any

from traitlets import Callable, HasTraits


class HookTraits(HasTraits):
    """Functions that the spawner calls."""

    modify_pod_hook: Any = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        Function (spawner, pod) that returns the pod to create; it may be async.

        pod is a kubernetes_asyncio.client.V1Pod. It is called when the home claim exists, right before the
        pod is created.
        """,
    )

    after_pod_created_hook: Any = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        Function (spawner, pod) that is called once the pod exists; it may be async.

        pod is a dict as the Kubernetes API returns it. An exception ends the start and removes the pod.
        """,
    )

    get_pod_url: Any = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        Function (spawner, pod) that returns the URL at which the hub reaches the pod's server.

        pod is a dict with metadata, status, and the containers' ports.
        """,
    )
