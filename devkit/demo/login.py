"""The demo's login: any name, and one password for all, or any password."""

import os

from jupyterhub.auth import DummyAuthenticator

PASSWORD = "K8S_HUB_DEMO_PASSWORD"  # noqa: S105 - the environment variable's name; empty: any will do


class DemoAuthenticator(DummyAuthenticator):  # type: ignore[misc]
    """Reads the password from the environment, because every user of the machine can read command lines."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.allow_all = True
        self.password = os.environ[PASSWORD]
