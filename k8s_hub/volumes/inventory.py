"""Reads the claims of spawners, the pods that mount them, and the hub's users with all their servers.

It reads everything or raises: `plan` takes whatever is missing for gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from k8s_hub.claims.placement import mounted_claims
from k8s_hub.hub.api import HubApi, UserPage
from k8s_hub.hub.errors import BadReply, HubForbidden, HubNotFound, HubUnavailable
from k8s_hub.hub.listing import read_everybody
from k8s_hub.hub.users import User
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Unavailable
from k8s_hub.kube.core.resources import CLAIMS, PODS, Resource
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying

MADE_BY_SPAWNERS = "component=singleuser-storage"
"""The label of claims, set by every version of KubeSpawner and by this package."""

PAGE_SIZE = 50
"""Users per page: the hub blocks while it builds one, longer with stopped servers."""

SCOPES = ("list:users", "read:users", "read:servers", "admin:server_state")
"""Two are for renamed users: a claim is found by when its user was created, or by the saved state that names it."""

RETRIES = RetryPolicy(deadline=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everything that was read, the claims first: a claim in it is never newer than the list of users."""

    claims: Sequence[Raw]
    #: The names of the pods that mount a claim, ended pods included.
    mounts: Mapping[Key, tuple[str, ...]]
    users: Sequence[User]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The cluster, the hub and the namespaces to read."""

    kube: KubeApi
    hub: HubApi
    #: None means all namespaces.
    namespaces: Sequence[str | None]

    async def read(self) -> Inventory:
        """Read everything; raise `HubError` or `KubeError` if any part cannot be read."""
        await self.check_scopes()
        claims = await self.objects(CLAIMS, MADE_BY_SPAWNERS)
        return Inventory(claims=claims, mounts=await self.mounts(), users=await self.everybody())

    async def mounts(self) -> Mapping[Key, tuple[str, ...]]:
        """Return the names of the pods that mount each claim now."""
        mounts: dict[Key, tuple[str, ...]] = {}
        for pod in await self.objects(PODS):
            for name in mounted_claims(pod):
                key = Key(key_of(pod).namespace, name)
                mounts[key] = (*mounts.get(key, ()), key_of(pod).name)
        return mounts

    async def check_scopes(self) -> None:
        """Raise `HubForbidden` if the token does not see everything: the rest would look deleted."""
        held = await retrying(RETRIES, self.hub.scopes, on=HubUnavailable)
        missing = [scope for scope in SCOPES if scope not in held]
        if missing:
            raise HubForbidden(f"The API token lacks the scope {', '.join(missing)} for all users")

    async def everybody(self) -> tuple[User, ...]:
        """Return all users of the hub with all their servers and states."""

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

    async def user(self, name: str) -> User | None:
        """Return one user with all servers and their states; None if the hub has no such user."""
        try:
            user = await retrying(RETRIES, lambda: self.hub.user(name, with_stopped=True), on=HubUnavailable)
        except HubNotFound:
            return None
        check_complete(user)
        return user

    async def objects(self, resource: Resource, label_selector: str = "") -> list[Raw]:
        """Return all objects of the namespaces with this label."""

        async def read(namespace: str | None) -> list[Raw]:
            pages = self.kube.list_pages(resource, namespace, label_selector=label_selector)
            return [item async for page in pages for item in page.items]

        found: list[Raw] = []
        for namespace in self.namespaces:
            found += await retrying(RETRIES, partial(read, namespace), on=Unavailable)
        return found


def check_complete(user: User) -> None:
    """Raise `BadReply` if the hub did not return the user's servers and their states."""
    if user.servers is None or any(server.state is None for server in user.servers):
        raise BadReply(f"the hub did not return the servers of the user {user.name!r} and their states")
