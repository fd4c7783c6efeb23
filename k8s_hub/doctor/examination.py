"""The examination: reads cluster and hub, and passes the objects to the checks. It changes nothing."""

import platform
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from k8s_hub._version import __version__
from k8s_hub.culler.beside import is_culler, state_of
from k8s_hub.culler.core.needs import Need, Options
from k8s_hub.doctor.checks import homes, idle_culler, network, pods, rights, storage, versions
from k8s_hub.doctor.checks.findings import Finding, not_served, unknown, wrong
from k8s_hub.hub.api import SERVICE_SCOPES, HubApi, Identity, UserPage
from k8s_hub.hub.connection import HubConnection
from k8s_hub.hub.errors import BadReply, HubError, HubForbidden, HubUnavailable
from k8s_hub.hub.listing import read_everybody
from k8s_hub.hub.users import User
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Forbidden, KubeError, NotFound
from k8s_hub.kube.core.resources import (
    CLAIMS,
    NETWORK_POLICIES,
    PODS,
    REVIEWS,
    REVIEWS_OF_OTHERS,
    STORAGE_CLASSES,
    Resource,
)
from k8s_hub.objects.keys import status_of
from k8s_hub.objects.raw import Raw
from k8s_hub.volumes import inventory

"""To read users, saved states, and each user's creation time: another user may have had the same name before."""

UNAUTHORIZED = 401
"""The status of rejected credentials: the API server answers nothing that is asked with them."""

