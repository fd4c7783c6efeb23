"""Profiles in a hub: the form, links and the API; a wrong choice creates nothing and counts as no failure."""

import sys
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
import jupyterhub
import pytest
from tornado.web import HTTPError
from yarl import URL

from devkit.testing.runs import pods
from tests.profiles.samples import profiles, ruled
from tests.profiles.test_form import Page

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

IS_HUB_6 = jupyterhub.version_info[0] >= 6
LIMIT = {"consecutive_failure_limit": 3}


class Browser:
    """A user who is logged in and looks at the page of server options."""

    def __init__(self, hub, session):
        self.hub, self.session = hub, session

    async def open(self, query=None):
        """Return the status and the page."""
        url = f"{self.hub.url}spawn" + (f"?{urlencode(query)}" if query else "")
        async with self.session.get(url, allow_redirects=False) as reply:
            return reply.status, await reply.text()

    async def submit(self, form):
        """Return the status and the page that follows the form."""
        return await self.post("spawn", aiohttp.FormData(form, default_to_multipart=True))

    async def post(self, path, data):
        cookies = self.session.cookie_jar.filter_cookies(URL(self.hub.url))
        headers = {"X-XSRFToken": cookies["_xsrf"].value}
        async with self.session.post(
            self.hub.url + path, data=data, headers=headers, allow_redirects=False
        ) as reply:
            return reply.status, await reply.text()


@asynccontextmanager
async def browser(hub, user="ada"):
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        opened = Browser(hub, session)
        async with session.get(f"{hub.url}login") as reply:
            assert reply.status == 200
        status, _ = await opened.post("login", {"username": user, "password": "x"})
        assert status == 302
        async with session.get(f"{hub.url}home") as reply:
            assert reply.status == 200
        yield opened


def changes(witness):
    """Return the calls that were more than a look, which the hub takes after a failed start."""
    return [call for call in witness.calls if call.verb not in {"get", "list", "watch"}]


def error_in(text):
    assert "spawn-error-msg" in text, text
    return Page(text.partition('<p class="spawn-error-msg')[2].partition("</p>")[0].partition(">")[2]).text


async def refused(hub, options, user="ada"):
    """Return the message of the API's refusal."""
    status, body = await hub.api("POST", f"/users/{user}/server", json=options)
    assert status == 400, (status, body)
    return body["message"]


async def test_the_form_is_shown_and_a_choice_in_it_starts_the_server(hub, cluster):
    async with hub(profile_list=profiles(), **LIMIT) as hub, browser(hub) as ada:
        status, text = await ada.open()
        assert status == 200
        assert 'name="profile-option-gpu--image--unlisted-choice"' in text

        form = {"profile": "gpu", "profile-option-gpu--image": "old", "profile-option-gpu--cards": "2"}
        status, _ = await ada.submit(form)
        assert status == 302
        await hub.wait_ready("ada")

        (pod,) = pods(cluster)
        container = pod["spec"]["containers"][0]
        assert container["image"] == "lab:1"
        assert pod["metadata"]["labels"]["cards"] == "2"
        assert hub.spawner("ada").user_options == {"profile": "gpu", "image": "old", "cards": "2"}


async def test_a_wrong_choice_brings_the_form_back_with_a_sentence_and_what_was_right(hub, cluster, witness):
    async with hub(profile_list=profiles(), **LIMIT) as hub, browser(hub) as ada:
        form = {
            "profile": "gpu",
            "profile-option-gpu--image--unlisted-choice": "evil/x",
            "profile-option-gpu--cards": "2",
        }
        status, text = await ada.submit(form)

        assert status == 400
        assert error_in(text) == 'Error: The option "image" cannot be "evil/x": Must be pangeo/NAME.'
        assert 'value="evil/x"' in text
        assert '<option value="2" selected>' in text
        assert {call.verb for call in witness.calls} <= {"list", "watch"}
        assert hub.failure_count == 0
        assert not hub.spawner("ada")._failed

        form["profile-option-gpu--image--unlisted-choice"] = "pangeo/x"
        assert (await ada.submit(form))[0] == 302
        await hub.wait_ready("ada")


@pytest.mark.parametrize("prefix", ["", "opt-"] if IS_HUB_6 else [""])
async def test_a_link_chooses_as_the_form_does(hub, cluster, prefix):
    async with hub(profile_list=profiles(), **LIMIT) as hub, browser(hub) as ada:
        status, text = await ada.open({f"{prefix}profile": "huge"})
        assert status == 400
        assert error_in(text).startswith('Error: There is no profile "huge"; choose one of "small"')
        assert 'name="profile"' in text

        query = {f"{prefix}profile": "gpu", f"{prefix}profile-option-gpu--image": "old"}
        status, _ = await ada.open(query)
        assert status == 302
        await hub.wait_ready("ada")
        assert hub.spawner("ada").image == "lab:1"


async def test_wrong_choices_over_the_api_are_refused_before_any_call_and_never_counted(
    hub, cluster, witness
):
    wrong = [
        ({"profile": "huge"}, 'no profile "huge"'),
        ({"profile": ["gpu"]}, '"profile" must be a string, not a list'),
        ({"profile": "gpu", "image": "older"}, 'no choice "older"'),
        ({"profile": "gpu", "image--unlisted-choice": "pangeo/x\ny"}, "Must be pangeo/NAME"),
        ({"profile": "gpu", "image--unlisted-choice": {"a": 1}}, "must be a string, not an object"),
        ({"profile": "gpu", "image--unlisted-choice": "pangeo/" + 100_000 * "x"}, "at most 4000"),
        ({"profile": "anything"}, 'The option "image" needs a value'),
        ({"profile": "anything", "image--unlisted-choice": "\ud800"}, "invalid character"),
        ({"profile": "small", "profile-option-small--image": "x"}, "is the name of a form field"),
    ]
    async with hub(profile_list=profiles(), **LIMIT) as hub:
        for options, sentence in wrong:
            assert sentence in await refused(hub, options)
            assert hub.failure_count == 0
        assert changes(witness) == []

        assert await hub.start_server("ada", options={"profile": "gpu", "garbage": ["x"]}) in {201, 202}
        await hub.wait_ready("ada")
        assert hub.failure_count == 0


