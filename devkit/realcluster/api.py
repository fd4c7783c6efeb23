"""A Kubernetes client for the cluster's own requests: synchronous, without retries."""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")

POLL_SECONDS = 0.05


class RefusedError(Exception):
    """The server answered with an error; `status` is its body."""

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {status.get('message', status)}")
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """An API server, and a token for it; the default token is anonymous."""

    url: str
    ca_certificate: Path
    token: str = ""
    timeout_seconds: float = 30

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        return self._request("GET", f"{path}?{urlencode(parameters)}" if parameters else path)

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._request("POST", path, body)

    def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._request("PUT", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._request("PATCH", path, body, content_type="application/merge-patch+json")

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._request("DELETE", path, body)

    def is_ok(self, path: str) -> bool:
        """Return whether a path answers 200 in time."""
        try:
            self._send("GET", path, None, "application/json")
        except (RefusedError, OSError):
            return False
        return True

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._send(method, path, body, content_type))
        return answer

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, content_type: str) -> bytes:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": content_type, "Accept": "application/json"}
            | ({"Authorization": f"Bearer {self.token}"} if self.token else {}),
        )
        context = ssl.create_default_context(cafile=self.ca_certificate)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds, context=context) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(error.code, _status(error.read())) from None


def _status(content: bytes) -> dict[str, Any]:
    try:
        status: dict[str, Any] = json.loads(content)
    except ValueError:
        return {"message": content.decode(errors="replace")}
    return status


def wait_for(question: Callable[[], T | None], what: str, *, seconds: float = 30) -> T:
    """Return the first true answer; raise TimeoutError with what it waited for."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(POLL_SECONDS)
