"""Whatever a user sends as a choice, the hub counts no failure and keeps running for this user and all others.

Each run draws the same choices; `SEED=$RANDOM pytest tests/spawner/test_random_choices.py -m hub` draws others.
"""

import asyncio
import json
import os
import random
import string
from dataclasses import dataclass

import pytest

from devkit.testing.runs import pods

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

SEED = int(os.environ.get("SEED") or 102)

TYPED = {
    "memory": {"mem_limit": "{value}", "mem_guarantee": "{value}"},
    "processors": {"cpu_limit": "{value}"},
    "image": {"image": "{value}"},
    "port": {"port": "{value}"},
    "timeout": {"start_timeout": "{value}"},
    "environment": {"environment": {"TYPED": "{value}", "{value}": "x"}},
    "labels": {"extra_labels": {"typed": "{value}"}, "extra_annotations": {"{value}": "{value}"}},
    "selector": {"node_selector": {"typed": "{value}"}},
    "limits": {"extra_resource_limits": {"nvidia.com/gpu": "{value}"}},
    "volumes": {"volumes": [{"name": "typed", "emptyDir": {"sizeLimit": "{value}"}}], "volume_mounts": []},
    "containers": {"extra_containers": [{"name": "{value}", "image": "{value}", "args": ["{value}"]}]},
    "steps": {
        "init_containers": [{"name": "typed", "image": "x", "env": [{"name": "A", "value": "{value}"}]}]
    },
    "names": {"pod_name_template": "{value}", "pvc_name_template": "{value}", "dns_name_template": "{value}"},
    "directories": {"notebook_dir": "{value}", "default_url": "{value}", "working_dir": "{value}"},
    "account": {"service_account": "{value}", "priority_class_name": "{value}", "scheduler_name": "{value}"},
    "claims": {"extra_claims": [{"name": "{value}", "capacity": "{value}", "mount_path": "{value}"}]},
    "storage": {
        "storage_capacity": "{value}",
        "storage_class": "{value}",
        "storage_access_modes": ["{value}"],
    },
    "pod": {"extra_pod_config": {"hostname": "{value}"}, "lifecycle_hooks": {"{value}": {}}},
    "contexts": {
        "container_security_context": {"{value}": "{value}"},
        "uid": "{value}",
        "privileged": "{value}",
    },
    "message": {"slow_spawn_message": "{value}", "slow_spawn_message_threshold": 0},
    "command": {"cmd": ["{value}"], "args": ["{value}"]},
    "guard": {"security_profile": "{value}", "secret_environment": ["{value}"]},
    "no setting": {"{value}": "{value}"},
}
"""What administrators let users type, by the option's name; some of it is unwise."""

CHOICES = {
    "large": {"kubespawner_override": {"mem_limit": "16G"}},
    "broken": {"kubespawner_override": {"environment": {"A": '{"a": 1}'}}},
    "odd": {"kubespawner_override": {"extra_containers": ["x"], "mem_limit": "infG"}},
    "failing": {"kubespawner_override": {"image": lambda spawner: spawner.user_options["no such key"]}},
    7: {"kubespawner_override": {"extra_labels": {"seven": 7}}},
}

PROFILES = [
    {"display_name": "Plain", "default": True},
    {
        "display_name": "Typed",
        "profile_options": {
            name: {
                "choices": {"none": {}},
                "unlisted_choice": {"enabled": True, "kubespawner_override": override},
            }
            for name, override in TYPED.items()
        },
    },
    {"display_name": "Chosen", "profile_options": {"size": {"choices": CHOICES}, 5: {"choices": CHOICES}}},
    {
        "display_name": "Strict",
        "profile_options": {
            "image": {
                "unlisted_choice": {
                    "enabled": True,
                    "validation_regex": "[a-z]+(:[0-9]+)?",
                    "kubespawner_override": {"image": "{value}"},
                }
            }
        },
    },
]
SLUGS = ["plain", "typed", "typed", "typed", "chosen", "strict", "no such profile"]

