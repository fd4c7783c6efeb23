"""What a user chose for a server: the form, its answer, and the effect on the spawner's options.

Functions of a spawner; `Overridable` has the methods of KubeSpawner's names that subclasses override.
"""

from collections.abc import Awaitable, Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
from traitlets import TraitError

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import CONTACT, sanitized
from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.checks import UnusableProfiles, unknown_overrides
from k8s_hub.profiles.form import render_form
from k8s_hub.profiles.listing import Person, copied, has_rules, initialised, offered
from k8s_hub.profiles.selection import (
    LONGEST_VALUE,
    WrongChoice,
    in_quotes,
    merged,
    still_valid,
)
from k8s_hub.spawner.database import HubDatabase
from k8s_hub.spawner.failures import SpawnFailed, administrators_code, with_message
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


# --- The form ---


def render_profiles(profiles: Sequence[Raw], spawner: Any, refused: Raw | None) -> str:
    """Return the form of initialised profiles, as far as they are for this user; without any profile, no form.

    ``refused`` is what was posted last and refused: the form shows it again.
    """
    person = person_of(spawner, profiles)
    offer = offered(profiles, person)
    wishes = (spawner.user_options if refused is None else refused) or {}
    own = custom_form(spawner.profile_form_template, spawner.additional_profile_form_template_paths)
    if own is not None and (offer or not profiles):
        return own.render(profile_list=offer, user_options=still_valid(profiles, wishes, person))
    shown = still_valid(profiles, wishes, person, keeps_texts=refused is not None)
    return render_form(offer, shown) if profiles else ""


def render_unusable() -> str:
    """Return the form of profiles of which none can work."""
    return render_form([], {}, nothing=UNUSABLE)


# --- Its answer ---


def is_final(spawner: Any, is_overridden: Callable[[str], bool]) -> bool:
    """Tell whether posted options can be checked at once: no code may change them, or what they mean, before the start."""
    hooks = (
        spawner.apply_user_options,
        spawner.auth_state_hook,
        spawner.group_overrides,
        spawner.pre_spawn_hook,
    )
    prepare = getattr(type(spawner.authenticator), "pre_spawn_start", Authenticator.pre_spawn_start)
    return bool(spawner.profile_list) and not (
        callable(spawner.profile_list)
        or any(hooks)
        or prepare is not Authenticator.pre_spawn_start
        or any(map(is_overridden, _DECISIVE))
    )


_DECISIVE = ("load_user_options", "_validate_user_options", "_get_initialized_profile_list")


def to_show_again(user_options: Raw) -> dict[str, Any]:
    """Return what of refused options the form can show again; of a client's own making there may be any amount."""
    few = islice(user_options.items(), _KEPT)
    return {
        key: value
        for key, value in few
        if isinstance(value, str | int | float) and len(str(value)) <= LONGEST_VALUE
    }


