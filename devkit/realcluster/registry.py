"""A registry without images on the loopback interface. It answers with the HTTP status in the image's name.

Container runtimes use no TLS for a registry on a loopback address.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REFUSALS = {
    401: ("UNAUTHORIZED", "authentication required"),
    403: ("DENIED", "requested access to the resource is denied"),
    404: ("MANIFEST_UNKNOWN", "manifest unknown"),
}


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry."""

    #: Host and port, the prefix of image names.
    address: str
    #: The requests in order: method and path.
    asked: list[str] = field(default_factory=list)

    def image(self, status: int) -> str:
        """Return an image name whose pull fails with this HTTP status."""
        return f"{self.address}/answers/{status}:1"


@contextlib.contextmanager
def registry() -> Iterator[Registry]:
    """Run a registry for the context."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        address, port = server.server_address[:2]
        server.registry = Registry(f"{address!s}:{port}")  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="registry")
        thread.start()
        try:
            yield server.registry  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


class _Answer(BaseHTTPRequestHandler):
    """Answers like public registries: every client gets a token without rights."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Log nothing: requests are kept in the registry."""

    def _answer(self) -> None:
        registry: Registry = self.server.registry  # type: ignore[attr-defined]
        registry.asked.append(f"{self.command} {self.path}")
        if self.path.startswith("/token"):
            self._send(200, {"token": "of-a-stranger"})
            return
        status = next((status for status in REFUSALS if f"/answers/{status}/" in self.path), 404)
        code, message = REFUSALS[status]
        self._send(status, {"errors": [{"code": code, "message": message}]})

    def _send(self, status: int, answer: object) -> None:
        content = json.dumps(answer).encode()
        self.send_response(HTTPStatus(status))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 401:
            realm = f"http://{self.headers['Host']}/token"
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="registry"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
