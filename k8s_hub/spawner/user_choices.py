"""What a user chose for a server: the form, its answer, and the effect on the spawner's options."""

from collections.abc import Awaitable, Collection, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from heapq import nsmallest
from inspect import isawaitable
from itertools import islice
from typing import Any

from jinja2 import (
    ChoiceLoader,
    DictLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    Template,
    TemplateNotFound,
)
from jupyterhub.auth import Authenticator
from jupyterhub.utils import maybe_future
from tornado.web import HTTPError
from traitlets import TraitError, default

from k8s_hub.claims.saved_state import AppliedOptions
from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import CONTACT, sanitized
from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.checks import UnusableProfiles, unknown_overrides, usable
from k8s_hub.profiles.fields import PROFILE, options_from_fields, unrecognised
from k8s_hub.profiles.form import render_form
from k8s_hub.profiles.listing import Person, copied, has_rules, in_order, initialised, offered
from k8s_hub.profiles.selection import (
    LONGEST_VALUE,
    WrongChoice,
    in_quotes,
    merged,
    profile_of,
    select,
    still_valid,
    unknown_to,
)
from k8s_hub.spawner.failures import SpawnFailed, administrators_code, with_message
from k8s_hub.spawner.manifest_builder import ManifestBuilder
from k8s_hub.spawner.run_log import warn_once

_FORM = "form.html"


def custom_form(text: str, directories: Sequence[str]) -> Template | None:
    """Return the template of the text, else the form.html in the directories; None if there is neither.

    It is rendered with ``profile_list`` and ``user_options``. As in KubeSpawner, nothing is escaped, ``tojson`` keeps
    the order of keys, because that of profiles has a meaning, and what the directories lack (form.html, style.css) is
    the package's.
    """
    own = FileSystemLoader(list(directories))
    environment = Environment(loader=ChoiceLoader([own, *_PACKAGED]))  # noqa: S701 - templates decide themselves
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.globals["packaged_form"] = render_form
    if text:
        return environment.from_string(text)
    try:
        return own.load(environment, _FORM, environment.globals)
    except TemplateNotFound:
        return None


_PACKAGED = (
    # Rendered by itself: it escapes, and needs functions of its own.
    DictLoader({_FORM: "{{ packaged_form(profile_list, user_options)|safe }}"}),
    PackageLoader("k8s_hub.profiles", "templates"),
)


EXPANDED_LATER = frozenset(
    {
        "default_url",
        "dns_name_template",
        "environment",
        "extra_annotations",
        "extra_claims",
        "extra_containers",
        "extra_labels",
        "extra_pod_config",
        "init_containers",
        "notebook_dir",
        "pod_connect_ip",
        "pod_name_template",
        "pvc_name_template",
        "secret_name_template",
        "service_account",
        "slow_spawn_message",
        "storage_extra_annotations",
        "storage_extra_labels",
        "storage_selector",
        "user_namespace_annotations",
        "user_namespace_labels",
        "user_namespace_template",
        "volume_mounts",
        "volumes",
        "working_dir",
    }
)
"""Settings whose texts are templates, ours or the hub's: what a user wrote must not be taken for one."""

UNUSABLE = f"The profiles of this hub are not configured correctly, so no server can start. {CONTACT}"

_LISTED, _SHOWN = 10, 60
"""How many names that a client has sent are logged, and how many characters of each."""

_KEPT = 100
"""How many options of a refused choice are kept for the form."""

_Steps = Generator[Awaitable[Any], Any, None]