TEXTS = [
    *("", " ", "a", "none", "large", "broken", "odd", "failing", "7", "example.org/lab:1", "restricted"),
    *(
        "1",
        "2G",
        "infG",
        "nanG",
        "1e400G",
        "-infK",
        "1e309",
        "inf",
        "nan",
        "-1",
        "0",
        "0x10G",
        "1_0G",
        "\u0661G",
        "9" * 400,
    ),
    *(
        "{",
        "}",
        "{}",
        "{0}",
        "{username}",
        "{value}",
        "{username.__class__}",
        "{seconds:>99999999999}",
        "%s",
        "$(A)",
    ),
    *(
        "true",
        "null",
        "../../etc",
        "default",
        "kube-system",
        "-",
        "a/b",
        "a b",
        "é",
        "用户",
        "\n",
        "\x00",
        "\u202e",
    ),
    *(
        "failed calling webhook",
        "exceeded quota: a, requested: b, used: c, limited: d",
        'serviceaccount "x" not found',
    ),
    *("maximum x usage per y is z, but limit is w", "<script>alert(1)</script>", "x" * 4000, "x" * 100_000),
]


NUMBERS = [0, 1, -1, 2**63, 10**400, 0.5, -0.0, 1e308, True, False]

FITTING = {
    "plain": [],
    "typed": [f"{name}--unlisted-choice" for name in TYPED],
    "chosen": ["size", "5"],
    "strict": ["image--unlisted-choice"],
}
"""The keys that each profile knows."""


@dataclass
class Drawing:
    """Draws what a client may send: half of it fits, so that it comes further than to the first refusal."""

    by: random.Random

    def user_options(self):
        slug = self.by.choice(["typed", *FITTING])
        options = {
            key: self.fitting_value(key) for key in FITTING[slug] if self.by.random() < 2 / len(FITTING[slug])
        }
        if self.by.random() < 0.3:
            options[self.key()] = self.value()
        if self.by.random() < 0.03:
            options |= {f"key-{number}": number for number in range(1000)}
        options["profile"] = slug if self.by.random() < 0.95 else self.value()
        return options

    def fitting_value(self, key):
        if self.by.random() < 0.1:
            return self.value()
        return self.text() if "--" in key else self.by.choice([*CHOICES, "none"])

    def key(self):
        name = self.by.choice([*TYPED, "size", "5", "image", self.text()])
        return self.by.choice([name, f"{name}--unlisted-choice", f"profile-option-{name}"])

    def value(self, depth=3):
        """Return any JSON."""
        simple = [self.text, lambda: self.by.choice(NUMBERS), lambda: None]
        nested = [
            lambda: [self.value(depth - 1) for _ in range(self.by.randrange(3))],
            lambda: {self.text(): self.value(depth - 1) for _ in range(self.by.randrange(3))},
            lambda: json.loads("[" * 200 + "]" * 200),
        ]
        return self.by.choice([*simple, *(nested if depth else ())])()

    def text(self):
        if self.by.random() < 0.7:
            return self.by.choice(TEXTS)
        letters = self.by.choice([string.ascii_lowercase, string.printable, "{}$()", "äöü\u0000\ud800"])
        return "".join(self.by.choices(letters, k=self.by.choice([1, 5, 60, 300])))


async def outlives(hub, number):
    """Send so many choices to a hub that ends itself at the first failure that counts."""
    drawing = Drawing(random.Random(SEED))
    for _ in range(number):
        options = drawing.user_options()
        drawn = f"SEED={SEED}: {json.dumps(options)[:1000]}"
        status, body = await hub.api("POST", "/users/ada/server", json=options)
        spawn = hub.spawner("ada")._spawn_future if status == 202 else None
        if spawn is not None:
            await asyncio.wait([spawn])
        assert hub.failure_count == 0, drawn
        assert status < 500, (drawn, body)
        if status in {201, 202}:
            await hub.stop_server("ada")
            await hub.wait_stopped("ada", seconds=120)
    await asyncio.sleep(5)  # a hub that has had enough ends itself after two seconds
    await hub.start_server("bob")
    await hub.wait_ready("bob")


@pytest.mark.parametrize("number", [30, pytest.param(1000, marks=pytest.mark.slow)])
async def test_random_choices_leave_the_hub_up(hub, cluster, number, caplog):
    options = {"start_timeout": 60, "http_timeout": 10, "consecutive_failure_limit": 5}
    async with hub(profile_list=PROFILES, **options) as hub:
        await outlives(hub, number)
        assert len(pods(cluster)) == 1
    unwritable = [line for line in caplog.messages if line != line.encode(errors="replace").decode()]
    assert [ascii(line) for line in unwritable] == [], f"SEED={SEED}"
