"""Profiles as administrators write them."""

from copy import deepcopy
from typing import Any

from k8s_hub.profiles.listing import Person

ADA = Person(name="ada", groups=frozenset({"students"}))
BOB = Person(name="bob", groups=frozenset({"staff"}))

SMALL: dict[str, Any] = {"display_name": "Small", "kubespawner_override": {"mem_limit": "1G"}}
GPU: dict[str, Any] = {
    "display_name": "Data science, with a GPU",
    "slug": "gpu",
    "kubespawner_override": {"image": "lab", "environment": {"MODE": "gpu"}},
    "profile_options": {
        "image": {
            "display_name": "Image",
            "choices": {
                "old": {"display_name": "Old", "kubespawner_override": {"image": "lab:1"}},
                "new": {"display_name": "New", "default": True, "kubespawner_override": {"image": "lab:2"}},
            },
            "unlisted_choice": {
                "enabled": True,
                "display_name": "Other image",
                "validation_regex": "^pangeo/.*$",
                "validation_message": "Must be pangeo/NAME.",
                "kubespawner_override": {"image": "{value}", "environment": {"IMAGE": "{value}"}},
            },
        },
        "cards": {
            "choices": {
                1: {"kubespawner_override": {"extra_labels": {"cards": "1"}}},
                2: {"kubespawner_override": {"extra_labels": {"cards": "2"}}},
            }
        },
    },
}
REQUIRED: dict[str, Any] = {
    "display_name": "Anything",
    "profile_options": {
        "image": {"unlisted_choice": {"enabled": True, "kubespawner_override": {"image": "{value}"}}}
    },
}


def profiles() -> list[dict[str, Any]]:
    """Return a list that nobody else has."""
    return deepcopy([SMALL, GPU, REQUIRED])


def ruled() -> list[dict[str, Any]]:
    """Return profiles of which each has something for some people only."""
    return [
        {"display_name": "Staff", "default": True, "access": {"groups": ["staff"]}},
        {"display_name": "Ada's", "slug": "adas", "access": {"users": ["ada"], "groups": []}},
        {
            "display_name": "Shared",
            "profile_options": {
                "cards": {
                    "access": {"groups": ["staff"]},
                    "choices": {"one": {"kubespawner_override": {"image": "cards"}}},
                },
                "size": {
                    "choices": {
                        "huge": {
                            "default": True,
                            "access": {"groups": ["staff"]},
                            "kubespawner_override": {"mem_limit": "64G"},
                        },
                        "tiny": {"kubespawner_override": {"mem_limit": "1G"}},
                    },
                    "unlisted_choice": {
                        "enabled": True,
                        "access": {"users": ["bob"]},
                        "kubespawner_override": {"mem_limit": "{value}"},
                    },
                },
                "secret": {"choices": {"only": {"access": {"users": ["carol"]}}}},
            },
        },
    ]