IN_THE_HUB = ("jupyterhub", "kubernetes-asyncio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The cluster and hub to examine, and the hub's settings."""

    #: An error: there is none.
    kube: KubeApi | KubeError
    #: None without a token.
    hub: HubApi | None
    #: With the token of a culler of this hub that runs beside the command; None: there is none.
    culler: HubApi | None
    #: To the page of that culler; None: it has none.
    culler_page: HubConnection | None
    #: The hub of the only culler that runs beside the command, if it has another URL; empty: none runs here.
    culler_of_another: str
    mistakes_in: idle_culler.MistakesIn
    settings: homes.Settings
    #: A service account as NAME of the namespace or NAMESPACE/NAME; None: the account that runs the command.
    account: str | None
    #: As KubeSpawner.storage_class.
    storage_class: str | None
    port: int
    #: The options of the culler that need scopes; None: not known.
    culler_options: Options | None = None
    #: Whose options these are, in a sentence; empty: nobody's.
    judged_by: str = ""

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield the findings of all checks. A check that gets an error is unknown, and the others go on."""
        server, lost = await self._server()
        for found in versions.check_versions(await self._versions(server)):
            yield found
        found_pods: list[Raw] | KubeError | None = lost
        try:
            if lost is not None:
                raise lost
            for check in (self._of_rights, self._of_storage):
                for found in await check():
                    yield found
            found_pods = await self._listed(PODS)
            for found in await self._of_network(found_pods if isinstance(found_pods, list) else ()):
                yield found
        except KubeError as error:  # one that no request escapes
            found_pods = error
            yield wrong(
                "cluster",
                "API server",
                str(error),
                advice="check the kubeconfig or service account, and that the API server is reachable",
            )
        async for found in self._of_hub(found_pods):
            yield found

    async def _of_rights(self) -> Sequence[Finding]:
        wanted = (*rights.NEEDED, *rights.OPTIONAL)
        try:
            answers = {right: await self._may(right) for right in wanted}
        except NotFound:
            return [not_served(rights.CHECK, rights.ACCOUNT, "access reviews")]
        except KubeError as error:
            return [_without_answer(rights.CHECK, rights.ACCOUNT, error)]
        return list(rights.check_rights(answers))

    async def _of_storage(self) -> Sequence[Finding]:
        subject = storage.subject_of(self.storage_class)
        try:
            classes = await self._if_allowed(STORAGE_CLASSES, None)
        except NotFound:
            return [not_served(storage.CHECK, subject, "storage classes")]
        except KubeError as error:
            return [_without_answer(storage.CHECK, subject, error)]
        has_claims = True if classes is None or storage.default_classes(classes) else await self._has_claims()
        return list(storage.check_storage(classes, self.storage_class, has_claims=has_claims))

    async def _has_claims(self) -> bool:
        """Return whether a spawner has made a claim in the namespace; True if that is not known."""
        try:
            page = await self._cluster.list_page(
                CLAIMS, self.settings.namespace, label_selector=inventory.MADE_BY_SPAWNERS, limit=1
            )
        except KubeError:
            return True
        return bool(page.items)

    async def _of_network(self, found_pods: Sequence[Raw]) -> Sequence[Finding]:
        try:
            policies = await self._if_allowed(NETWORK_POLICIES, self.settings.namespace)
        except NotFound:
            return [not_served(network.CHECK, network.POLICIES, "network policies")]
        except KubeError as error:
            return [_without_answer(network.CHECK, network.POLICIES, error)]
        return list(network.check_network(policies, found_pods, self.port))

    async def _of_hub(self, found_pods: list[Raw] | KubeError | None) -> AsyncIterator[Finding]:
        """Yield the findings that need the hub: the culler's scopes, and the users' pods and claims."""
        if self.hub is None:
            for found in (*rights.check_scopes(None), *_unseen("there is no token for the hub")):
                yield found
            return
        try:
            held = (given := await self.hub.identity()).scopes
            for found in await self._of_culler(given):
                yield found
            missing = [scope for scope in inventory.SCOPES if scope not in held]
            users = None if missing else await _everybody(self.hub)
        except HubError as error:
            yield wrong("hub", "REST API", str(error), advice=_advice_about_hub(error))
            return
        if users is None:
            for found in _unseen(f"the token lacks the scope {', '.join(missing)}"):
                yield found
            return
        if isinstance(users, BadReply):
            for found in _unseen(f"the hub's list of users is not whole: {users}", "run doctor again"):
                yield found
            return
        for found in await self._of_users(users, found_pods):
            yield found

    async def _of_culler(self, given: Identity) -> Sequence[Finding]:
        """Check the culler that runs here, and its scopes; without one, the hub's services and the token that was given."""
        if self.culler is None:
            at = self.culler_of_another
            other = [idle_culler.has_another_url(at)] if at else []
            return [*other, *await self._of_services(given)]
        try:
            culler = await self.culler.identity()
        except HubForbidden as error:
            return [
                wrong(
                    rights.SCOPES_CHECK,
                    rights.SUBJECT,
                    f"the culler that runs here: {error}",
                    advice="restart the hub and its services: the culler has a token that the hub does not know",
                )
            ]
        except HubError as error:
            what = f"the hub did not tell the scopes of the culler that runs here: {error}"
            return [unknown(rights.SCOPES_CHECK, rights.SUBJECT, what, advice=_advice_about_hub(error))]
        whose = f"{culler.owner}, the culler that runs here"
        of_token = rights.check_scopes(culler.scopes, whose, self._wanted(culler), self.judged_by)
        return [*await self._of_page(culler.owner), *of_token]

    async def _of_page(self, owner: str) -> Sequence[Finding]:
        """Ask the page of the culler that runs here how the culler is."""
        if self.culler_page is None:
            return ()
        try:
            reply = await self.culler_page.request("GET", "/health", scope="none")
        except HubError:
            return [idle_culler.says_nothing(owner)]
        return [idle_culler.check_health(owner, reply.body if isinstance(reply.body, Mapping) else {})]

    async def _of_services(self, given: Identity) -> Sequence[Finding]:
        """Ask the hub which cullers it has started, because none runs here; the scopes of another service's token do not count."""
        if self.hub is None or not given.scopes.issuperset(SERVICE_SCOPES):
            return [idle_culler.not_seen(), *self._of_token(given)]
        try:
            services = await self.hub.services()
        except HubError as error:
            what = f"the hub did not tell its services: {error}"
            process = unknown(idle_culler.CHECK, idle_culler.PROCESS, what, advice=_advice_about_hub(error))
            return [process, *self._of_token(given)]
        cullers = [each for each in services if is_culler(each.command)]
        is_of_culler = given.owner in {f"service {each.name}" for each in cullers}
        found = idle_culler.check_cullers(cullers, state_of, self.mistakes_in)
        is_of_another = bool(cullers) and not is_of_culler
        return [*found, *([] if is_of_another else self._of_token(given, is_of_culler=is_of_culler))]

    def _of_token(self, given: Identity, *, is_of_culler: bool = False) -> Iterator[Finding]:
        """Check the scopes of the token that was given, which may be another one than the culler's."""
        return rights.check_scopes(
            given.scopes,
            f"JUPYTERHUB_API_TOKEN, {given.owner}; no culler of this hub runs here",
            self._wanted(given),
            self.judged_by,
            # --culler-flags say that it is to be judged as the culler's.
            is_of_culler=is_of_culler or self.culler_options is not None,
        )

    def _wanted(self, held_by: Identity) -> Sequence[Need] | None:
        return None if self.culler_options is None else tuple(self.culler_options.needs(held_by.scopes))

    async def _of_users(
        self, users: Sequence[User], found_pods: list[Raw] | KubeError | None
    ) -> list[Finding]:
        # Read after the users: each claim that a saved state names exists by then.
        claims = found_pods if isinstance(found_pods, KubeError) else await self._claims()
        if found_pods is None or claims is None:
            return list(
                _unseen("this account may not list pods or claims", "see the findings of the check rights")
            )
        if isinstance(found_pods, KubeError) or isinstance(claims, KubeError):
            error = found_pods if isinstance(found_pods, KubeError) else claims
            return list(_unseen(f"the API server did not list pods and claims: {error}", "run doctor again"))
        servers = list(homes.expected_pods(users, self.settings))
        return [
            *pods.check_pods(found_pods, servers, users),
            *homes.unnamed_pods(users, self.settings),
            *homes.check_claims(users, claims, self.settings),
        ]

    @property
    def _cluster(self) -> KubeApi:
        if isinstance(self.kube, KubeError):
            raise self.kube
        return self.kube

    async def _server(self) -> tuple[Raw, KubeError | None]:
        """Return what the API server says of its version, and the error if no request reaches it."""
        if isinstance(self.kube, KubeError):
            return {}, self.kube
        try:
            return await self.kube.version(), None
        except KubeError as error:
            return {}, error if _is_of_all(error) else None

    async def _versions(self, server: Raw) -> Mapping[str, str | None]:
        return {
            "k8s_hub": __version__,
            "Python": platform.python_version(),
            **{name: _version_of(name) for name in IN_THE_HUB},
            **await self._version_of_hub(),
            "Kubernetes": str(server.get("gitVersion") or "").removeprefix("v") or None,
        }

    async def _version_of_hub(self) -> Mapping[str, str]:
        """Return the version of the running hub, which may differ from the installed one; empty if the hub does not say."""
        if self.hub is None:
            return {}
        try:
            return {f"jupyterhub {versions.RUNNING}": await self.hub.version()}
        except HubError:  # `_of_hub` reports it
            return {}

    async def _may(self, right: rights.Right) -> bool | None:
        """Ask the API server whether the account has the right; None if this account may not ask."""
        namespace = self.settings.namespace
        asked: dict[str, Any] = {
            "resourceAttributes": {"verb": right.verb, "resource": right.resource, "group": ""}
        }
        if not right.is_of_cluster:
            asked["resourceAttributes"]["namespace"] = namespace
        kind = REVIEWS
        if self.account is not None:
            kind = REVIEWS_OF_OTHERS
            given, _, name = self.account.rpartition("/")
            home = given or namespace
            asked["user"] = f"system:serviceaccount:{home}:{name}"
            of_all = ("system:serviceaccounts", f"system:serviceaccounts:{home}", "system:authenticated")
            asked["groups"] = list(of_all)
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "spec": asked}
        try:
            answer = await self._cluster.create(kind, None, body)
        except Forbidden as error:
            if error.code == UNAUTHORIZED:
                raise
            return None
        return bool(status_of(answer).get("allowed"))

    async def _claims(self) -> list[Raw] | KubeError | None:
        try:
            return await self._listed(CLAIMS)
        except KubeError as error:
            return error

    async def _listed(self, resource: Resource) -> list[Raw] | KubeError | None:
        """List objects of the namespace; None if the account may not. Raise only an error that no request escapes."""
        try:
            return await self._if_allowed(resource, self.settings.namespace)
        except KubeError as error:
            if _is_of_all(error):
                raise
            return error

    async def _if_allowed(self, resource: Resource, namespace: str | None) -> list[Raw] | None:
        """List objects; None if the account may not. Raise NotFound if the API server does not serve them."""
        pages = self._cluster.list_pages(resource, namespace)
        try:
            return [item async for page in pages for item in page.items]
        except Forbidden as error:
            if error.code == UNAUTHORIZED:
                raise
            return None


