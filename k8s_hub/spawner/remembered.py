"""What a spawner remembers of its server between runs, for the saved state: names that differ from its templates."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from k8s_hub.claims.home import HomeName
from k8s_hub.claims.saved_state import COMPATIBLE_VERSION, AppliedOptions, LastEnd, SavedState


class Remembered:
    """The parts of a server's saved state that are no attributes of KubeSpawner; the spawner owns it."""

    def __init__(self, home: HomeName) -> None:
        self._home = home
        self._saved = SavedState(version=COMPATIBLE_VERSION)

    @property
    def home(self) -> HomeName:
        """The name of the home claim, with its sources."""
        return self._home

    @property
    def namespace(self) -> str | None:
        """The namespace that this server has used last, not one that refused it."""
        return self._saved.namespace

    @property
    def extra_claims(self) -> Mapping[str, str]:
        """The names of the extra claims that the server has used, also if they do not count any more."""
        return self._saved.extra_claims

    @property
    def last_end(self) -> LastEnd | None:
        """How the last server ended if the hub did not stop it; None once a start has succeeded."""
        return self._saved.last_end

    @last_end.setter
    def last_end(self, end: LastEnd | None) -> None:
        self._saved = replace(self._saved, last_end=end)

    @property
    def last_start(self) -> str | None:
        """The id of the last start that may have created a pod; None before the first."""
        return self._saved.last_start

    @last_start.setter
    def last_start(self, attempt_id: str | None) -> None:
        earlier = [start for start in (self.last_start,) if start not in {None, attempt_id}]
        self._saved = replace(self._saved.with_earlier(earlier), last_start=attempt_id)

    @property
    def starts(self) -> tuple[str, ...]:
        """The ids of the last start and of some before it, latest first."""
        return self._saved.starts

    def add_earlier_starts(self, starts: Iterable[str]) -> None:
        """Remember the starts of a removed server of the same user, too."""
        self._saved = self._saved.with_earlier(starts)

    def load(self, saved: SavedState, *, with_home: bool) -> None:
        """Take over the state that an earlier run saved; the name of its home only ``with_home``."""
        self._saved = replace(
            saved,
            version=saved.version or COMPATIBLE_VERSION,
            namespace=saved.namespace or self._saved.namespace,
        )
        if saved.pvc_name and with_home:
            self.find_home(saved.pvc_name)

    def state(
        self,
        *,
        pod_name: str,
        pod_uid: str,
        namespace: str | None,
        dns_name: str,
        extra_claims: Mapping[str, str],
        url: str | None,
    ) -> SavedState:
        """Return the state to save, with the current values of the spawner's attributes.

        Keeps the names of claims that this run does not use (`remember_pvc_name`): they protect the claims.
        """
        home = self._home.remembered_name
        return replace(
            self._saved,
            # Without a claim's name, only an unknown version makes KubeSpawner look for one by its old name.
            version=self._saved.version if home is None else COMPATIBLE_VERSION,
            pod_name=pod_name,
            pod_uid=pod_uid or None,
            namespace=namespace,
            dns_name=dns_name,
            pvc_name=home or self._saved.pvc_name,
            extra_claims={**self._saved.extra_claims, **extra_claims},
            url=url,
        )

    def find_home(self, name: str) -> None:
        """Remember the claim that was found, or created, as the home."""
        self._home = self._home.found(name)

    def assign_home(self, name: str) -> None:
        """Use the claim that a hook, a profile or a subclass has chosen."""
        self._home = replace(self._home, assigned_name=name)

    @contextmanager
    def home_assigned(self, name: str) -> Iterator[None]:
        """Use this claim as the home while the body runs."""
        before = self._home
        self.assign_home(name)
        try:
            yield
        finally:
            self._home = before

    def use_namespace(self, namespace: str) -> None:
        """Remember a namespace that takes this server."""
        self._saved = replace(self._saved, namespace=namespace)

    def apply_options(self, options: AppliedOptions | None) -> None:
        """Remember what a start applied from the profiles; None without profiles."""
        self._saved = replace(self._saved, applied_options=options)

    def renew_token(self, token: str | None) -> None:
        """Remember the server's new access token; keep the last one if there is no new one."""
        self._saved = replace(self._saved, access_token=token or self._saved.access_token)

    def forget_run(self) -> None:
        """Forget what is only true of a server that runs."""
        self._saved = replace(self._saved, applied_options=None, access_token=None)
