"""What the culler's token may do: asked until it is known, again now and then, and told once."""

import asyncio

import pytest

from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.core import needs
from k8s_hub.culler.wiring import AGAIN_SECONDS, UNTIL_KNOWN, TokenScopes
from k8s_hub.hub.errors import BadReply, HubForbidden, HubUnavailable

CORE = frozenset({"list:users", "read:servers", "delete:servers"})


class Hub:
    """Answers with what it is told to, the last again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.probed = 0

    async def __call__(self):
        self.probed += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.looptime
@pytest.mark.parametrize(
    "trouble",
    [HubForbidden("not valid"), HubUnavailable("503"), BadReply("no JSON"), ValueError("a mistake")],
    ids=lambda error: type(error).__name__,
)
async def test_one_failed_request_does_not_mean_no_scopes_for_life(trouble):
    """Busy servers were stopped unheard, for the life of the process."""
    seen = []
    hub = Hub(trouble, trouble, CORE)
    scopes = TokenScopes(hub, seen.append)
    extension_limits = asyncio.create_task(scopes.keep_known())
    await asyncio.sleep(2 * UNTIL_KNOWN.ceiling)
    assert (scopes.known, seen, hub.probed) == (CORE, [CORE], 3)
    extension_limits.cancel()


@pytest.mark.looptime
async def test_scopes_that_change_are_noticed_and_a_failure_takes_none_away():
    seen = []
    hub = Hub(CORE, CORE, HubUnavailable("503"), CORE | {"tokens"})
    scopes = TokenScopes(hub, seen.append)
    extension_limits = asyncio.create_task(scopes.keep_known())
    for known in (CORE, CORE, CORE, CORE | {"tokens"}):
        await asyncio.sleep(1)
        assert scopes.known == known
        await asyncio.sleep(AGAIN_SECONDS - 1)
    assert seen == [CORE, CORE | {"tokens"}]
    extension_limits.cancel()


async def test_whoever_needs_them_now_asks_unless_they_are_known():
    hub = Hub(HubForbidden("not valid"), CORE)
    scopes = TokenScopes(hub, lambda _has: None)
    with pytest.raises(HubForbidden):
        await scopes()
    assert await scopes() == CORE
    assert await scopes() == CORE
    assert hub.probed == 2


# --- What is needed, and what is too much ---


def lacking(wanted, has):
    return list(needs.lacking(list(wanted), has))


def named(sentences):
    return [sentence.partition("scope ")[2].partition(":\N{SPACE}")[0] for sentence in sentences]


def test_cull_users_names_the_scope_that_shows_when_users_were_created():
    wanted = list(needs.Options(culls_users=True).needs(CORE))
    has = CORE | {"read:users:name", "read:users:activity", "delete:users"}
    (sentence,) = lacking(wanted, has)
    assert sentence.startswith("The API token lacks the scope read:users: ")
    assert "deletes no user without activity" in sentence
    assert lacking(wanted, has | {"read:users"}) == []


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (needs.GROUPS, "the culler cannot tell whether rules for groups match"),
        (needs.STATE, "rules for profiles and options"),
    ],
)
def test_what_rules_need_is_named_with_what_happens_until_then(scope, words):
    (sentence,) = lacking(needs.Options(of_rules=[scope]).needs(CORE), CORE)
    assert f"lacks the scope {scope}: {words}" in sentence
    assert "the longer limit applies" in sentence


@pytest.mark.parametrize(
    ("has", "options", "names"),
    [
        ({"admin:server_state"}, {}, []),
        (set(), {}, ["admin:server_state"]),
        # The address from elsewhere, but no token; a token from elsewhere, but no address.
        (set(), {"has_template": True}, ["admin:server_state"]),
        ({"proxy"}, {}, ["admin:server_state"]),
        ({"tokens"}, {}, ["admin:server_state"]),
        ({"tokens", "proxy"}, {}, []),
        ({"access:servers"}, {"shows_own_token": True, "has_template": True}, []),
        ({"access:servers"}, {"has_template": True}, ["admin:server_state"]),
        (
            {"access:servers!user=ada"},
            {"shows_own_token": True},
            ["admin:server_state", "access:servers (only access:servers!user=ada)"],
        ),
        (set(), {"shows_own_token": True}, ["admin:server_state", "access:servers"]),
    ],
)
def test_what_asking_servers_needs(has, options, names):
    wanted = needs.Options(asks_servers=True, **options).needs(has)
    assert named(lacking(wanted, has | CORE)) == names


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("http://{pod_name}.pods.example:8888", ["admin:server_state"]),
        ("http://jupyter-{username}.{namespace}:8888", ["admin:server_state"]),
        ("http://jupyter-{user_server}.jhub:8888", []),
    ],
)
def test_an_address_with_a_field_of_the_saved_state_needs_the_state(template, names):
    culler = IdleCuller()
    culler.initialize(["--ask-servers", "--ask-with-own-token", f"--server-url-template={template}"])
    has = {"access:servers"}
    assert named(lacking(culler.scope_options.needs(has), has | CORE)) == names


@pytest.mark.parametrize(
    ("has", "shows_own_token", "words"),
    [
        (CORE | {"admin:server_state"}, False, []),
        ({"tokens"}, False, ["scope tokens: with it, the culler can make a token of any user"]),
        ({"access:servers"}, False, ["scope access:servers, which the culler does not use"]),
        ({"access:servers!group=a"}, False, ["scope access:servers, which the culler does not use"]),
        ({"access:servers"}, True, ["the culler sends every server a token"]),
        ({"access:servers", "tokens"}, True, ["of any user", "the culler sends every server a token"]),
        (set(), True, []),
        ({"access:services!service=idle-culler"}, False, []),
    ],
)
def test_a_scope_that_is_too_much_is_named_with_what_it_can_do(has, shows_own_token, words):
    sentences = list(needs.dangers(has, shows_own_token=shows_own_token))
    assert len(sentences) == len(words)
    assert all(word in sentence for word, sentence in zip(words, sentences, strict=True))
    assert all("KubeSpawner.save_access_token" in sentence for sentence in sentences)
