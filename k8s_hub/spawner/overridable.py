"""The parts of one server: names, environment, the manifests that subclasses may change, and its address."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future
from traitlets import HasTraits

from k8s_hub.claims.saved_state import AppliedOptions
from k8s_hub.kube.configuration import pod_namespace
from k8s_hub.manifests import metadata
from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.claim import build_claim
from k8s_hub.manifests.pod import NOTEBOOK_PORT_NAME, build_pod
from k8s_hub.naming import slugs
from k8s_hub.naming.templates import (
    expand,
    expand_all,
    fill,
    in_setting,
)
from k8s_hub.objects.keys import owned_by
from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.checks import UnusableProfiles, usable
from k8s_hub.profiles.fields import PROFILE, options_from_fields, unrecognised
from k8s_hub.profiles.selection import WrongChoice, select, unknown_to
from k8s_hub.spawner import user_choices
from k8s_hub.spawner.address import in_url
from k8s_hub.spawner.attempt import LatestRun
from k8s_hub.spawner.compat.models import to_json, to_model
from k8s_hub.spawner.compat.renamed_traits import RenamedTraits
from k8s_hub.spawner.config.cluster import ClusterTraits
from k8s_hub.spawner.config.container import ContainerTraits
from k8s_hub.spawner.config.hooks import HookTraits
from k8s_hub.spawner.config.lifecycle import LifecycleTraits
from k8s_hub.spawner.config.naming import NamingTraits
from k8s_hub.spawner.config.network import NetworkTraits
from k8s_hub.spawner.config.profiles import ProfileTraits
from k8s_hub.spawner.config.scheduling import SchedulingTraits
from k8s_hub.spawner.config.security import SecurityTraits
from k8s_hub.spawner.config.storage import StorageTraits
from k8s_hub.spawner.credentials import LOCAL_NAMES, SERVERS_AUTHORITY, sign_certificate
from k8s_hub.spawner.failures import administrators_code
from k8s_hub.spawner.remembered import Remembered
from k8s_hub.spawner.resolve import EXPANDED_LATER, Resolver, metadata_inputs
from k8s_hub.spawner.spec import template_fields
from k8s_hub.text import kind_of

if TYPE_CHECKING:
    from jupyterhub.spawner import Spawner as Base
else:
    Base = HasTraits


class Overridable(
    ClusterTraits,
    NamingTraits,
    ContainerTraits,
    SecurityTraits,
    SchedulingTraits,
    StorageTraits,
    NetworkTraits,
    HookTraits,
    LifecycleTraits,
    ProfileTraits,
    RenamedTraits,
    Base,  # type: ignore[misc] # JupyterHub has no types
):
    """The part of KubeSpawner that says what to create, and creates nothing."""

    pod_name: str
    dns_name: str
    #: The DNS name from the template; a hook or a subclass may have set `dns_name` to another one.
    _named_dns_name: str
    secret_name: str
    _remembered: Remembered
    _run: LatestRun

    # --- Profiles and the form ---

    async def _render_options_form_dynamically(self, current_spawner: Any) -> str:  # noqa: ARG002 - it is self
        """Return the current form: the user's groups and last choice may have changed since the last time."""
        with administrators_code("KubeSpawner.profile_list"):
            profiles = await user_choices.configured_profiles(self)
        return self._render_options_form(profiles)

    def _render_options_form(self, profile_list: Any) -> str:
        """Return the form of those profiles that this user may choose; no form if there are no profiles."""
        try:
            profiles = self._get_initialized_profile_list(profile_list)
        except UnusableProfiles as error:
            self.log.error("%s: cannot show the form of profiles: %s", self._log_name, error)  # noqa: TRY400 - the message says all
            return user_choices.render_unusable()
        return user_choices.render_profiles(profiles, self, self._run.rejected_options)

    def _options_from_form(self, formdata: dict[str, list[Any]]) -> dict[str, Any]:
        """Return the form's fields as user_options, without judging them."""
        ignored = unrecognised(formdata)
        if ignored:
            names = user_choices.name_list(ignored)
            self.log.warning("%s: ignored the form's fields %s", self._log_name, names)
        return options_from_fields(formdata)

    async def run_options_from_form(self, form_data: dict[str, list[Any]]) -> Any:
        """Return the posted form as user_options, or make the hub show it again with a sentence."""
        return self._possible(await maybe_future(super().run_options_from_form(form_data)))

    async def options_from_query(self, query_data: dict[str, list[Any]]) -> Any:
        """Return a link's query as user_options, or make the hub show the form with a sentence."""
        return self._possible(await maybe_future(super().options_from_query(query_data)))

    def _possible(self, user_options: Any) -> Any:
        """Return the options unless they are certainly wrong; if code may still change them, only start() judges."""
        if not (isinstance(user_options, dict) and user_choices.is_final(self, partial(is_overridden, self))):
            return user_options
        try:
            profiles = self._get_initialized_profile_list(self.profile_list)
            select(profiles, user_options, user_choices.person_of(self, profiles))
        except (WrongChoice, UnusableProfiles) as error:
            self._run.rejected_options = user_choices.to_show_again(user_options)
            refusal = user_choices.refusal(error)
            if refusal.detail:
                self.log.warning("%s: %s", self._log_name, refusal.detail)
            raise user_choices.bad_request(refusal.sentence) from None
        self._run.rejected_options = None
        return user_options

    async def load_user_options(self) -> None:
        """Apply the user's choice; subclasses override this to support other options."""
        # Any exception in here comes from the configured profiles.
        with administrators_code("KubeSpawner.profile_list"), user_choices.refused_in_words():
            profiles = self._get_initialized_profile_list(await user_choices.configured_profiles(self))
            if profiles:
                with user_choices.sentence_of_subclass():
                    self._validate_user_options(profiles)
                await maybe_future(self._load_profile(self.user_options.get(PROFILE), profiles))
            else:
                self._remembered.apply_options(AppliedOptions() if self.profile_list else None)
                user_choices.log_ignored(self, self.user_options)

    def _validate_user_options(self, profile_list: Sequence[Raw]) -> None:
        """Raise a ValueError with a sentence if the initialised profiles do not allow the options."""
        if profile_list:
            select(profile_list, self.user_options, user_choices.person_of(self, profile_list))

    def _load_profile(self, slug: str | None, profile_list: Sequence[Raw]) -> Awaitable[None] | None:
        """Apply a profile and the choices of its options.

        Returns an awaitable for the remaining work if an override is asynchronous.
        """
        options = {**self.user_options, PROFILE: slug}
        person = user_choices.person_of(self, profile_list)
        selection = select(profile_list, options, person, templates=EXPANDED_LATER)
        applied = AppliedOptions(profile=str(selection.profile["slug"]), options=selection.chosen)
        self._remembered.apply_options(applied)
        user_choices.log_ignored(self, unknown_to(selection.profile, self.user_options))
        return user_choices.apply_all(selection.overrides, selection.profile, self._apply_overrides)

    def _apply_overrides(self, spawner_override: dict[str, Any]) -> Awaitable[None] | None:
        """Set options: merge dictionaries into the current values, and call functions with this spawner.

        Returns an awaitable for the remaining work if a function is asynchronous.
        """
        return user_choices.apply_override(self, spawner_override)

    def _get_initialized_profile_list(self, profile_list: Any) -> list[dict[str, Any]]:
        """Return a copy of the usable profiles, in order, with slugs and defaults filled in.

        Raises UnusableProfiles if there are profiles but none is usable.
        """
        if not profile_list:
            return []
        of_function = callable(self.profile_list)
        profiles, faults = usable(profile_list, of_function=of_function)
        if profile_list is not self.profile_list:  # the trait's validator has warned about that one
            self._warn_about_profiles(profiles, of_function=of_function)
        return user_choices.usable_profiles(self, profiles, faults)

    # --- Names ---

    @property
    def hub_namespace(self) -> str:
        """The namespace of the hub itself, for templates."""
        return pod_namespace() or "default"

    @property
    def pvc_name(self) -> str:
        """The name of the home claim; assigning a name chooses the claim that the server uses."""
        return self._remembered.home.current

    @pvc_name.setter
    def pvc_name(self, name: str) -> None:
        self._remembered.assign_home(name)

    def _name_objects(self) -> None:
        self.pod_name = self._resolver.name_by("pod_name_template")
        self.dns_name = self._named_dns_name = self._resolver.dns_name()
        self.secret_name = self._resolver.name_by("secret_name_template")

    @property
    def service_name(self) -> str:
        """The name of the pod's Service: the pod's own name if it is valid for a Service."""
        return slugs.service(self.pod_name)

    def _settle_dns_name(self) -> None:
        """Renew the DNS name if a hook or a profile has changed the namespace or the pod's name.

        Raises ManifestError if they have set a pod name that is not a string.
        """
        if not isinstance(self.pod_name, str):
            raise ManifestError(f"must be a string, not {kind_of(self.pod_name)}", "pod_name")
        if self.dns_name == self._named_dns_name:
            self.dns_name = self._named_dns_name = self._resolver.dns_name()

    def _expand_user_properties(self, template: str, slug_scheme: str | None = None) -> str:
        """Return a template with its fields filled in; a subclass may add its own fields."""
        if "{" not in template and "}" not in template:
            return template
        known = {
            name: value
            for name in ("pod_name", "pvc_name", "namespace")
            if (value := getattr(self, name, None)) is not None  # an empty string counts as known
        }
        fields = template_fields(
            username=self.user.name,
            servername=self.name,
            user_id=self.user.id,
            hub_namespace=self.hub_namespace,
            slug_scheme=slug_scheme or self.slug_scheme,
        )
        return expand(template, fields, **known)

    def _expand_all(self, src: Any) -> Any:
        """Return lists and dicts with every string in them expanded; return anything else unchanged."""
        return expand_all(src, self._expand_user_properties)

    def _expand_env(self, env: dict[str, Any]) -> dict[str, Any]:
        """Return the variables with template values, expanded; drop the others."""
        templates = {name: value for name, value in env.items() if isinstance(value, str | list | dict)}
        expanded: dict[str, Any] = self._expand_all(templates)
        return expanded

    @property
    def _resolver(self) -> Resolver:
        """Makes the inputs of manifests through the methods that subclasses override."""
        return Resolver(
            spawner=self,
            expand=self._expand_user_properties,
            expand_all=self._expand_all,
            common_labels=self._build_common_labels,
            pod_labels=self._build_pod_labels,
            annotations=self._build_common_annotations,
        )

    def _build_common_labels(self, extra_labels: dict[str, str]) -> dict[str, str]:
        """Return the labels of every object of this server."""
        return metadata.shared_labels(metadata_inputs(self), extra_labels)

    def _build_pod_labels(self, extra_labels: dict[str, str]) -> dict[str, str]:
        """Return the labels of the pod."""
        return metadata.pod_labels(metadata_inputs(self), self._build_common_labels(extra_labels))

    def _build_common_annotations(self, extra_annotations: dict[str, str]) -> dict[str, str]:
        """Return the annotations of every object of this server."""
        return metadata.annotations(metadata_inputs(self), extra_annotations)

    def get_env(self) -> dict[str, Any]:
        """Return the environment of the user's container.

        Expands only the administrator's values as templates: values from the hub may contain braces.
        """
        for name in ("notebook_dir", "default_url"):  # the hub expands these without naming a wrong one
            if template := getattr(self, name):
                with in_setting(name):
                    fill(template, self.template_namespace())
        with administrators_code("KubeSpawner.environment"):
            hubs = super().get_env()
        with in_setting("environment"):
            configured = self._expand_env(self.environment)
        return {**hubs, "JUPYTER_IMAGE": self.image, "JUPYTER_IMAGE_SPEC": self.image, **configured}

    async def get_pod_manifest(self) -> Any:
        """Return the V1Pod to create; subclasses change what this returns."""
        return to_model(build_pod(await self._resolver.pod_inputs()), "V1Pod")

    def get_pvc_manifest(self) -> Any:
        """Return the V1PersistentVolumeClaim to create; subclasses change what this returns."""
        return to_model(build_claim(self._resolver.claim_inputs()), "V1PersistentVolumeClaim")

    def get_secret_manifest(self, owner_reference: Any) -> Any:
        """Return the V1Secret with the certificates of the pod; subclasses change what this returns."""
        return to_model(owned_by(self._resolver.certificate_secret(), to_json(owner_reference)), "V1Secret")

    def get_service_manifest(self, owner_reference: Any, port: int) -> Any:
        """Return the V1Service that leads to the pod; subclasses change what this returns."""
        return to_model(owned_by(self._resolver.service(port), to_json(owner_reference)), "V1Service")

    def get_namespace_manifest(self) -> Any:
        """Return the V1Namespace to create for the user if it is missing; subclasses change what this returns."""
        return to_model(self._resolver.namespace(), "V1Namespace")

    def _get_pod_url(self, pod: Raw) -> str:
        if self.get_pod_url is not None:
            with administrators_code("KubeSpawner.get_pod_url"):
                url: str = self.get_pod_url(self, pod)
            return url
        scheme = "https" if self.internal_ssl else "http"
        # The configured host, else the Service, else the pod itself.
        if configured := self._resolver.connect_host():
            host = in_url(configured)
        elif self.internal_ssl or self.services_enabled:
            host = self.dns_name
        else:
            host = in_url(pod["status"]["podIP"])
        return f"{scheme}://{host}:{self._get_pod_port(pod)}"

    async def create_certs(self) -> dict[str, str]:
        """Return the paths of the new key, certificate and authority of this server, for ``internal_ssl``.

        Each server has its own files: two servers that start at once do not get each other's.
        """
        alt_names = self.ssl_alt_names
        if callable(alt_names):
            with administrators_code("KubeSpawner.ssl_alt_names"):
                alt_names = await maybe_future(alt_names(self))
        local = LOCAL_NAMES if self.ssl_alt_names_include_local else []
        name = f"user-{slugs.user_server(self.user.name, self.name)}"
        return {
            **sign_certificate(self.internal_certs_location, name, [*local, *alt_names]),
            "cafile": self.internal_trust_bundles[SERVERS_AUTHORITY],
        }

    def _get_pod_port(self, pod: Raw) -> int:
        ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
        return next(
            (port["containerPort"] for port in ports if port.get("name") == NOTEBOOK_PORT_NAME), self.port
        )


def is_overridden(spawner: Overridable, method: str) -> bool:
    """Tell whether a subclass of KubeSpawner overrides this method, or a hook has set another one on the spawner."""
    function = getattr(getattr(spawner, method), "__func__", None)
    return function is not getattr(Overridable, method)
