"""What there is: the claims that spawners made, the pods that mount any, and the hub's users with all their servers.

All of it or an error: what is missing here would be taken for gone.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from k8s_hub.hub.api import HubApi, UserPage
from k8s_hub.hub.errors import BadReply, HubForbidden, HubUnavailable
from k8s_hub.hub.listing import read_everybody
from k8s_hub.hub.users import User
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Unavailable
from k8s_hub.kube.core.resources import CLAIMS, PODS, Resource
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying

MADE_BY_SPAWNERS = "component=singleuser-storage"
"""The label that every version of KubeSpawner puts on the claims it makes, and this package on its own."""

PAGE_SIZE = 50
"""Users per page: the hub does nothing else while it makes one, and stopped servers cost it more."""

SCOPES = ("list:users", "read:servers", "admin:server_state")
"""Without the last, nobody can say which claim the server of a renamed user has."""

RETRIES = RetryPolicy(deadline=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everything, as it was read; the claims before the pods and the users, so that no user is newer than their claim."""

    claims: Sequence[Raw]
    #: The names of the pods that mount a claim, those that have ended among them.
    mounts: Mapping[Key, tuple[str, ...]]
    users: Sequence[User]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where it is read."""

    kube: KubeApi
    hub: HubApi
    #: None stands for all namespaces.
    namespaces: Sequence[str | None]

    async def read(self) -> Inventory:
        """Read everything; raise `HubError` or `KubeError` where any part of it is not to be had."""
        await self._check_scopes()
        claims = await self._list(CLAIMS, MADE_BY_SPAWNERS)
        return Inventory(claims=claims, mounts=await self.mounts(), users=await self._users())

    async def mounts(self) -> Mapping[Key, tuple[str, ...]]:
        """Return which pods mount which claim now."""
        mounts: dict[Key, tuple[str, ...]] = {}
        for pod in await self._list(PODS):
            for name in _claims_in(pod):
                key = Key(key_of(pod).namespace, name)
                mounts[key] = (*mounts.get(key, ()), key_of(pod).name)
        return mounts

    async def _check_scopes(self) -> None:
        """Raise `HubForbidden` for a token that sees a part only: the rest would look as if it were gone."""
        held = await retrying(RETRIES, self.hub.scopes, on=HubUnavailable)
        missing = [scope for scope in SCOPES if scope not in held]
        if missing:
            raise HubForbidden(f"The API token lacks the scope {', '.join(missing)} for all users")

    async def _users(self) -> tuple[User, ...]:
        async def read_page(offset: int) -> UserPage:
            return await retrying(
                RETRIES,
                lambda: self.hub.page(offset=offset, limit=PAGE_SIZE, with_stopped=True),
                on=HubUnavailable,
            )

        users = await read_everybody(read_page)
        for user in users:
            check_complete(user)
        return users

    async def _list(self, resource: Resource, label_selector: str = "") -> list[Raw]:
        found: list[Raw] = []
        for namespace in self.namespaces:
            found += await retrying(
                RETRIES, self._listing(resource, namespace, label_selector), on=Unavailable
            )
        return found

    def _listing(
        self, resource: Resource, namespace: str | None, label_selector: str
    ) -> Callable[[], Awaitable[list[Raw]]]:
        async def read() -> list[Raw]:
            pages = self.kube.list_pages(resource, namespace, label_selector=label_selector)
            return [item async for page in pages for item in page.items]

        return read


def check_complete(user: User) -> None:
    """Raise `BadReply` where the hub keeps a user's servers or their state to itself."""
    if user.servers is None or any(server.state is None for server in user.servers):
        raise BadReply(f"the hub does not show the servers of the user {user.name!r} and their state")


def _claims_in(pod: Raw) -> set[str]:
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    sources = (volume.get("persistentVolumeClaim") or {} for volume in volumes)
    return {source["claimName"] for source in sources if source.get("claimName")}
