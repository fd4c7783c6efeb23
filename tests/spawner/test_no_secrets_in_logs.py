"""No log line, at any level, and no sentence has a token, a value of the environment, or text that a user sent.

The hub logs at DEBUG, and the starts end in each way in which a message might quote the pod.
"""

import asyncio
import json
import logging
from base64 import b64encode
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from jupyterhub.crypto import CryptKeeper
from kubernetes_asyncio.client import V1Container

from devkit.minicluster.faults import FaultRule, Refuse, ReplyLost
from devkit.minicluster.resources import PODS
from devkit.minicluster.statuses import status_body
from devkit.testing.runs import claims, pods, takes
from k8s_hub.objects.keys import key_of
from k8s_hub.spawner.compat.models import to_json

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

SECRETS = {
    "environment": "environment-0f3a95",
    "callable": "callable-a41c7b",
    "template": "template-77d0e2",
    "hook": "hook-3b9f10aa",
    "auth state": "auth-state-c8812d",
    "user option": "user-option-5e6a04",
    "lines": "-----BEGIN-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END-----",
    "quotes": 'quotes "94aa31" quotes',
}
PARTS = [
    *(line for secret in SECRETS.values() for line in secret.splitlines() if "---" not in line),
    json.dumps(SECRETS["quotes"])[1:-1],
    *(b64encode(secret.encode()).decode() for secret in SECRETS.values()),
]
ENVIRONMENT = {
    "DB_PASSWORD": SECRETS["environment"],
    "CALLED": lambda spawner: SECRETS["callable"],
    "URL": "postgres://{username}:" + SECRETS["template"] + "@db/",
    "KEY": SECRETS["lines"],
    "QUOTES": SECRETS["quotes"],
}
IN_SECRET = {"api_token_in_secret": True, "secret_environment": ["DB_PASSWORD", "CALLED"]}


def refusal(code, reason, words, *fields):
    """A Status that quotes what was sent in every way, as an API server, or a policy, may."""

    def of(manifest):
        message = f"{words}: {in_words(manifest)}"
        causes = [{"reason": "FieldValueInvalid", "message": message, "field": field} for field in fields]
        details = {"kind": "Pod", "causes": causes}
        return Refuse(code=code, body=status_body(code, reason, message, details))

    return of


def no_status(code):
    """The page of something that stands before the API server."""
    return lambda manifest: Refuse(code=code, body={"sorry": in_words(manifest)})


def in_words(manifest):
    """All that is in a pod; the end is cut off in the middle of a secret."""
    env = [entry for container in manifest["spec"]["containers"] for entry in container.get("env") or ()]
    each = [f'{entry["name"]}="{entry.get("value")}"' for entry in env]
    secrets = [b64encode(str(entry.get("value")).encode()).decode() for entry in env]
    return " ".join([json.dumps(env), str(env), *each, *secrets])


REFUSALS = {
    "an invalid variable": refusal(422, "Invalid", "Pod is invalid", "spec.containers[0].env[0].value"),
    "an invalid field": refusal(422, "Invalid", "Pod is invalid", "spec.containers[0].args"),
    "a pod not understood": refusal(400, "BadRequest", 'Pod in version "v1" cannot be handled as a Pod'),
    "a policy": refusal(403, "Forbidden", 'admission webhook "policy" denied the request'),
    "a right that is missing": refusal(403, "Forbidden", "forbidden"),
    "an error": refusal(500, "InternalError", "Internal error occurred"),
    "too much to do": refusal(429, "TooManyRequests", "slow down"),
    "another's page": no_status(502),
    "another's refusal": no_status(403),
}


