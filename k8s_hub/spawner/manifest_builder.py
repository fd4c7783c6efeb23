"""The manifests of what a start creates: through the methods that subclasses override, and the hooks of administrators.

Without these, makes JSON directly: the client library's model objects take ten times as long.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jupyterhub.utils import maybe_future

from k8s_hub.kube.core.resources import SECRETS, SERVICES, Resource
from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.checks import checked, checked_pod
from k8s_hub.manifests.claim import build_claim
from k8s_hub.manifests.owned import environment_secret_name
from k8s_hub.manifests.pod import build_pod
from k8s_hub.naming.templates import TemplateError
from k8s_hub.objects.keys import Key, reference_to_pod
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.compat.models import to_json, to_model
from k8s_hub.spawner.failures import administrators_code, wrong_result
from k8s_hub.spawner.overridable import Overridable, is_overridden
from k8s_hub.spawner.owned_objects import OwnedObject
from k8s_hub.spawner.remembered import Remembered
from k8s_hub.spawner.resolve import Resolver


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestBuilder:
    """Makes the manifests of one spawner's server from its current options."""

    spawner: Overridable
    resolver: Resolver
    remembered: Remembered
    #: Returns the port of a pod's server.
    port_of: Callable[[Raw], int]

    async def pod(self) -> Raw:
        """Return the pod to create."""
        spawner = self.spawner
        if not is_overridden(spawner, "get_pod_manifest") and spawner.modify_pod_hook is None:
            return build_pod(await self.resolver.pod_inputs())
        name = f"{type(spawner).__name__}.get_pod_manifest"
        pod = await maybe_future(spawner.get_pod_manifest())
        if spawner.modify_pod_hook is not None:
            name = "KubeSpawner.modify_pod_hook"
            with administrators_code(name):
                pod = await maybe_future(spawner.modify_pod_hook(spawner, pod))
        return _returned_object(pod, name, checked_pod)

    def home_claim(self, name: str) -> Raw:
        """Return the home claim to create under this name, with `pvc_name` set to it meanwhile."""
        with self.remembered.home_assigned(name):
            if not is_overridden(self.spawner, "get_pvc_manifest"):
                return build_claim(self.resolver.claim_inputs())
            return self._from_subclass("get_pvc_manifest")

    def namespace(self) -> Raw:
        """Return the namespace to create for the user."""
        if not is_overridden(self.spawner, "get_namespace_manifest"):
            return self.resolver.namespace()
        return self._from_subclass("get_namespace_manifest")

    def owned_objects(self, pod: Raw) -> list[OwnedObject]:
        """Return the objects to create after this pod."""
        owned = []
        if self.spawner.internal_ssl:
            owned.append(OwnedObject(resource=SECRETS, manifest=self._secret_for(pod)))
        if self.spawner.internal_ssl or self.spawner.services_enabled:
            owned.append(OwnedObject(resource=SERVICES, manifest=self._service_for(pod)))
        return owned

    def owned_keys(self) -> list[tuple[Resource, Key]]:
        """Return the objects that the running pod may own, in case the cluster ignores owner references."""
        spawner = self.spawner
        keys: list[tuple[Resource, Key]] = []
        if spawner.internal_ssl:
            with suppress(TemplateError):  # then there is no Secret
                keys.append((SECRETS, Key(spawner.namespace, self.resolver.name_by("secret_name_template"))))
        if spawner.internal_ssl or spawner.services_enabled:
            keys.append((SERVICES, Key(spawner.namespace, spawner.service_name)))
        if spawner.api_token_in_secret or spawner.secret_environment:
            keys.append((SECRETS, Key(spawner.namespace, environment_secret_name(spawner.pod_name))))
        return keys

    def _secret_for(self, pod: Raw) -> Raw:
        if not is_overridden(self.spawner, "get_secret_manifest"):
            return self.resolver.certificate_secret()
        return self._from_subclass("get_secret_manifest", _owner(pod))

    def _service_for(self, pod: Raw) -> Raw:
        port = self.port_of(pod)
        if not is_overridden(self.spawner, "get_service_manifest"):
            return self.resolver.service(port)
        return self._from_subclass("get_service_manifest", _owner(pod), port)

    def _from_subclass(self, method: str, *given: Any) -> Raw:
        returned = getattr(self.spawner, method)(*given)
        return _returned_object(returned, f"{type(self.spawner).__name__}.{method}")


def _returned_object(value: Any, by: str, check: Callable[[Any], Raw] = checked) -> Raw:
    """Return as JSON the object that an administrator's code returned, if the API server could create it."""
    if not isinstance(value, dict) and not hasattr(value, "attribute_map"):
        raise wrong_result(by, value, "the object to create")
    try:
        return check(to_json(value))
    except ManifestError as error:
        raise error.within(f"{by}: " if error.place else by) from None


def _owner(pod: Raw) -> Any:
    return to_model(reference_to_pod(pod), "V1OwnerReference")
