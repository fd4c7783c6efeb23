"""Makes a spawner without a hub, for tests of traits, state and hooks."""

from types import SimpleNamespace
from typing import Any

from traitlets.config import Config

from k8s_hub import KubeSpawner
from k8s_hub.text import nearest

HUB = SimpleNamespace(
    public_host="", api_url="http://hub:8081/hub/api", base_url="/hub/", url="http://hub:8081/hub/"
)


def bare_spawner(
    username: str = "ada",
    servername: str = "",
    *,
    spawner_class: type[KubeSpawner] = KubeSpawner,
    config: Config | None = None,
    **traits: Any,
) -> KubeSpawner:
    """Return a spawner for a user without a database; commits have no effect.

    Raise TypeError for an unknown option: traitlets would only warn.
    """
    known = spawner_class.class_trait_names()
    for name in traits:
        if name not in known:
            similar = nearest(name, known)
            hint = f"; did you mean {similar}?" if similar else ""
            raise TypeError(f"{spawner_class.__name__} has no option {name!r}{hint}")
    user = SimpleNamespace(
        name=username,
        id=7,
        url=f"/user/{username}/",
        escaped_name=username,
        db=SimpleNamespace(commit=lambda: None),
        orm_user=SimpleNamespace(orm_spawners={}, created=None),
    )
    orm_spawner = SimpleNamespace(name=servername, server=None, state={}, user_options={})
    return spawner_class(
        user=user,
        hub=HUB,
        orm_spawner=orm_spawner,
        oauth_client_id="",
        api_token="",
        config=config or Config(),
        **traits,
    )