TOKEN_FOR_ALL = f"set JUPYTERHUB_API_TOKEN to a token with the scopes {', '.join(inventory.SCOPES)}"


def _unseen(why: str, advice: str = TOKEN_FOR_ALL) -> Iterator[Finding]:
    for check, subject in ((pods.CHECK, "servers' pods"), (homes.CHECK, "claims")):
        yield unknown(check, subject, f"not checked because {why}", advice=advice)


async def _everybody(hub: HubApi) -> tuple[User, ...] | BadReply:
    """Return all users, or the error if the list was not whole twice: users were deleted between two pages."""

    async def read_page(offset: int) -> UserPage:
        return await hub.page(offset=offset, limit=inventory.PAGE_SIZE, with_stopped=True)

    try:
        return await read_everybody(read_page)
    except BadReply:
        try:
            return await read_everybody(read_page)
        except BadReply as error:
            return error


def _is_of_all(error: KubeError) -> bool:
    """Return whether no other request would be answered: the credentials are rejected, or nobody answers."""
    return error.code == UNAUTHORIZED or (error.code == 0 and error.reason != "Odd")


def _without_answer(check: str, subject: str, error: KubeError) -> Finding:
    """Return the finding of a check that the API server gave an error; raise one that no request escapes."""
    if _is_of_all(error):
        raise error
    return unknown(
        check, subject, f"not checked because the API server failed: {error}", advice="run doctor again"
    )


def _advice_about_hub(error: HubError) -> str:
    if error.code == 429 or error.code >= 500:
        return "run doctor again; if the hub still fails, its log says why"
    if isinstance(error, HubUnavailable):
        return "check that the hub runs, and that --url leads to it"
    return "check that --url and the token belong to the hub"


def _version_of(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


async def findings_of(examination: Examination) -> list[Finding]:
    """Return all findings."""
    return [found async for found in examination.findings()]
