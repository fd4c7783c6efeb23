"""The demo's login: any name, and one password for all, or any password."""

import hmac
import os
from collections.abc import Mapping

from jupyterhub.auth import Authenticator

PASSWORD = "K8S_HUB_DEMO_PASSWORD"  # noqa: S105 - the environment variable's name; empty: any will do


class DemoAuthenticator(Authenticator):  # type: ignore[misc]
    """Reads the password from the environment, because every user of the machine can read command lines."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.allow_all = True

    async def authenticate(self, _handler: object, data: Mapping[str, str]) -> str | None:
        """Return the user's name; None after a wrong password."""
        wanted = os.environ[PASSWORD]
        is_right = not wanted or hmac.compare_digest(wanted.encode(), data.get("password", "").encode())
        return data["username"] if is_right else None