class UserChoices(ManifestBuilder):
    """The part of KubeSpawner that knows profiles."""

    #: What was posted last and refused: the form shows it again.
    _refused: Raw | None = None

    # --- The form ---

    @default("options_form")
    def _default_options_form(self) -> Any:
        return self._render_options_form_dynamically if self.profile_list else ""

    async def _render_options_form_dynamically(self, current_spawner: Any) -> str:  # noqa: ARG002 - it is self
        """Return the form as it is now: the user's groups and last choice may have changed since the last time."""
        with administrators_code("KubeSpawner.profile_list"):
            profiles = await self._evaluated_profiles()
        return self._render_options_form(profiles)

    def _render_options_form(self, profile_list: Any) -> str:
        """Return the form of these profiles, as far as they are for this user; without any profile, no form."""
        try:
            profiles = self._get_initialized_profile_list(profile_list)
        except UnusableProfiles as error:
            self.log.error("%s: cannot show the form of profiles: %s", self._log_name, error)  # noqa: TRY400 - it says all
            return render_form([], {}, nothing=UNUSABLE)
        person = self._person(profiles)
        offer = offered(profiles, person)
        wishes = (self.user_options if self._refused is None else self._refused) or {}
        own = custom_form(self.profile_form_template, self.additional_profile_form_template_paths)
        if own is not None and (offer or not profiles):
            return own.render(profile_list=offer, user_options=still_valid(profiles, wishes, person))
        shown = still_valid(profiles, wishes, person, keeps_texts=self._refused is not None)
        return render_form(offer, shown) if profiles else ""

    # --- Its answer ---

    @default("options_from_form")
    def _options_from_form_default(self) -> Any:
        return self._options_from_form

    def _options_from_form(self, formdata: dict[str, list[Any]]) -> dict[str, Any]:
        """Return user_options of the form's fields; nothing is judged here."""
        ignored = unrecognised(formdata)
        if ignored:
            self.log.warning("%s: ignored the form's fields %s", self._log_name, _names(ignored))
        return options_from_fields(formdata)

    async def run_options_from_form(self, form_data: dict[str, list[Any]]) -> Any:
        """Return user_options of the posted form, or have it shown again with a sentence."""
        return self._possible(await maybe_future(super().run_options_from_form(form_data)))

    async def options_from_query(self, query_data: dict[str, list[Any]]) -> Any:
        """Return user_options of a link's query, or have the form shown with a sentence."""
        return self._possible(await maybe_future(super().options_from_query(query_data)))

    def _possible(self, user_options: Any) -> Any:
        """Return the options unless they are surely wrong; where code may still change them, start() judges alone."""
        if not (self._options_are_final and isinstance(user_options, dict)):
            return user_options
        try:
            profiles = self._get_initialized_profile_list(self.profile_list)
            select(profiles, user_options, self._person(profiles))
        except (WrongChoice, UnusableProfiles) as error:
            self._refused = _kept(user_options)
            refusal = _refusal(error)
            if refusal.detail:
                self.log.warning("%s: %s", self._log_name, refusal.detail)
            raise _bad_request(refusal.sentence) from None
        self._refused = None
        return user_options

    @property
    def _options_are_final(self) -> bool:
        hooks = (self.apply_user_options, self.auth_state_hook, self.group_overrides, self.pre_spawn_hook)
        overridable = ("load_user_options", "_validate_user_options", "_get_initialized_profile_list")
        prepare = getattr(type(self.authenticator), "pre_spawn_start", Authenticator.pre_spawn_start)
        return bool(self.profile_list) and not (
            callable(self.profile_list)
            or any(hooks)
            or prepare is not Authenticator.pre_spawn_start
            or any(getattr(type(self), name) is not getattr(UserChoices, name) for name in overridable)
        )

    async def _run_apply_user_options(self, user_options: dict[str, Any]) -> None:
        """Have the hub apply what is configured for it; the options of profiles are no strangers to be warned of."""
        if not self.apply_user_options:
            # Then the hub only logs the names, whatever their number and length.
            user_options = {} if self.profile_list else dict.fromkeys(_shown(user_options))
        elif self.profile_list and isinstance(self.apply_user_options, dict):
            user_options = {key: user_options[key] for key in user_options if key in self.apply_user_options}
        await super()._run_apply_user_options(user_options)

    # --- Its effect ---

    async def load_user_options(self) -> None:
        """Apply what the user chose; subclasses override it to support other options."""
        with administrators_code("KubeSpawner.profile_list"):  # whatever is wrong is wrong with the profiles
            await self._load_user_options()

    async def _load_user_options(self) -> None:
        try:
            profiles = self._get_initialized_profile_list(await self._evaluated_profiles())
            if not profiles:
                self._note_applied(AppliedOptions() if self.profile_list else None)
                self._tell_ignored(self.user_options)
                return
            self._validate(profiles)
            await maybe_future(self._load_profile(self.user_options.get(PROFILE), profiles))
        except (WrongChoice, UnusableProfiles) as error:
            raise SpawnFailed(_refusal(error)) from None

    def _note_applied(self, options: AppliedOptions | None) -> None:
        self._saved = replace(self._saved, applied_options=options)

    def _validate(self, profiles: Sequence[Raw]) -> None:
        try:
            self._validate_user_options(profiles)
        except WrongChoice:
            raise
        except ValueError as error:  # a subclass's, whose message is a sentence for the user
            raise WrongChoice(str(error)) from None

    def _validate_user_options(self, profile_list: Sequence[Raw]) -> None:
        """Raise a ValueError with a sentence if initialised profiles do not allow the options."""
        if profile_list:
            select(profile_list, self.user_options, self._person(profile_list))

    def _get_profile(self, slug: str | None, profile_list: Sequence[Raw]) -> Raw:
        """Return the initialised profile of this slug, without one the default."""
        return profile_of(profile_list, slug, self._person(profile_list))

    def _load_profile(self, slug: str | None, profile_list: Sequence[Raw]) -> Awaitable[None] | None:
        """Apply a profile and the choices of its options.

        Where an override is asynchronous, what is left to do is returned, to be awaited.
        """
        options = {**self.user_options, PROFILE: slug}
        selection = select(profile_list, options, self._person(profile_list), templates=EXPANDED_LATER)
        slug = str(selection.profile["slug"])
        self._note_applied(AppliedOptions(profile=slug, options=selection.chosen))
        self._tell_ignored(unknown_to(selection.profile, self.user_options))
        return _run(self._steps(selection.overrides, selection.profile))

    def _apply_overrides(self, spawner_override: dict[str, Any]) -> Awaitable[None] | None:
        """Set options: dictionaries are merged into what is there, functions are called with this spawner.

        Where a function is asynchronous, what is left to do is returned, to be awaited.
        """
        return _run(self._override_steps(spawner_override))

    def _steps(self, overrides: Sequence[Raw], profile: Raw) -> _Steps:
        for override in overrides:
            for name, value in override.items():
                try:
                    applied = self._apply_overrides({name: value})
                    if applied is not None:
                        yield applied
                except TraitError as error:
                    raise WrongChoice(
                        f"The profile {in_quotes(str(profile['display_name']))} does not work with these choices:"
                        f" they give {name} an invalid value. Choose something else, or contact your administrator."
                    ) from error

    def _override_steps(self, override: Raw) -> _Steps:
        for name, value in override.items():
            if callable(value):
                with administrators_code(f"kubespawner_override.{name}"):
                    value = value(self)  # noqa: PLW2901 - what it is
                    if isawaitable(value):
                        value = yield value  # noqa: PLW2901 - what it is
            self._override(name, value)

    def _override(self, name: str, value: Any) -> None:
        if not isinstance(name, str):
            raise TraitError(f"{name!r} is not the name of an option: names are strings")
        current = getattr(self, name, None) if isinstance(value, dict) else None
        new = merged(current, value) if isinstance(current, dict) else copied(value)
        try:
            setattr(self, name, new)
        except TraitError:
            raise
        except Exception as error:  # "infG" as an amount of memory, for example
            raise TraitError(f"{name} cannot have this value: {type(error).__name__}") from error

    def _tell_ignored(self, keys: Collection[str]) -> None:
        if keys and not self.apply_user_options:
            self.log.info("%s: no profile knows these user_options: %s", self._log_name, _names(keys))

    # --- The profiles ---

    async def _evaluated_profiles(self) -> Any:
        """Return the profiles as configured now."""
        if not callable(self.profile_list):
            return self.profile_list
        return await maybe_future(self.profile_list(self)) or []

    def _get_initialized_profile_list(self, profile_list: Any) -> list[dict[str, Any]]:
        """Return a copy of the profiles that can work, in order, with slugs and defaults filled in.

        Raises UnusableProfiles where there are profiles and none can work: without any, users would get a server
        without the limits that profiles set.
        """
        if not profile_list:
            return []
        profiles, faults = usable(profile_list)
        if profile_list is not self.profile_list:  # that one was told of when it was set
            self._warn_about_profiles(profiles, of_function=callable(self.profile_list))
        for fault in (*faults, *unknown_overrides(profiles, self._is_known, self.trait_names())):
            warn_once(self.log, f"KubeSpawner.{fault}")
        if faults and not profiles:
            raise UnusableProfiles(faults[0])
        return initialised(profiles.values())

    def _is_known(self, name: str) -> bool:
        """Tell whether this spawner has an option or attribute of the name, of a subclass perhaps."""
        return hasattr(type(self), name) or name in vars(self)

    def _sorted_dict_values(self, src: Any) -> Any:
        """Return the values of a dictionary in the order of its keys, and anything else as it is."""
        return in_order(src) if isinstance(src, dict) else src

    def _person(self, profiles: Sequence[Raw]) -> Person:
        """Return whose server it is; the hub is asked for the groups where they matter."""
        groups = self._database.group_names() if has_rules(profiles) else frozenset[str]()
        return Person(name=self.user.name, groups=groups)


