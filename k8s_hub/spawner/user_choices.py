"""A user's choices for a server: the form, its answer, and the effect on the spawner's options.

These functions take a spawner. `Overridable` has the methods with KubeSpawner's names, which subclasses override.
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

    The caller renders it with ``profile_list`` and ``user_options``. As in KubeSpawner, nothing is escaped, and
    ``tojson`` keeps the order of keys, because the order of profiles matters. The package provides the files
    that the directories lack (form.html, style.css).
    """
    own = FileSystemLoader(list(directories))
    environment = Environment(loader=ChoiceLoader([own, *_PACKAGED]))  # noqa: S701 - each template decides about escaping
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.globals["packaged_form"] = render_form
    if text:
        return environment.from_string(text)
    try:
        return own.load(environment, _FORM, environment.globals)
    except TemplateNotFound:
        return None


_PACKAGED = (
    # Renders itself: it escapes, and needs its own functions.
    DictLoader({_FORM: "{{ packaged_form(profile_list, user_options)|safe }}"}),
    PackageLoader("k8s_hub.profiles", "templates"),
)


UNUSABLE = f"The profiles of this hub are not configured correctly, so no server can start. {CONTACT}"

_LISTED, _SHOWN = 10, 60
"""How many of the names that a client sent to log, and how many characters of each."""

_KEPT = 100
"""How many options of a rejected choice to keep for the form."""

_Steps = Generator[Awaitable[Any], Any, None]


# --- The form ---


def render_profiles(profiles: Sequence[Raw], spawner: Any, rejected: Raw | None) -> str:
    """Return the form of those initialised profiles that this user may choose; no form without profiles.

    ``rejected`` is the last rejected choice, which the form shows again.
    """
    person = person_of(spawner, profiles)
    offer = offered(profiles, person)
    wishes = (spawner.user_options if rejected is None else rejected) or {}
    own = custom_form(spawner.profile_form_template, spawner.additional_profile_form_template_paths)
    if own is not None and (offer or not profiles):
        return own.render(profile_list=offer, user_options=still_valid(profiles, wishes, person))
    shown = still_valid(profiles, wishes, person, keeps_texts=rejected is not None)
    return render_form(offer, shown) if profiles else ""


def render_unusable() -> str:
    """Return the form to show when no profile is usable."""
    return render_form([], {}, nothing=UNUSABLE)


# --- Its answer ---


def is_final(spawner: Any, is_overridden: Callable[[str], bool]) -> bool:
    """Tell whether to check posted options at once: no code can change them or their meaning before the start."""
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
    """Return the rejected options that the form can show again; bounded, because a client may send any amount."""
    few = islice(user_options.items(), _KEPT)
    return {
        key: value
        for key, value in few
        if isinstance(value, str | int | float) and len(str(value)) <= LONGEST_VALUE
    }