class Story:
    """One hub, and all that was said in it."""

    def __init__(self, hub, caplog):
        self.hub, self._caplog = hub, caplog
        self.tokens, self.said = set(), []

    async def start(self):
        """Start ada's server while she reads; return what she reads in the end if it fails."""
        await self.hub.app.users["ada"].save_auth_state({"access_token": SECRETS["auth state"]})
        await self.hub.start_server("ada", options={"note": SECRETS["user option"]})
        spawner = self.hub.spawner("ada")
        self.tokens |= {spawner.api_token} - {""}  # a start that failed at once has none any more
        spawn, reading = spawner._spawn_future, asyncio.create_task(self._read(spawner))
        if spawn is not None:
            await asyncio.wait([spawn])
        reading.cancel()
        if spawn is None:
            return ""
        error = spawn.exception()
        failure = "" if error is None else getattr(error, "jupyterhub_message", "") or str(error)
        self.said += [failure, str(error)]
        return failure

    async def _read(self, spawner):
        async for event in spawner.progress():
            self.said.append(event["message"])

    def assert_nothing_was_said(self):
        formatter = logging.Formatter()
        records = [f"{formatter.format(record)} {record.args!r}" for record in self._caplog.records]
        assert any("k8s_hub" in record.name or "ada" in str(record.args) for record in self._caplog.records)
        assert all(len(token) == 32 for token in self.tokens)
        for part in (*PARTS, *self.tokens):
            assert [text for text in (*records, *self.said) if part in text] == []


@pytest.fixture
def story(hub, cluster, caplog):
    """A function that opens a hub with secrets in everything; `quote` is how each pod is refused, if it is."""

    @asynccontextmanager
    async def tell(*, quote=None, **options):
        created = []

        def add_container(spawner, pod):
            created.append(spawner)
            pod.spec.containers.append(
                V1Container(name="proxy", image="any", env=[{"name": "HOOKED", "value": SECRETS["hook"]}])
            )
            if quote is not None:
                cluster.faults.clear()
                cluster.faults.add(FaultRule(effect=quote(to_json(pod)), verb="create", resource="pods"))
            return pod

        def use_auth_state(spawner, auth_state):
            spawner.environment = {**spawner.environment, "ACCESS_TOKEN": auth_state["access_token"]}

        caplog.set_level(logging.DEBUG)
        config = {
            "log_level": logging.DEBUG,
            "tornado_settings": {"slow_spawn_timeout": 0},
            "consecutive_failure_limit": 0,
        }
        settings = {
            "environment": ENVIRONMENT,
            "modify_pod_hook": add_container,
            "auth_state_hook": use_auth_state,
            **options,
        }
        async with hub(hub=config, **settings) as opened:
            CryptKeeper.instance(config=opened.app.config).keys = [bytes(32)]
            opened.app.authenticator.enable_auth_state = True
            opened.app.log.setLevel(logging.DEBUG)
            # At DEBUG, traitlets writes the hub's whole configuration, before any of this package is asked.
            caplog.clear()
            told = Story(opened, caplog)
            yield told
        told.assert_nothing_was_said()

    yield tell
    CryptKeeper.clear_instance()


@pytest.mark.parametrize("options", [{}, IN_SECRET], ids=["plain", "in a Secret"])
async def test_a_run_that_goes_well(story, cluster, options):
    async with story(**options) as told:
        assert await told.start() == ""
        everything = str([*pods(cluster)])
        assert (SECRETS["environment"] in everything) == (not options)
        assert SECRETS["hook"] in everything
        assert SECRETS["auth state"] in everything
        assert await told.hub.spawner("ada").poll() is None
        told.hub.set_activity("ada", datetime(2100, 1, 1))  # noqa: DTZ001 - as the hub's database has it
        await told.hub.stop_server("ada")
        await told.hub.wait_stopped("ada", seconds=60)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, IN_SECRET], ids=["plain", "in a Secret"])
