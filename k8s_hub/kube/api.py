"""The calls to the Kubernetes API, one attempt each. Callers retry by their own policy."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from k8s_hub.diagnosis.refusals import Refusal, is_admission_not_ready, lacks_right
from k8s_hub.kube.connection import Connection
from k8s_hub.kube.core.errors import ConfigurationError, Conflict, Forbidden, KubeError, Unavailable
from k8s_hub.kube.core.resources import Resource
from k8s_hub.kube.core.watch import ListPage, WatchEvent, decode, decode_page
from k8s_hub.kube.metrics import REQUESTS
from k8s_hub.objects.keys import Key, oddity_of
from k8s_hub.objects.raw import Raw

PAGE_SIZE = 100
"""Objects per page of a list. A typical pod has 7.5 kB, so a page takes about 10 ms to decode."""

LONG_TIMEOUT = 10.0
"""The least time limit, in seconds, for a page of a list and for opening a watch.

No user waits for them, and with a limit that a slow API server always exceeds, a view would stay stale forever.
"""

SILENCE = 75.0
"""Seconds after which a silent watch counts as broken: bookmarks come every 60 s, plus 15 s for a slow server."""


FORBIDDEN_GRACE = 30.0
"""Seconds during which a Forbidden may come from a restarting API server. After that, the right counts as revoked."""

UNAUTHORIZED_GRACE = 120.0
"""Seconds during which an API server may refuse credentials that it accepted before: a token is renewed, or a clock is off.

Each request reads the credentials anew. After that, they count as invalid.
"""


class KubeApi:
    """One method per verb, raw JSON in and out. Every failure is a `KubeError`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transient_forbidden = _TransientForbidden()

    @property
    def host(self) -> str:
        """The API server's URL, for messages."""
        return self._connection.host

    async def version(self) -> Raw:
        """Return the API server's version: ``gitVersion`` and so on."""
        return await self._connection.request("GET", "/version")

    async def get(self, resource: Resource, key: Key) -> Raw:
        """Return the current object, never a cached one."""
        with self._asked("get", resource, key.namespace):
            found = await self._connection.request("GET", resource.path(key.namespace, key.name))
            return _stored(resource, found)

    async def create(self, resource: Resource, namespace: str | None, body: Raw) -> Raw:
        """Create the object and return it as stored.

        A `Conflict` means that the name is taken. After an `Unavailable`, the object may or may not exist: retry, and if a
        `Conflict` follows, compare the attempt id to see whether the object is your own.
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

        With a ``metadata.resourceVersion`` in ``change``, any later version is a `Conflict`.
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
        """Request the deletion; return the terminating object, or a Status if it is gone at once.

        With ``uid``, delete only that object, so that a retry is harmless: another object of the name is a `Conflict`.
        ``grace_seconds`` None means the object's own grace period.
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

        Never from the API server's cache, which ignores the limit. `RelistRequired` means that the token has expired.
        Unreadable objects are in ``ListPage.malformed``.
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
        """Yield the pages of one list, all at the resourceVersion of the first.

        For callers who act on an object's absence: an unreadable object raises `Unavailable`.
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
            if page.malformed:
                malformed = page.malformed[0]
                raise Unavailable(
                    f"{resource} cannot be listed because of {malformed}: {malformed.why}", reason="Odd"
                )
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
        """Open a watch from ``resource_version`` on, with bookmarks.

        Entering raises the server's error. Reading raises `Unavailable` if the connection breaks or is silent for longer
        than `SILENCE`, and ends when the server closes the watch: after ``timeout_seconds``, or by default after 30 to 60
        minutes.
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
        """Count one request, and raise `Unavailable` instead of a Forbidden that may be transient."""
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
    """Requests that were allowed before: a Forbidden for one of them may be transient.

    An API server that has just started answers before it has read roles and service accounts. For some seconds it refuses
    what it allows later. While a token is replaced, it refuses everything. No start must fail because of that.
    """

    def __init__(self) -> None:
        #: By request: since when it is refused, in loop time; None while it is allowed.
        self._refused_since: dict[tuple[str, Resource, str | None], float | None] = {}
        self._was_authenticated = False  # the API server has accepted the credentials once
        self._unauthenticated_since: float | None = None  # loop time; None while they are accepted

    def note_success(self, verb: str, resource: Resource, namespace: str | None) -> None:
        """Remember that the request is allowed."""
        self._refused_since[verb, resource, namespace] = None
        self._note_authenticated()

    def meant_by(self, error: KubeError, verb: str, resource: Resource, namespace: str | None) -> KubeError:
        """Return the error, or `Unavailable` for a Forbidden that may be transient."""
        if error.code == 401:
            return Unavailable.of(error) if self._may_be_accepted_again() else error
        if not isinstance(error, Unavailable | ConfigurationError):  # neither is an answer
            self._note_authenticated()
        if not isinstance(error, Forbidden):
            return error
        status = error.status or {"code": error.code, "message": error.message}
        refusal = Refusal.of(status, resource.kind, name="")
        if is_admission_not_ready(refusal) or self._may_pass(refusal, (verb, resource, namespace)):
            return Unavailable.of(error)
        return error

    def _note_authenticated(self) -> None:
        self._was_authenticated, self._unauthenticated_since = True, None

    def _may_be_accepted_again(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._unauthenticated_since is None:
            self._unauthenticated_since = now
        return self._was_authenticated and now - self._unauthenticated_since < UNAUTHORIZED_GRACE

    def _may_pass(self, refusal: Refusal, asked: tuple[str, Resource, str | None]) -> bool:
        if asked not in self._refused_since or not lacks_right(refusal):
            return False
        now = asyncio.get_running_loop().time()
        since = self._refused_since[asked]
        if since is None:
            since = self._refused_since[asked] = now
        return now - since < FORBIDDEN_GRACE


def _stored(resource: Resource, obj: Raw) -> Raw:
    """Return the object; raise `Unavailable` if the reply is not an object that the API server stores."""
    oddity = oddity_of(obj) if resource.is_stored else ""
    if oddity:
        raise Unavailable(f"the API server's answer is not a {resource.kind}: {oddity}", reason="Odd")
    return obj


async def _decoded(lines: AsyncIterator[bytes]) -> AsyncGenerator[WatchEvent, None]:
    async for line in lines:
        yield decode(line)


def _given(**params: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value not in {"", None}}
