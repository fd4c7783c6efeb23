"""The choices that users have when they start a server."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from traitlets import Callable, Dict, HasTraits, List, TraitError, TraitType, Unicode, default, validate
from traitlets.utils.bunch import Bunch

from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.checks import (
    UnusableProfiles,
    fixed_overrides,
    foreign_rules,
    overrides_too_late,
    usable,
    useless_slugs,
)
from k8s_hub.spawner.config.kinds import OneOf
from k8s_hub.spawner.run_log import warn_once

_LISTED = 5


class ProfileTraits(HasTraits):
    """Profiles, and the form that shows them."""

    profile_list: Any = OneOf(
        [List(), Callable(), Dict()],
        config=True,
        help="""
        Profiles from which users choose what kind of server they start.

        A list of dictionaries; or a dictionary of them, in the order of its keys; or a function (spawner) that
        returns either, which may be async and is called for the form and again at the start. Keys of a profile:

        - display_name, description: shown in the form; simple HTML is possible.
        - slug: its name for the API; made of display_name if missing.
        - default: true for the profile that is chosen beforehand, else it is the first.
        - kubespawner_override: settings of the spawner, each a value or a function (spawner) that returns it and may
          be async. A dictionary is merged into the setting, and None removes a key of it; others are replaced.
        - profile_options: dictionary of options, each with display_name, choices (a dictionary of dictionaries with
          display_name, default and kubespawner_override) and unlisted_choice (a dictionary with enabled,
          display_name, display_name_in_choices, validation_regex, which the whole value must match,
          validation_message and kubespawner_override, in whose texts {value} is what the user wrote).
        - access: on profiles, options, choices and unlisted_choice: for whom they are, a dictionary with the lists
          groups (of the hub) and users. Without it: for everybody.

        Example::

            c.KubeSpawner.profile_list = [
                {"display_name": "Small"},
                {"display_name": "Large", "kubespawner_override": {"mem_limit": "16G"}},
            ]
        """,
    )

    profile_form_template = Unicode(
        "",
        config=True,
        help="""
        Jinja2 template of the form, as text, in place of the form that comes with the spawner.

        It gets profile_list (the profiles for this user, with slugs and defaults) and user_options (the user's last
        choices that are still valid). It does not escape. Empty: the spawner searches
        additional_profile_form_template_paths.
        """,
    )

    additional_profile_form_template_paths: Any = List(
        config=True,
        help="""
        Directories that are searched for a form.html, a Jinja2 template as of profile_form_template.

        The first one found is used; without any, the form that comes with the spawner.
        """,
    )

    @default("options_form")
    def _default_options_form(self: Any) -> Any:
        return self._render_options_form_dynamically if self.profile_list else ""

    @default("options_from_form")
    def _options_from_form_default(self: Any) -> Any:
        return self._options_from_form

    @validate("profile_list")
    def _is_a_list(self, proposal: Bunch) -> Any:
        """Warn about every fault once a list is known; the spawner checks a function's result when it has one."""
        if callable(proposal.value):
            return proposal.value
        try:
            self._warn_about_profiles(*usable(proposal.value))
        except UnusableProfiles as error:
            raise TraitError(f"KubeSpawner.{error}") from None
        return proposal.value

    def _warn_about_profiles(
        self, profiles: Mapping[str, Raw], faults: Iterable[str] = (), *, of_function: bool = False
    ) -> None:
        """Log each fault of the usable profiles once, with its place, and also the faults already found."""
        faults = (
            *faults,
            *useless_slugs(profiles),
            *overrides_too_late(profiles),
            *_refused_values(self, profiles),
        )
        for fault in faults:
            warn_once(_log_of(self), f"KubeSpawner.{fault}")
        foreign = list(foreign_rules(profiles))
        if foreign:
            # A function probably filters by these itself, and returns different places for each user.
            warn_once(
                _log_of(self), _about_foreign_rules(["profile_list's profiles"] if of_function else foreign)
            )


def _refused_values(spawner: HasTraits, profiles: Mapping[str, Raw]) -> Iterator[str]:
    traits = spawner.traits()
    with spawner.cross_validation_lock:
        for path, name, value in fixed_overrides(profiles):
            if name in traits and (fault := _fault(spawner, traits[name], value)):
                yield f"{path}: {fault}"


def _fault(spawner: HasTraits, trait: TraitType[Any, Any], value: Any) -> str:
    if isinstance(value, dict) and value and not _fault(spawner, trait, {}):
        return ""  # `merged` adds it to the setting, and None removes a key
    try:
        trait._validate(spawner, value)  # noqa: SLF001 - traitlets has no other way to ask
    except TraitError as error:
        # A dictionary's values may be secret, and so may a wrong value for a dictionary.
        kind = f"must be {trait.info()}, not a {type(value).__name__}"
        return kind if isinstance(trait, Dict) else str(error)
    except Exception as error:  # noqa: BLE001 - of a trait in a subclass, for example
        return f"must be {trait.info()}; it raises {type(error).__name__}"
    return ""


def _about_foreign_rules(places: Sequence[str]) -> str:
    more = f" and {len(places) - _LISTED} more" if len(places) > _LISTED else ""
    return (
        f"KubeSpawner.{', '.join(places[:_LISTED])}{more}: allowed_groups and allowed_users restrict nothing unless your"
        " own function filters by them, nor does access that is a string, k8s_hub ignores them as KubeSpawner does; to"
        " restrict a profile or choice, write access: {groups: [...], users: [...]}"
    )


def _log_of(options: Any) -> logging.Logger:
    log: logging.Logger = options.log
    return log
