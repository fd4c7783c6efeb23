"""What a user chose for a server: the form, its answer, and the effect on the spawner's options."""

from k8s_hub.spawner.blueprints import Blueprints


class UserChoices(Blueprints):
    """The part of KubeSpawner that knows profiles."""

    async def load_user_options(self) -> None:
        """Apply what the user chose; subclasses override it to support other options."""