def options_for_hub(spawner: Any, user_options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that the hub itself applies; those of profiles are no strangers to be warned of."""
    if not spawner.apply_user_options:
        # Then the hub only logs the names, whatever their number and length.
        return {} if spawner.profile_list else dict.fromkeys(_shown(user_options))
    if spawner.profile_list and isinstance(spawner.apply_user_options, dict):
        return {key: user_options[key] for key in user_options if key in spawner.apply_user_options}
    return user_options


# --- Its effect ---


@contextmanager
def refused_in_words() -> Iterator[None]:
    """Raise what is wrong with profiles or a choice as SpawnFailed."""
    try:
        yield
    except (WrongChoice, UnusableProfiles) as error:
        raise SpawnFailed(refusal(error)) from None


@contextmanager
def sentence_of_subclass() -> Iterator[None]:
    """Raise a subclass's ValueError, whose message is a sentence for the user, as WrongChoice."""
    try:
        yield
    except WrongChoice:
        raise
    except ValueError as error:
        raise WrongChoice(str(error)) from None


def apply_all(
    overrides: Sequence[Raw], profile: Raw, apply: Callable[[dict[str, Any]], Awaitable[None] | None]
) -> Awaitable[None] | None:
    """Apply the overrides of a profile and of the chosen options.

    Where one is asynchronous, what is left to do is returned, to be awaited.
    """
    return _run(_steps(overrides, profile, apply))


def apply_override(spawner: Any, override: Raw) -> Awaitable[None] | None:
    """Set options: dictionaries are merged into what is there, functions are called with the spawner.

    Where a function is asynchronous, what is left to do is returned, to be awaited.
    """
    return _run(_override_steps(spawner, override))


def _steps(
    overrides: Sequence[Raw], profile: Raw, apply: Callable[[dict[str, Any]], Awaitable[None] | None]
) -> _Steps:
    for override in overrides:
        for name, value in override.items():
            try:
                applied = apply({name: value})
                if applied is not None:
                    yield applied
            except TraitError as error:
                raise WrongChoice(
                    f"The profile {in_quotes(str(profile['display_name']))} does not work with these choices:"
                    f" they give {name} an invalid value. Choose something else, or contact your administrator."
                ) from error


def _override_steps(spawner: Any, override: Raw) -> _Steps:
    for name, value in override.items():
        if callable(value):
            with administrators_code(f"kubespawner_override.{name}"):
                value = value(spawner)  # noqa: PLW2901 - what it is
                if isawaitable(value):
                    value = yield value  # noqa: PLW2901 - what it is
        _override(spawner, name, value)


def _override(spawner: Any, name: str, value: Any) -> None:
    if not isinstance(name, str):
        raise TraitError(f"{name!r} is not the name of an option: names are strings")
    current = getattr(spawner, name, None) if isinstance(value, dict) else None
    new = merged(current, value) if isinstance(current, dict) else copied(value)
    try:
        setattr(spawner, name, new)
    except TraitError:
        raise
    except Exception as error:  # "infG" as an amount of memory, for example
        raise TraitError(f"{name} cannot have this value: {type(error).__name__}") from error


# --- The profiles ---


async def configured_profiles(spawner: Any) -> Any:
    """Return the profiles as configured now."""
    if not callable(spawner.profile_list):
        return spawner.profile_list
    return await maybe_future(spawner.profile_list(spawner)) or []


def usable_profiles(spawner: Any, profiles: Mapping[str, Raw], faults: Sequence[str]) -> list[dict[str, Any]]:
    """Return the profiles that can work, in order, with slugs and defaults filled in; faults are logged.

    Raises UnusableProfiles where there are profiles and none can work: without any, users would get a server
    without the limits that profiles set.
    """

    def is_known(name: str) -> bool:
        return hasattr(type(spawner), name) or name in vars(spawner)  # an attribute of a subclass, perhaps

    for fault in (*faults, *unknown_overrides(profiles, is_known, spawner.trait_names())):
        warn_once(spawner.log, f"KubeSpawner.{fault}")
    if faults and not profiles:
        raise UnusableProfiles(faults[0])
    return initialised(profiles.values())


def person_of(spawner: Any, profiles: Sequence[Raw]) -> Person:
    """Return whose server it is; the hub is asked for the groups where they matter."""
    groups = HubDatabase.of(spawner).group_names() if has_rules(profiles) else frozenset[str]()
    return Person(name=spawner.user.name, groups=groups)


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


def name_list(keys: Collection[str]) -> str:
    """Return what a client has called something, in one line; of many or long names only the beginning."""
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return f"{', '.join(_shown(keys))}{more}"


def _shown(keys: Collection[str]) -> list[str]:
    return [sanitized(str(key), _SHOWN) for key in nsmallest(_LISTED, keys, key=str)]


def refusal(error: WrongChoice | UnusableProfiles) -> Diagnosis:
    """Return what the user reads of profiles or a choice that cannot work."""
    if isinstance(error, UnusableProfiles):
        return Diagnosis.failed(Stage.REQUEST, Reason.CHOICE, UNUSABLE, detail=str(error))
    return Diagnosis.failed(Stage.REQUEST, Reason.CHOICE, str(error), detail=error.detail)


def bad_request(sentence: str) -> HTTPError:
    """Return what makes the hub show the form again, with the sentence above it."""
    return with_message(HTTPError(400, sentence), sentence)