def options_for_hub(spawner: Any, user_options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that the hub applies itself, without those of profiles: the hub would warn about them."""
    if not spawner.apply_user_options:
        # The hub then only logs the names, whatever their number and length.
        return {} if spawner.profile_list else dict.fromkeys(_shown(user_options))
    if spawner.profile_list and isinstance(spawner.apply_user_options, dict):
        return {key: user_options[key] for key in user_options if key in spawner.apply_user_options}
    return user_options


# --- Its effect ---


@contextmanager
def refused_in_words() -> Iterator[None]:
    """Raise an error about the profiles or the choice as SpawnFailed."""
    try:
        yield
    except (WrongChoice, UnusableProfiles) as error:
        raise SpawnFailed(refusal(error)) from None


@contextmanager
def sentence_of_subclass() -> Iterator[None]:
    """Raise a subclass's ValueError as WrongChoice; its message is a sentence for the user."""
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

    Returns an awaitable for the remaining work if an override is asynchronous.
    """
    return _run(_steps(overrides, profile, apply))


def apply_override(spawner: Any, override: Raw) -> Awaitable[None] | None:
    """Set options: merge dictionaries into the current values, and call functions with the spawner.

    Returns an awaitable for the remaining work if a function is asynchronous.
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
                named = f"The profile {in_quotes(str(profile['display_name']))}"
                said = (
                    f"{named} does not work with these choices: they give {name} an invalid value. "
                    "Choose something else, or contact your administrator."
                    if profile.get("profile_options")
                    else f"{named} gives {name} an invalid value. Contact your administrator."
                )
                raise WrongChoice(said) from error


def _override_steps(spawner: Any, override: Raw) -> _Steps:
    for name, value in override.items():
        if callable(value):
            with administrators_code(f"kubespawner_override.{name}"):
                value = value(spawner)  # noqa: PLW2901 - the function's result replaces it
                if isawaitable(value):
                    value = yield value  # noqa: PLW2901 - the awaited result replaces it
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
    except Exception as error:  # of a trait in a subclass, for example
        raise TraitError(f"{name} cannot have this value: {type(error).__name__}") from error


# --- The profiles ---


async def configured_profiles(spawner: Any) -> Any:
    """Return the profiles as currently configured, from the administrator's function if there is one."""
    if not callable(spawner.profile_list):
        return spawner.profile_list
    return await maybe_future(spawner.profile_list(spawner)) or []


def usable_profiles(spawner: Any, profiles: Mapping[str, Raw], faults: Sequence[str]) -> list[dict[str, Any]]:
    """Return the usable profiles, in order, with slugs and defaults filled in; log the faults.

    Raises UnusableProfiles if there are profiles but none is usable: otherwise users would get a server without
    the limits that profiles set.
    """
    for fault in (*faults, *unknown_options(spawner, profiles)):
        warn_once(spawner.log, f"KubeSpawner.{fault}")
    if faults and not profiles:
        raise UnusableProfiles(faults[0])
    return initialised(profiles.values())


def unknown_options(spawner: Any, profiles: Mapping[str, Raw]) -> Iterator[str]:
    """Yield a message for each override of what is neither an option nor an attribute of the spawner."""

    def is_known(name: str) -> bool:
        return hasattr(type(spawner), name) or name in vars(spawner)  # a subclass may have its own attributes

    return unknown_overrides(profiles, is_known, spawner.trait_names())


def person_of(spawner: Any, profiles: Sequence[Raw]) -> Person:
    """Return the server's owner, with their groups if profiles have rules."""
    groups = HubDatabase.of(spawner).group_names() if has_rules(profiles) else frozenset[str]()
    return Person(name=spawner.user.name, groups=groups)


def _run(steps: _Steps) -> Awaitable[None] | None:
    """Run the steps up to the first awaitable; return an awaitable for the rest, None if nothing is left.

    Hooks and subclasses call these methods without awaiting them, as they call KubeSpawner's.
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
            except BaseException as error:  # noqa: BLE001 - the steps handle it
                waited_for = steps.throw(error)
            else:
                waited_for = steps.send(result)


def name_list(keys: Collection[str]) -> str:
    """Return the names that a client sent, in one line; cut off long names and long lists."""
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return f"{', '.join(_shown(keys))}{more}"


def log_ignored(spawner: Any, names: Collection[str]) -> None:
    """Log the user_options that nothing applies."""
    if names and not spawner.apply_user_options:
        spawner.log.info(
            "%s: no profile knows these user_options: %s",
            spawner._log_name,  # noqa: SLF001 - as the hub's own log names it
            name_list(names),
        )


def _shown(keys: Collection[str]) -> list[str]:
    return [sanitized(str(key), _SHOWN) for key in nsmallest(_LISTED, keys, key=str)]


def refusal(error: WrongChoice | UnusableProfiles) -> Diagnosis:
    """Return what the user reads about unusable profiles or a wrong choice."""
    if isinstance(error, UnusableProfiles):
        return Diagnosis.failed(Stage.REQUEST, Reason.CHOICE, UNUSABLE, detail=str(error))
    return Diagnosis.failed(Stage.REQUEST, Reason.CHOICE, str(error), detail=error.detail)


def bad_request(sentence: str) -> HTTPError:
    """Return the error that makes the hub show the form again, with the sentence above it."""
    return with_message(HTTPError(400, sentence), sentence)