@pytest.mark.parametrize("quote", REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_that_quotes_the_pod(story, cluster, quote, options):
    async with story(quote=quote, start_timeout=60, **options) as told:
        assert await told.start()
        assert not pods(cluster)


async def test_a_reply_that_is_lost(story, cluster):
    async with story() as told:
        cluster.faults.add(FaultRule(effect=ReplyLost(), verb="create", resource="pods", count=1))
        assert await told.start() == ""


@pytest.mark.parametrize(
    "reason", ["CreateContainerError", "CreateContainerConfigError", "RunContainerError", "ErrImagePull"]
)
async def test_a_machine_that_quotes_the_pod(story, cluster, reason):
    takes(cluster, start=1000)

    def quote(spawner, pod):
        waiting = {"reason": reason, "message": f"failed: {in_words(pod)}"}
        status = {
            "name": "notebook",
            "image": "any",
            "ready": False,
            "restartCount": 0,
            "state": {"waiting": waiting},
        }

        def edit(raw):
            return {**raw, "status": {**raw["status"], "containerStatuses": [status]}}

        cluster.database.update(PODS, key_of(pod), edit)

    async with story(after_pod_created_hook=quote, start_timeout=60) as told:
        assert await told.start()


@pytest.mark.parametrize(
    "hook", ["pre_spawn_hook", "modify_pod_hook", "after_pod_created_hook", "get_pod_url"]
)
async def test_a_hook_that_fails(story, cluster, caplog, hook):
    """Its traceback is in the log, without what it quotes of the environment."""

    def fail(spawner, *_):
        raise RuntimeError(f"no licence left: {spawner.environment['DB_PASSWORD']}")

    async with story(**{hook: fail}) as told:
        assert "a function of this hub failed" in await told.start()
    assert "RuntimeError: no licence left: ***" in caplog.text
    assert len(claims(cluster)) <= 1


WITH_SECRET = {
    "an unknown field": {"environment": {"A": '{"password": "%s"}' % SECRETS["hook"]}},  # noqa: UP031 - braces
    "a malformed template": {"environment": {"A": "{" + SECRETS["hook"]}},
    "a field of a field": {"environment": {"A": "{username." + SECRETS["hook"] + "}"}},
    "a list": {"environment": {"A": [SECRETS["hook"]]}},
    "bytes": {"environment": {"A": SECRETS["hook"].encode()}},
    "a number as name": {"environment": {5: SECRETS["hook"]}},
    "a reference": {"environment": {"A": "$(X)" + SECRETS["hook"]}, "secret_environment": ["A"]},
    "a text as container": {"extra_containers": [SECRETS["hook"]]},
    "a malformed variable": {"init_containers": [{"env": [{"name": "A", "value": "{" + SECRETS["hook"]}]}]},
    "a variable without a name": {
        "extra_container_config": {"env": [{"value": SECRETS["hook"]}]},
        **IN_SECRET,
    },
    "a text as variables": {"extra_container_config": {"env": SECRETS["hook"]}},
    "a text as containers": {"extra_pod_config": {"containers": SECRETS["hook"]}},
    "a text as volume": {"volumes": [SECRETS["hook"]]},
    "a malformed annotation": {"extra_annotations": {"a": "{" + SECRETS["hook"]}},
    "a malformed label": {"extra_labels": {"a": "{" + SECRETS["hook"]}},
    "a malformed directory": {"working_dir": "{" + SECRETS["hook"]},
    "a malformed URL": {"default_url": "{" + SECRETS["hook"]},
    "a set": {"extra_pod_config": {"x": {SECRETS["hook"]}}},
    "an object": {"extra_pod_config": {"x": type(SECRETS["hook"], (), {})()}},
}


@pytest.mark.slow
@pytest.mark.parametrize("options", WITH_SECRET.values(), ids=WITH_SECRET)
async def test_a_setting_that_is_not_valid(story, cluster, caplog, options):
    """By itself, and in a profile."""
    config = {"environment": {}, "modify_pod_hook": None}
    async with story(**{**config, **options}) as told:
        assert "setting of this hub is not valid" in await told.start()
    caplog.clear()
    profiles = [{"display_name": "A", "kubespawner_override": options}]
    async with story(**config, profile_list=profiles) as told:
        assert "setting of this hub is not valid" in await told.start()


async def test_options_that_are_wrong(story, cluster):
    profiles = [{"display_name": "Plain", "slug": "plain"}]
    async with story(profile_list=profiles) as told:
        assert await told.start() == ""
        await told.hub.stop_server("ada")
        await told.hub.wait_stopped("ada", seconds=60)