async def test_fifty_wrong_choices_in_a_row_leave_the_hub_as_it_was(hub, cluster, witness):
    async with hub(profile_list=profiles(), consecutive_failure_limit=5) as hub, browser(hub) as ada:
        for number in range(25):
            assert f"no{number}" in await refused(hub, {"profile": f"no{number}"})
            assert (await ada.submit({"profile": "huge"}))[0] == 400

        assert hub.failure_count == 0
        assert changes(witness) == []


async def test_profiles_from_an_async_function_are_judged_at_the_start_and_the_form_comes_back(
    hub, cluster, witness
):
    async def listing(spawner):
        return [*profiles(), {"display_name": f"Of {spawner.user.name}", "slug": "own"}]

    async with hub(profile_list=listing, **LIMIT) as hub, browser(hub) as ada:
        status, text = await ada.submit({"profile": "huge"})
        assert status == 400
        assert '"anything" and "own"' in error_in(text)
        assert "Of ada" in text
        assert "no profile" in await refused(hub, {"profile": "huge"})
        assert changes(witness) == []
        assert hub.failure_count == 0

        status, _ = await ada.submit({"profile": "own"})
        assert status == 302
        await hub.wait_ready("ada")


async def test_groups_of_the_hub_open_profiles_in_the_form_and_over_the_api(hub, cluster, witness):
    async with hub(profile_list=ruled(), **LIMIT) as hub, browser(hub) as ada, browser(hub, "bob") as bob:
        await hub.api("POST", "/groups/staff", json={"users": ["bob"]})

        assert "Staff" not in (await ada.open())[1]
        assert (await ada.submit({"profile": "staff"}))[0] == 400
        assert 'The profile "staff" is not available to you' in await refused(hub, {"profile": "staff"})
        assert changes(witness) == []

        assert "Staff" in (await bob.open())[1]
        assert await hub.start_server("bob", options={"profile": "staff"}) in {201, 202}
        await hub.wait_ready("bob")

        await hub.api("DELETE", "/groups/staff/users", json={"users": ["bob"]})
        await hub.api("POST", "/groups/staff/users", json={"users": ["ada"]})
        assert "Staff" in (await ada.open())[1]


async def test_a_saved_choice_that_is_gone_is_told_and_does_not_stand_in_the_form(hub, cluster):
    async with hub(profile_list=profiles(), **LIMIT) as hub, browser(hub) as ada:
        await hub.start_server("ada", options={"profile": "gpu", "image": "old"})
        await hub.wait_ready("ada")
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
        assert '<option value="old" selected>' in (await ada.open())[1]

        fewer = profiles()
        del fewer[1]["profile_options"]["image"]["choices"]["old"]
        hub.config.KubeSpawner.profile_list = fewer
        await hub.restart()

        _, text = await ada.open()
        assert 'value="gpu" checked' in text
        assert '<option value="new" selected>' in text
        assert 'no choice "old"' in await refused(hub, None)


async def test_text_with_braces_reaches_the_page_as_text(hub, cluster):
    braces = [{"display_name": "{{ 7*7 }}", "description": "{% raw %}"}]
    async with hub(profile_list=braces, profile_form_template="") as hub, browser(hub) as ada:
        status, text = await ada.open()

    assert status == 200
    assert "{{ 7*7 }}" in Page(text.partition("<form")[2].partition("</form>")[0].partition(">")[2]).text


async def test_the_hub_does_not_warn_of_options_that_profiles_handle(hub, cluster, caplog):
    async with hub(profile_list=profiles()) as hub:
        await hub.start_server("ada", options={"profile": "gpu"})
        await hub.wait_ready("ada")

    assert "unhandled user_options" not in caplog.text


def broken(_spawner):
    return {}["no such key"]


@pytest.mark.parametrize(
    "options",
    [
        {"profile_list": broken},
        {"profile_list": lambda _: sys.exit("no licence left")},
        {"options_form": broken},
        {"profile_list": [{"display_name": "A"}], "profile_form_template": "{% include 'no-such.html' %}"},
    ],
    ids=["profile_list", "an exit", "options_form", "an own template"],
)
async def test_a_page_that_an_administrator_s_code_breaks_has_a_reference(hub, cluster, caplog, options):
    async with hub(**options) as hub, browser(hub) as ada:
        status, page = await ada.open()
        assert status == 400
        assert "because a function of this hub failed (reference " in page
        assert f"reference {page.partition('(reference ')[2][:8]}: Traceback" in caplog.text
        assert (await hub.api("GET", "/users"))[0] == 200


async def test_the_page_of_a_hooks_error_is_headed_by_its_status(hub, cluster):
    def refuse(spawner):
        error = HTTPError(403)
        error.jupyterhub_message = "You have no licence."
        raise error

    async with hub(pre_spawn_hook=refuse) as hub, browser(hub) as ada:
        status, page = await ada.open()
    assert status == 403
    assert "403 : Forbidden" in page
    assert "You have no licence." in page
