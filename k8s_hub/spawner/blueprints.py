"""What one server is made of: names, environment, the manifests that subclasses may change, and its address."""

from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future

from k8s_hub.kube.configuration import pod_namespace
from k8s_hub.manifests import metadata
from k8s_hub.manifests.claim import build_claim
from k8s_hub.manifests.pod import NOTEBOOK_PORT_NAME, build_pod
from k8s_hub.naming.templates import expand, expand_all, expand_dns_name, expand_host
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner import resolve
from k8s_hub.spawner.models import to_json, to_model
from k8s_hub.spawner.traits.options import Options

if TYPE_CHECKING:
    from jupyterhub.spawner import Spawner

    class _Base(Options, Spawner):  # type: ignore[misc] # JupyterHub has no types
        pass

else:
    _Base = Options


class Blueprints(_Base):
    """The part of KubeSpawner that says what is created, and creates nothing."""

    pod_name: str
    dns_name: str
    pvc_name: str

    @property
    def hub_namespace(self) -> str:
        """The namespace of the hub itself, for templates."""
        return pod_namespace() or "default"

    def _name_objects(self) -> None:
        self.pod_name = self._expand_user_properties(self.pod_name_template)
        self.dns_name = expand_dns_name(
            self.dns_name_template, pod_name=self.pod_name, namespace=self.namespace
        )

    def _expand_user_properties(self, template: str, slug_scheme: str | None = None) -> str:
        """Return a template with its fields filled in; a subclass may add fields of its own."""
        if "{" not in template and "}" not in template:
            return template
        return expand(template, resolve.names(self, slug_scheme=slug_scheme))

    def _expand_all(self, src: Any) -> Any:
        """Return lists and dicts with every string in them expanded; everything else as it is."""
        return expand_all(src, self._expand_user_properties)

    def _expand_env(self, env: dict[str, Any]) -> dict[str, Any]:
        """Return the variables whose values may be templates, expanded; without the others."""
        return {
            name: self._expand_all(value)
            for name, value in env.items()
            if isinstance(value, str | list | dict)
        }

    def _build_common_labels(self, extra_labels: dict[str, str]) -> dict[str, str]:
        """Return the labels of every object of this server."""
        return metadata.shared_labels(resolve.metadata_inputs(self), extra_labels)

    def _build_pod_labels(self, extra_labels: dict[str, str]) -> dict[str, str]:
        """Return the labels of the pod."""
        return metadata.pod_labels(resolve.metadata_inputs(self), self._build_common_labels(extra_labels))

    def _build_common_annotations(self, extra_annotations: dict[str, str]) -> dict[str, str]:
        """Return the annotations of every object of this server."""
        return metadata.annotations(resolve.metadata_inputs(self), extra_annotations)

    def get_env(self) -> dict[str, Any]:
        """Return the environment of the user's container.

        Only what the administrator has set is a template: values that the hub made may have braces of their own.
        """
        return {
            **super().get_env(),
            "JUPYTER_IMAGE": self.image,
            "JUPYTER_IMAGE_SPEC": self.image,
            **self._expand_env(self.environment),
        }

    async def get_pod_manifest(self) -> Any:
        """Return the V1Pod to create; subclasses change what this returns."""
        return to_model(build_pod(await resolve.pod_inputs(self)), "V1Pod")

    def get_pvc_manifest(self) -> Any:
        """Return the V1PersistentVolumeClaim to create; subclasses change what this returns."""
        return to_model(build_claim(resolve.claim_inputs(self)), "V1PersistentVolumeClaim")

    async def _pod(self) -> Raw:
        """Return the pod to create; model objects are made only for those who want them."""
        if not self._overrides("get_pod_manifest") and self.modify_pod_hook is None:
            return build_pod(await resolve.pod_inputs(self))
        pod = await self.get_pod_manifest()
        if self.modify_pod_hook is not None:
            pod = await maybe_future(self.modify_pod_hook(self, pod))
        manifest: Raw = to_json(pod)
        return manifest

    def _claim(self, name: str) -> Raw:
        """Return the home claim to create under this name."""
        self.pvc_name = name
        if not self._overrides("get_pvc_manifest"):
            return build_claim(resolve.claim_inputs(self))
        manifest: Raw = to_json(self.get_pvc_manifest())
        return manifest

    def _overrides(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(Blueprints, method)

    def _get_pod_url(self, pod: Raw) -> str:
        if self.get_pod_url is not None:
            url: str = self.get_pod_url(self, pod)
            return url
        host = expand_host(self.pod_connect_ip, resolve.names(self)) or _in_url(pod["status"]["podIP"])
        return f"http://{host}:{self._get_pod_port(pod)}"

    def _get_pod_port(self, pod: Raw) -> int:
        ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
        return next(
            (port["containerPort"] for port in ports if port.get("name") == NOTEBOOK_PORT_NAME), self.port
        )


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
