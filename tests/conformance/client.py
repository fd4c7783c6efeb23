"""A plain HTTP client for the suite: it adds a token and JSON, and hides nothing."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

Raw = Mapping[str, Any]
PATIENCE_SECONDS = 30  # more than any answer here takes; a test that waits longer has failed


class WatchEndedError(Exception):
    """The server ended the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    code: int
    body: Raw


@dataclass(frozen=True, slots=True)
class Watch:
    """An open watch."""

    response: aiohttp.ClientResponse

    async def next(self) -> Raw:
        """The next event; raises WatchEndedError at the end of the stream."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await self.response.content.readline()
        if not line:
            raise WatchEndedError
        event: Raw = json.loads(line)
        return event

    async def until(self, condition: Callable[[Raw], bool]) -> list[Raw]:
        """All events up to the first for which the condition holds."""
        seen = [await self.next()]
        while not condition(seen[-1]):
            seen.append(await self.next())
        return seen

    async def rest(self) -> list[Raw]:
        """All events until the server ends the stream."""
        seen = []
        while True:
            try:
                seen.append(await self.next())
            except WatchEndedError:
                return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One API server, one token."""

    session: aiohttp.ClientSession
    url: str
    token: str
    tls: ssl.SSLContext | bool = True

    async def call(self, method: str, path: str, body: Any = None, **parameters: str) -> Answer:
        """One request; bytes are sent as they are, anything else as JSON."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._open(method, path, body, parameters) as response:
            return Answer(code=response.status, body=await _content(response))

    async def get(self, path: str, **parameters: str) -> Raw:
        return _expect(await self.call("GET", path, **parameters), 200)

    async def create(self, path: str, body: Raw) -> Raw:
        return _expect(await self.call("POST", path, body), 201)

    async def delete(self, path: str, **options: Any) -> Raw:
        """Delete, with DeleteOptions as the body if there are any."""
        answer = await self.call("DELETE", path, options or None)
        return _expect(answer, 202 if answer.code == 202 else 200)

    @asynccontextmanager
    async def watch(self, path: str, **parameters: str) -> AsyncIterator[Watch]:
        async with self._open("GET", path, None, {"watch": "true"} | parameters) as response:
            assert response.status == 200, await response.text()
            try:
                yield Watch(response)
            finally:
                _hang_up(response)

    async def events(self, path: str, **parameters: str) -> list[Raw]:
        """All events of a watch that the server ends by its own time-out."""
        async with self.watch(path, **parameters) as watch:
            return await watch.rest()

    async def gone(self, path: str) -> None:
        """Wait until an object is not there any more."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self.call("GET", path)).code != 404:  # noqa: ASYNC110 - polling tests the GET
                await asyncio.sleep(0.05)

    async def eventually(self, path: str, condition: Callable[[Raw], bool], **parameters: str) -> Raw:
        """Wait until what a GET answers satisfies the condition."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition(body := await self.get(path, **parameters)):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        return body

    def _open(
        self, method: str, path: str, body: Any, parameters: Mapping[str, str]
    ) -> "aiohttp.client._RequestContextManager":
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return self.session.request(
            method, self.url + path, params=parameters, data=data, headers=headers, ssl=self.tls
        )


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """End the stream at once: TLS would wait for the server's goodbye for longer than the test's loop lives."""
    if response.connection and response.connection.transport:
        response.connection.transport.abort()


async def _content(response: aiohttp.ClientResponse) -> Raw:
    text = await response.text()
    try:
        body: Raw = json.loads(text)
    except ValueError:
        return {"text": text}
    return body


def _expect(answer: Answer, code: int) -> Raw:
    assert answer.code == code, (
        f"expected {code}, got {answer.code}: {answer.body.get('message', answer.body)}"
    )
    return answer.body
