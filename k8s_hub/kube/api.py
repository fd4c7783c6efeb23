"""The calls this package makes, one attempt each: retries are the caller's policy, under its own name."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from k8s_hub.diagnosis.refusals import Refusal, is_admission_not_ready, lacks_right
from k8s_hub.kube.connection import Connection
from k8s_hub.kube.core.errors import Conflict, Forbidden, KubeError, Unavailable
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.core.watch import ListPage, WatchEvent, decode, decode_page
from k8s_hub.kube.metrics import REQUESTS
from k8s_hub.objects.keys import Key, oddity_of
from k8s_hub.objects.raw import Raw

PAGE_SIZE = 100
"""Objects per page of a list: realistic pods are 7.5 kB, so a page is decoded in about 10 ms."""

LONG_TIMEOUT = 10.0
"""Seconds that a page of a list or the opening of a watch may take at least.

Nobody waits for them on a web page, and a limit that a slow API server never meets would leave a view stale for ever.
"""

SILENCE = 75.0
"""Seconds after which a silent watch is taken for dead: a bookmark comes each 60 s, and 15 s for a slow server."""


FORBIDDEN_GRACE = 30.0
"""Seconds for which a Forbidden may be a restarted API server's; a right that was taken away is then believed gone."""


class KubeApi:
    """Typed by verb, raw in JSON; raises `KubeError`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transient_forbidden = _TransientForbidden()

    @property
    def host(self) -> str:
        """The API server's URL, for messages."""
        return self._connection.host

    async def version(self) -> Raw:
        """Return what the API server says of itself: ``gitVersion`` and the like."""
        return await self._connection.request("GET", "/version")

    async def get(self, resource: Resource, key: Key) -> Raw:
        """Return the object as it is now: the answer is never older than the call."""
        with self._asked("get", resource, key.namespace):
            found = await self._connection.request("GET", resource.path(key.namespace, key.name))
            return _stored(resource, found)

    async def create(self, resource: Resource, namespace: str | None, body: Raw) -> Raw:
        """Create the object and return it as stored.

        A `Conflict` means that the name is taken. An `Unavailable` leaves open whether the object exists; try
        again and tell by an attempt id of your own whose it is that a `Conflict` then meets.
        """
        with self._asked("create", resource, namespace):
            try:
                made = await self._connection.request("POST", resource.path(namespace), body=body)
                return _stored(resource, made)
            except Conflict as error:
                if error.already_exists:
                    raise
                # Admission lost a race for another object, such as the count of a ResourceQuota
                # (kubernetes/kubernetes#67761).
                raise Unavailable.of(error) from error

    async def patch(self, resource: Resource, key: Key, change: Raw) -> Raw:
        """Merge ``change`` into the object and return it as stored.

        With a ``metadata.resourceVersion`` only into the object as it was then: else `Conflict`.
        """
        with self._asked("patch", resource, key.namespace):
            changed = await self._connection.request(
                "PATCH",
                resource.path(key.namespace, key.name),
                body=change,
                content_type="application/merge-patch+json",
            )
            return _stored(resource, changed)

    async def delete(
        self,
        resource: Resource,
        key: Key,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> Raw:
        """Ask for the deletion; return the object if it takes time, else a Status.

        With ``uid``, only that object: `Conflict` if another has its name, so that a repetition is harmless.
        ``grace_seconds`` None means the object's own.
        """
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        with self._asked("delete", resource, key.namespace):
            return await self._connection.request("DELETE", resource.path(key.namespace, key.name), body=body)

    async def list_page(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = PAGE_SIZE,
        continue_token: str = "",
    ) -> ListPage:
        """Return one page of a list, the first one if ``continue_token`` is empty.

        Never from the API server's cache: that ignores the limit. `Gone` means that the token is too old. An object that
        cannot be read is in ``ListPage.odd``.
        """
        params = _given(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=limit,
            **{"continue": continue_token},
        )
        with self._asked("list", resource, namespace):
            return await self._connection.read(
                resource.path(namespace),
                params=params,
                decode=partial(decode_page, is_first=not continue_token),
                timeout=max(LONG_TIMEOUT, self._connection.request_timeout),
            )

    async def list_pages(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = PAGE_SIZE,
    ) -> AsyncIterator[ListPage]:
        """Yield the pages of one list, all of them as of the first one's resourceVersion.

        For those who act on what is missing: an object that cannot be read is `Unavailable`.
        """
        token = ""
        while True:
            page = await self.list_page(
                resource,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit,
                continue_token=token,
            )
            if page.odd:
                odd = page.odd[0]
                raise Unavailable(f"{resource} cannot be listed because of {odd}: {odd.why}", reason="Odd")
            yield page
            token = page.continue_token
            if not token:
                return

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int | None = None,
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        """Open a watch of what happens after ``resource_version``, with bookmarks.

        Entering it raises what the server says to that; reading it raises `Unavailable` when the connection
        breaks or is silent for longer than bookmarks are apart, and ends when the server ends it
        (after ``timeout_seconds``; None means the server's own half to whole hour).
        """
        params = _given(
            watch="1",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=timeout_seconds,
        )
        stream = self._connection.stream(
            resource.path(namespace),
            params=params,
            opening=max(LONG_TIMEOUT, self._connection.request_timeout),
            silence=SILENCE,
        )
        async with AsyncExitStack() as stack:
            with self._asked("watch", resource, namespace):
                lines = await stack.enter_async_context(stream)
            yield await stack.enter_async_context(aclosing(_decoded(lines)))

    @contextmanager
    def _asked(self, verb: str, resource: Resource, namespace: str | None) -> Iterator[None]:
        """Count the answer to one request, and do not believe at once that what was allowed before is forbidden."""
        try:
            yield
        except KubeError as error:
            REQUESTS.labels(verb, resource.plural, str(error.code)).inc()
            meant = self._transient_forbidden.meant_by(error, verb, resource, namespace)
            if meant is error:
                raise
            raise meant from error
        else:
            REQUESTS.labels(verb, resource.plural, "200").inc()
            self._transient_forbidden.note_success(verb, resource, namespace)


class _TransientForbidden:
    """What one account was allowed before: a Forbidden for that is not believed at once.

    An API server that has just started answers before it has read the roles and the service accounts, and refuses for
    some seconds what it allows afterwards. Nobody's start has to fail for that.
    """

    def __init__(self) -> None:
        #: When the refusals began that are under way, in the loop's time; None while there are none.
        self._refused_since: dict[tuple[str, Resource, str | None], float | None] = {}

    def note_success(self, verb: str, resource: Resource, namespace: str | None) -> None:
        """Remember what is allowed."""
        self._refused_since[verb, resource, namespace] = None

    def meant_by(self, error: KubeError, verb: str, resource: Resource, namespace: str | None) -> KubeError:
        """Return what the error means: `Unavailable` for a Forbidden that may pass by itself."""
        if not isinstance(error, Forbidden):
            return error
        status = error.status or {"code": error.code, "message": error.message}
        refusal = Refusal.of(status, resource.kind, name="")
        if is_admission_not_ready(refusal) or self._may_pass(refusal, (verb, resource, namespace)):
            return Unavailable.of(error)
        return error

    def _may_pass(self, refusal: Refusal, asked: tuple[str, Resource, str | None]) -> bool:
        if asked not in self._refused_since or not lacks_right(refusal):
            return False
        now = asyncio.get_running_loop().time()
        since = self._refused_since[asked]
        if since is None:
            since = self._refused_since[asked] = now
        return now - since < FORBIDDEN_GRACE


def _stored(resource: Resource, obj: Raw) -> Raw:
    """Return a reply that is a stored object; `Unavailable` for one that is none: nothing is known of the object."""
    oddity = oddity_of(obj) if resource.is_stored else ""
    if oddity:
        raise Unavailable(f"the API server's answer is no {resource.kind}: {oddity}", reason="Odd")
    return obj


async def _decoded(lines: AsyncIterator[bytes]) -> AsyncGenerator[WatchEvent, None]:
    async for line in lines:
        yield decode(line)


def _given(**params: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value not in {"", None}}