def _run(steps: _Steps) -> Awaitable[None] | None:
    """Take the steps up to the first that must be awaited; return what is left, None if nothing is.

    Hooks and subclasses call these methods without awaiting them, as KubeSpawner's.
    """
    try:
        first = next(steps)
    except StopIteration:
        return None
    return _rest(steps, first)


async def _rest(steps: _Steps, waited_for: Awaitable[Any]) -> None:
    with suppress(StopIteration):
        while True:
            try:
                result = await waited_for
            except BaseException as error:  # noqa: BLE001 - the steps decide about it
                waited_for = steps.throw(error)
            else:
                waited_for = steps.send(result)


def _kept(user_options: Raw) -> dict[str, Any]:
    """Return what of refused options the form can show again; of a client's own making there may be any amount."""
    few = islice(user_options.items(), _KEPT)
    return {
        key: value
        for key, value in few
        if isinstance(value, str | int | float) and len(str(value)) <= LONGEST_VALUE
    }


def _names(keys: Collection[str]) -> str:
    """Return what a client has called something, in one line; of many or long names only the beginning."""
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return f"{', '.join(_shown(keys))}{more}"


def _shown(keys: Collection[str]) -> list[str]:
    return [sanitized(str(key), _SHOWN) for key in nsmallest(_LISTED, keys, key=str)]


def _refusal(error: WrongChoice | UnusableProfiles) -> Diagnosis:
    if isinstance(error, UnusableProfiles):
        return Diagnosis.failed(Stage.REQUEST, Reason.CHOICE, UNUSABLE, detail=str(error))
    return Diagnosis.failed(Stage.REQUEST, Reason.CHOICE, str(error), detail=error.detail)


def _bad_request(sentence: str) -> HTTPError:
    """Return what makes the hub show the form again, with the sentence above it."""
    return with_message(HTTPError(400, sentence), sentence)
