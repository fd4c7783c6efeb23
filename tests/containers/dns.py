"""What a cluster's DNS does, for processes on this machine: names of Services lead to their pods.

The real cluster has neither a DNS nor somebody who routes Services' addresses. So the names stand in a hosts file, which the
process finds in place of the machine's own; everything above that is as it always is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from devkit.demo.process import Command
from devkit.realcluster.api import Api

ZONE = "svc.cluster.local"
MACHINE = "127.0.0.1 localhost\n"
LOOK_EVERY = 0.1
_WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


def with_hosts(command: Command, hosts: Path) -> Command:
    """Return the command in a mount namespace of its own, with these hosts."""
    wrapper = ("unshare", "--mount", "sh", "-c", _WITH_HOSTS, str(hosts))
    return replace(command, arguments=(*wrapper, *command.arguments))


@asynccontextmanager
async def served_names(admin: Api, namespace: str, hosts: Path) -> AsyncIterator[None]:
    """Within it the file has the names of the namespace's Services."""
    hosts.write_text(MACHINE)  # noqa: ASYNC240 - a few lines
    task = asyncio.create_task(_serve(admin, namespace, hosts))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _serve(admin: Api, namespace: str, hosts: Path) -> None:
    while True:
        lines = await asyncio.to_thread(_names, admin, namespace)
        # In place: another file would not be where it is mounted.
        hosts.write_text("\n".join([MACHINE, *lines, ""]))  # noqa: ASYNC240 - a few lines
        await asyncio.sleep(LOOK_EVERY)


def _names(admin: Api, namespace: str) -> list[str]:
    slices = admin.get(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")["items"]
    return [
        f"{address} {one['metadata']['labels']['kubernetes.io/service-name']}.{namespace}.{ZONE}"
        for one in slices
        for endpoint in one["endpoints"] or ()
        for address in endpoint["addresses"]
    ]
