"""The pages beside a real hub: who sees what, what can be kept, what is refused."""

import asyncio
import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from jupyterhub.services.auth import HubOAuth

from devkit.testing.eventually import eventually
from devkit.testing.realhub import QuietSpawner
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.core.policy import Notice, Work
from k8s_hub.culler.core.report import Report, Stop, SweepRecord
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.web.base import page_policy
from tests.culler.web.visiting import NOW, ROBOT_TOKEN, SCOPES, Visitor, page_of

pytestmark = pytest.mark.hub


async def test_a_visitor_logs_in_at_the_hub_and_sees_their_servers():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        await site.start("bob")
        shown = await alice.login()
        assert shown.servers == {"alice": "in use"}
        assert "10 min" in shown.text
        assert re.search(
            r'Stops at\s+<span data-due><time datetime="2026-07-01T12:50:00Z" data-clock>12:50 UTC</time></span> '
            r"unless you use it before then\.",
            shown.text,
        )
        assert "bob" not in shown.text


async def test_below_a_base_url():
    async with page_of(base="/jhub/") as site, Visitor(site, "alice") as alice:
        shown = await alice.login()
        assert shown.url.path == "/jhub/services/idle-culler/"
        assert "No server is running." in shown.text
        assert 'href="/jhub/hub/logout"' in shown.text
        assert 'href="/jhub/hub/static/css/style.min.css"' in shown.text, "the hub's own look"
        assert (await alice.get("static/page.css")).status == 200


async def test_keeping_is_limited_and_survives_a_restart(tmp_path):
    state_file = tmp_path / "state.json"
    async with page_of(state_file=state_file) as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        xsrf = (await alice.login()).xsrf

        kept = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="3600")
        assert (kept.status, kept.hops) == (200, [("POST", 303)])
        assert kept.message == "lab is extended until 13:00 UTC."
        assert kept.servers == {"alice/lab": "extended"}
        assert "You have 1 of 2 extensions left" in kept.text

        too_long = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="86400")
        assert (too_long.status, too_long.message) == (
            422,
            "An extension can last at most 6 h.",
        )
        released = await alice.post("release", _xsrf=xsrf, user="alice", server="lab")
        assert released.message == "The extension of lab is cancelled."
        assert released.servers == {"alice/lab": "in use"}
        again = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="14400")
        assert again.status == 200
        used_up = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="18000")
        assert used_up.status == 422
        assert used_up.message == (
            "You have used all 2 extensions of these seven days. You can extend again from 2026-07-08 12:00 UTC."
        )
        later = type(site.store)(state_file, site.store.limits, site.clock, read_only=True)
        assert later.extended_until("alice", "lab") == NOW + timedelta(hours=4)


async def test_what_cannot_be_kept_is_said():
    limits = Limits(timeout=timedelta(hours=1), max_age=timedelta(hours=5))
    async with page_of(limits=limits) as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        shown = await alice.login()
        assert 'aria-label="Extend Default server for 1 h"' in shown.text
        assert 'aria-label="Extend Default server for 4 h"' not in shown.text, (
            "its maximum runtime ends before"
        )
        for form, sentence in (
            ({"server": "lab", "seconds": "3600"}, "You can extend lab once it is running."),
            (
                {"server": "", "seconds": "14400"},
                "It reaches its maximum runtime at 14:00 UTC.",
            ),
            (
                {"server": "", "seconds": "-1"},
                "An extension must be longer than zero: choose one of the buttons.",
            ),
            (
                {"server": "", "seconds": "soon"},
                "An extension must be longer than zero: choose one of the buttons.",
            ),
            ({"server": ""}, "An extension must be longer than zero: choose one of the buttons."),
        ):
            refused = await alice.post("keep", _xsrf=shown.xsrf, user="alice", **form)
            assert refused.status == 422, form
            assert refused.message.startswith(sentence)
        assert site.store.quota("alice").left == 2


async def test_nothing_is_offered_where_nothing_can_be_kept():
    async with page_of(keep=ExtensionLimits(per_week=0)) as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        shown = await alice.login()
        assert shown.servers == {"alice": "in use"}
        assert "Extend" not in shown.text
        refused = await alice.post("keep", _xsrf=shown.xsrf, user="alice", server="", seconds="60")
        assert (refused.status, refused.message) == (422, "Your administrator has turned extensions off.")


async def test_forms_of_other_sites_are_refused():
    async with page_of() as site, Visitor(site, "alice") as alice, Visitor(site, "bob") as bob:
        await site.start("alice")
        xsrf = (await alice.login()).xsrf
        others = (await bob.login()).xsrf
        form = {"user": "alice", "server": "", "seconds": "3600"}
        for changes in (
            {},
            {"_xsrf": others},
            {"_xsrf": "x"},
            {"_xsrf": xsrf, "headers": {"Origin": "https://elsewhere.example"}},
            {"_xsrf": xsrf, "headers": {"Origin": "null"}},
            {"_xsrf": xsrf, "headers": {"Sec-Fetch-Site": "cross-site"}},
            {"_xsrf": xsrf, "headers": {"Sec-Fetch-Site": "same-site"}},
        ):
            for path in ("keep", "release", "stop"):
                refused = await alice.post(path, **form, **changes)
                assert refused.status == 403, changes
        assert site.store.extended_until("alice", "") is None
        assert site.hub.spawner("alice").ready
        for path in ("keep", "release", "stop"):
            assert (await alice.get(f"{path}?user=alice&server=&seconds=3600&_xsrf={xsrf}")).status == 405
        origin = site.url.partition("/services")[0]
        accepted = await alice.post(
            "keep", **form, _xsrf=xsrf, headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        )
        assert accepted.status == 200
        assert site.store.extended_until("alice", "") is not None


async def test_a_form_without_a_login_is_refused():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        refused = await alice.post("keep", user="alice", server="", seconds="3600", _xsrf="x")
        assert refused.status == 403
        assert site.store.extended_until("alice", "") is None


async def test_a_user_sees_nothing_of_others():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        await site.start("bob", "secret-project")
        xsrf = (await alice.login()).xsrf
        for path in ("?user=bob", "?user=nobody", "all"):
            shown = await alice.get(path)
            assert shown.status == 403
            assert "bob" not in shown.text
            assert "secret" not in shown.text
        for path in ("keep", "release", "stop"):
            refused = await alice.post(path, _xsrf=xsrf, user="bob", server="secret-project", seconds="60")
            assert refused.status == 403
        assert site.hub.spawner("bob", "secret-project").ready
        assert site.store.extended_until("bob", "secret-project") is None


async def test_a_warned_server_is_not_called_in_use():
    said = '<span class="cause">warned</span>: it was active 50 min ago, and the culler sent a warning'
    async with (
        page_of(users=("admin", "alice"), notice=timedelta(minutes=20)) as site,
        Visitor(site, "admin") as admin,
    ):
        await site.start("alice", idle=timedelta(minutes=50))
        site.store.save_notice("alice", "", Notice(at=NOW, since=NOW - timedelta(minutes=50)))
        await site.sweep()
        assert said in (await admin.login("all?cause=warned")).text
        assert (
            '<option value="warned" selected>warned (1)</option>'
            in (await admin.get("all?cause=warned")).text
        )
        assert said in (await admin.get("?user=alice")).text


async def test_an_admin_sees_and_keeps_every_server():
    async with page_of(users=("admin", "alice", "<b>")) as site, Visitor(site, "admin") as admin:
        await site.start("alice", "lab")
        await site.start("<b>", idle=timedelta(hours=2))
        await site.sweep()
        shown = await admin.login("all")
        assert shown.servers == {"<b>": "idle", "alice/lab": "in use"}
        assert "<b>" not in shown.text
        assert "2 servers of" in shown.text, "the last sweep"
        assert (await admin.get("all?cause=idle")).servers == {"<b>": "idle"}
        assert (await admin.get("all?text=LAB&page=99")).servers == {"alice/lab": "in use"}
        assert (await admin.get("all?text=nowhere")).servers == {}

        of_alice = await admin.get("?user=alice")
        assert "aria-current" not in of_alice.text, "it is not the admin's own page"
        assert 'aria-current="page">Your servers' in (await admin.get("")).text
        assert of_alice.servers == {"alice/lab": "in use"}
        kept = await admin.post("keep", _xsrf=of_alice.xsrf, user="alice", server="lab", seconds="3600")
        assert kept.url.query["user"] == "alice"
        assert kept.message == "lab is extended until 13:00 UTC."
        assert (await admin.get("?user=%3Cb%3E")).servers == {"<b>": "idle"}
        assert "<b>" not in (await admin.get("?user=%3Cb%3E")).text


async def test_who_may_not_use_the_service_is_turned_away():
    async with page_of(users=("admin", "alice"), open_to_users=False) as site:
        async with Visitor(site, "alice") as alice:
            assert (await alice.login(arrives=False)).status == 403
        async with Visitor(site, "admin") as admin:
            assert (await admin.login("all")).status == 200


async def test_a_hub_that_is_away_leaves_what_the_last_sweep_saw():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        await site.start("bob", "other")
        xsrf = (await alice.login()).xsrf
        await site.sweep()
        await site.hub.kill()
        shown = await alice.get()
        assert shown.status == 503
        assert shown.servers == {"alice/lab": "in use"}
        assert shown.message.startswith("The hub did not answer.")
        refused = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="60")
        assert refused.status == 503
        assert site.store.extended_until("alice", "lab") is None
        await site.hub.boot()


async def test_a_hook_that_fails_leaves_what_the_last_sweep_saw(caplog):
    broken = []

    def hook(inactive, inactive_limit, server):
        if broken:
            raise broken[0]
        return False

    async with page_of(hook=hook) as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        await site.sweep()
        xsrf = (await alice.login()).xsrf
        for error in (KeyError("profile"), TimeoutError("the administrator's own")):
            broken[:] = [error]
            shown = await alice.get()
            assert shown.status == 500
            assert "could not decide about all of these servers" in shown.message
            assert shown.servers == {"alice": "kept by the arbiter hook"}
            kept = await alice.post("keep", _xsrf=xsrf, user="alice", server="", seconds="3600")
            assert (kept.status, site.store.extended_until("alice", "")) == (500, None)
        assert "KeyError: 'profile'" in caplog.text


async def test_a_service_that_is_called_as_a_user_sees_nothing():
    async with page_of() as site, Visitor(site, "bob") as robot:
        await site.start("bob")
        shown = await robot.get(headers={"Authorization": f"token {ROBOT_TOKEN}"})
        assert shown.status == 403
        assert not shown.servers


async def test_a_dry_run_says_so():
    async with page_of(is_dry_run=True) as site, Visitor(site, "alice") as alice:
        await site.start("alice", idle=timedelta(hours=2))
        shown = await alice.login()
        assert "Dry run: no servers are stopped." in shown.text
        assert "Would stop at the next sweep, but this is a dry run." in shown.text


async def test_headers_forbid_frames_scripts_of_others_and_caches():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await alice.login()
        for path, status in (
            ("", 200),
            ("nowhere", 404),
            ("static/page.js", 200),
            ("static/..%2fapp.py", 404),
        ):
            shown = await alice.get(path)
            assert shown.status == status, path
            policy = shown.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert shown.headers["X-Content-Type-Options"] == "nosniff"


async def test_pages_take_their_look_from_the_hub_and_files_nothing():
    async with page_of() as site, Visitor(site, "alice") as alice:
        policy = (await alice.login()).headers["Content-Security-Policy"]
        assert policy == page_policy("")
        assert "style-src 'self';" in policy
        of_files = (await alice.get("static/page.css")).headers["Content-Security-Policy"]
        assert "default-src 'none'" in of_files
        assert "style-src" not in of_files


def test_a_hub_with_a_domain_of_its_own_may_give_the_look_but_gets_no_forms():
    policy = dict(each.split(" ", 1) for each in page_policy("https://hub.example.org").split("; "))
    for kind in ("style-src", "script-src", "font-src", "img-src"):
        assert policy[kind].startswith("'self' https://hub.example.org")
    assert (policy["form-action"], policy["connect-src"]) == ("'self'", "'self'")


async def test_the_live_refresh_of_a_script_is_let_in_with_its_token_only():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        shown = await alice.login()
        fetching = {"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Site": "same-origin"}
        fresh = await alice.get(headers={**fetching, "X-XSRFToken": shown.xsrf})
        assert fresh.servers == {"alice": "in use"}
        assert (await alice.get(headers=fetching, follows=False)).status == 302, "to the login"


async def test_an_extension_until_the_maximum_runtime():
    limits = Limits(timeout=timedelta(hours=1), max_age=timedelta(hours=3, minutes=40))
    async with page_of(limits=limits) as site, Visitor(site, "alice") as alice:
        await site.start("alice", idle=timedelta(minutes=30))
        shown = await alice.login()
        assert re.search(
            r'value="limit"[^>]*>until <time datetime="2026-07-01T12:40:00Z" data-clock>12:40 UTC</time>, the limit<',
            shown.text,
        )
        kept = await alice.post("keep", _xsrf=shown.xsrf, user="alice", server="", seconds="limit")
        assert kept.message == "Default server is extended until 12:40 UTC."
        assert site.store.extended_until("alice", "") == NOW + timedelta(minutes=40)
        assert 'value="limit"' not in kept.text


async def test_an_extension_until_a_limit_that_a_server_does_not_have_is_refused():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        shown = await alice.login()
        refused = await alice.post("keep", _xsrf=shown.xsrf, user="alice", server="", seconds="limit")
        assert (refused.status, site.store.extended_until("alice", "")) == (422, None)


async def test_an_admin_s_extensions_are_not_the_user_s():
    keep = ExtensionLimits(longest=timedelta(hours=6), per_week=1)
    async with (
        page_of(users=("admin", "alice"), keep=keep) as site,
        Visitor(site, "admin") as admin,
        Visitor(site, "alice") as alice,
    ):
        await site.start("alice", "lab")
        xsrf = (await admin.login("?user=alice")).xsrf
        for hours in (1, 2, 3):
            kept = await admin.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds=str(hours * 3600))
            assert kept.status == 200, kept.message
        own = await alice.login()
        assert "You have 1 of 1 extension left" in own.text
        kept = await alice.post("keep", _xsrf=own.xsrf, user="alice", server="lab", seconds="14400")
        assert kept.status == 200
        used_up = await alice.post("keep", _xsrf=own.xsrf, user="alice", server="lab", seconds="18000")
        assert used_up.status == 422
        kept = await admin.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="18000")
        assert kept.status == 200


async def test_an_exempt_server_shows_no_limits():
    limits = Limits(timeout=timedelta(hours=1), max_age=timedelta(hours=5), exempt=True)
    async with page_of(limits=limits) as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        shown = await alice.login()
        assert shown.servers == {"alice": "exempt"}
        assert "Limit" not in shown.text
        assert "maximum runtime" not in shown.text
        assert "Extend" not in shown.text


# --- What was stopped ---


def stop(site, user, server="", **more):
    site.store.stopped(
        Stop(
            user=user,
            server=server,
            at=NOW - timedelta(minutes=7),
            reason="was idle for 1 h",
            rule=None,
            **more,
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("sees_states", [True, False])
async def test_the_page_says_how_a_server_ended_by_itself_if_its_token_shows_the_state(sees_states):
    scopes = [*SCOPES, "admin:server_state"] if sees_states else SCOPES
    async with page_of(scopes=scopes) as site, Visitor(site, "alice") as alice:
        spawner = site.hub.app.users["alice"].get_spawner("")
        end = {"at": "2026-07-01T11:53:00Z", "cause": "it needed more memory than its limit of 2 GiB"}
        spawner.orm_spawner.state = {"last_end": end}
        site.hub.app.db.commit()
        del site.hub.app.users["alice"].spawners[""]
        text = " ".join((await alice.login()).words.split())
        said = "It ended at 2026-07-01 11:53 UTC (7 min ago): it needed more memory than its limit of 2 GiB."
        assert (said in text) is sees_states
        assert ("Not running." in text) is not sees_states


@pytest.mark.slow
async def test_after_a_stop_the_page_says_what_when_and_why_and_starts_it_again():
    async with page_of(users=("alice", "bob")) as site, Visitor(site, "alice") as alice:
        await site.start("alice", "other")
        for server in ("", "lab & co", "other"):
            stop(site, "alice", server)
        stop(site, "bob", "secret-project")
        shown = await alice.login()
        assert shown.servers == {"alice/other": "in use"}
        assert shown.stops == {
            "Default server": "/hub/spawn/alice",
            "lab & co": "/hub/spawn/alice/lab%20%26%20co",
        }
        text = " ".join(shown.words.split())
        assert (
            "The culler stopped it at 11:53 UTC (7 min ago): it was idle for 1 h. Your files are kept" in text
        )
        assert "secret" not in shown.text
        assert not site.hub.spawner("alice").ready
        await alice.get(shown.stops["Default server"], at_hub=True)
        await site.hub.wait_ready("alice")


async def test_of_a_server_that_was_removed_the_page_promises_nothing_about_files():
    async with page_of() as site, Visitor(site, "alice") as alice:
        stop(site, "alice", "lab", is_removed=True)
        shown = await alice.login()
        assert "No server is running." in shown.text
        assert "files are kept:" not in shown.text
        assert "Ask your administrator whether its files are kept." in shown.text


async def test_an_admin_sees_the_stops_of_all():
    async with page_of(users=("admin", "alice", "bob")) as site, Visitor(site, "admin") as admin:
        stop(site, "alice", "lab")
        stop(site, "bob")
        site.board.on_sweep(SweepRecord(kind="look", begun=NOW, seconds=1.0, report=Report(), error=None))
        for number in range(14):
            begun = NOW + timedelta(minutes=number)
            site.board.on_sweep(
                SweepRecord(kind="sweep", begun=begun, seconds=1.0, report=Report(), error=None)
            )
        shown = await admin.login("all")
        assert re.findall('data-stop="([^"]*)"', shown.text) == ["bob", "alice/lab"]
        assert "it was idle for 1 h" in shown.text
        assert "Last sweep: " in shown.words
        assert "No recent sweep stopped, warned or deleted anything." in shown.words
        assert re.findall('data-stop="([^"]*)"', (await admin.get("all?text=LAB")).text) == ["alice/lab"]
        of_alice = await admin.get("?user=alice")
        assert "The files are kept" in of_alice.text


# --- Open, Stop, Start ---


def is_active(site, user, server):
    spawner = site.hub.spawner(user, server)
    return spawner is not None and spawner.active


async def test_the_name_of_a_server_opens_it():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        shown = await alice.login()
        assert 'id="server-1"><a href="/user/alice/lab/">lab</a></h2>' in shown.text


async def test_a_user_stops_their_own_server_and_starts_it_again():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        stop(site, "alice", "lab")  # before this run
        shown = await alice.login()
        assert 'aria-label="Stop lab"' in shown.text
        stopped = await alice.post("stop", _xsrf=shown.xsrf, user="alice", server="lab")
        assert (stopped.status, stopped.hops) == (200, [("POST", 303)])
        assert stopped.message in {"lab has stopped.", "lab is stopping."}
        await eventually(lambda: not is_active(site, "alice", "lab"))
        shown = await alice.get()
        assert shown.servers == {}
        assert shown.starts == {"Default server": "/hub/spawn/alice", "lab": "/hub/spawn/alice/lab"}
        assert "was idle" not in shown.text, "the culler's stop was before this one"


async def test_an_admin_stops_a_server_of_a_user():
    async with page_of(users=("admin", "alice")) as site, Visitor(site, "admin") as admin:
        await site.start("alice", "lab")
        xsrf = (await admin.login("?user=alice")).xsrf
        stopped = await admin.post("stop", _xsrf=xsrf, user="alice", server="lab")
        assert stopped.url.query["user"] == "alice"
        await eventually(lambda: not is_active(site, "alice", "lab"))


async def test_what_cannot_be_stopped_is_said():
    async with page_of(is_dry_run=True) as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        shown = await alice.login()
        assert "Stop Default server" not in shown.text
        refused = await alice.post("stop", _xsrf=shown.xsrf, user="alice", server="")
        assert (refused.status, refused.message) == (422, "Dry run: no servers are stopped.")
        assert site.hub.spawner("alice").ready


async def test_a_server_that_does_not_exist_cannot_be_stopped():
    async with page_of() as site, Visitor(site, "alice") as alice:
        xsrf = (await alice.login()).xsrf
        refused = await alice.post("stop", _xsrf=xsrf, user="alice", server="nowhere")
        assert (refused.status, refused.message) == (404, "This server is not running.")


async def test_a_stale_page_does_not_stop_again_what_the_culler_has_stopped(caplog):
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        xsrf = (await alice.login()).xsrf
        await site.hub.stop_server("alice", "lab")
        stop(site, "alice", "lab")
        refused = await alice.post("stop", _xsrf=xsrf, user="alice", server="lab")
        assert (refused.status, refused.message) == (404, "This server is not running.")
        assert refused.stops == {"lab": "/hub/spawn/alice/lab"}
        assert "it was idle for 1 h" in refused.words, "the culler's stop is still the last one"
    assert "requested on the page" not in caplog.text


async def test_a_stale_page_does_not_interrupt_a_start(monkeypatch):
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        xsrf = (await alice.login()).xsrf
        await site.hub.stop_server("alice", "lab")
        monkeypatch.setattr(QuietSpawner, "gate", asyncio.Event())
        starting = asyncio.create_task(site.hub.start_server("alice", "lab"))
        await eventually(lambda: is_active(site, "alice", "lab"))
        refused = await alice.post("stop", _xsrf=xsrf, user="alice", server="lab")
        assert (refused.status, refused.message) == (
            422,
            "The hub is busy with this server. Try again once it is ready.",
        )
        QuietSpawner.gate.set()
        await starting
        await site.hub.wait_ready("alice", "lab")


async def test_a_server_that_the_hub_checks_or_stops_already_is_not_stopped():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        xsrf = (await alice.login()).xsrf
        spawner = site.hub.spawner("alice", "lab")
        for flag, sentence in (
            ("_check_pending", "The hub is busy with this server. Try again once it is ready."),
            ("_stop_pending", "This server is already stopping."),
        ):
            setattr(spawner, flag, True)
            refused = await alice.post("stop", _xsrf=xsrf, user="alice", server="lab")
            setattr(spawner, flag, False)
            assert (refused.status, refused.message) == (422, sentence)
        assert spawner.ready


async def test_a_refusal_of_the_hub_is_not_taken_for_a_hub_that_is_away(caplog):
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        xsrf = (await alice.login()).xsrf
        site.hub.app.tornado_application.settings["allow_named_servers"] = False
        refused = await alice.post("stop", _xsrf=xsrf, user="alice", server="lab")
        assert (refused.status, refused.message) == (
            422,
            "The hub refused to stop this server. Stop it on the hub's home page, or contact your administrator.",
        )
        assert site.hub.spawner("alice", "lab").ready
    assert "alice/lab: not stopped: requested on the page: " in caplog.text
    assert "Named servers are not enabled" in caplog.text


async def test_where_servers_are_hidden_from_the_culler_the_hub_decides():
    scopes = ["list:users", "delete:servers"]
    async with page_of(scopes=scopes) as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        xsrf = (await alice.login()).xsrf
        await alice.post("stop", _xsrf=xsrf, user="alice", server="lab")
        await eventually(lambda: not is_active(site, "alice", "lab"))


async def test_the_log_of_a_stop_escapes_the_name_of_who_requested_it(caplog):
    caplog.set_level("INFO", logger="k8s_hub.culler.web")
    name = "al\u202eice"
    async with page_of(users=(name,)) as site, Visitor(site, name) as person:
        await site.start(name)
        xsrf = (await person.login()).xsrf
        assert (await person.post("stop", _xsrf=xsrf, user=name, server="")).status == 200
    assert "al\\u202eice: stopped: requested on the page by al\\u202eice" in caplog.messages


async def test_a_culler_that_may_not_stop_servers_says_so():
    scopes = ["list:users", "read:servers"]
    async with page_of(scopes=scopes) as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        xsrf = (await alice.login()).xsrf
        refused = await alice.post("stop", _xsrf=xsrf, user="alice", server="")
        assert refused.status == 403
        assert refused.message.startswith("The culler is not allowed to stop this server.")
        assert site.hub.spawner("alice").ready


# --- Text of a link ---

LURE = "Your session has ended: log in at https://evil.example. Your old server"


async def test_the_text_of_a_link_is_never_shown_as_the_page_s_own():
    async with page_of(users=("admin", "alice")) as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        shown = await alice.login()
        for query in (
            *(
                {name: LURE}
                for name in ("released", "kept", "stopped", "user", "error", "done", "server", "name")
            ),
            *({"done": done, "server": LURE} for done in ("kept", "released", "stopped")),
        ):
            shown = await alice.get("?" + urlencode(query))
            assert "evil.example" not in shown.text, query
            assert shown.message is None or shown.status == 403, query
        refused = await alice.get("oauth_callback?" + urlencode({"error": LURE, "error_description": LURE}))
        assert (refused.status, "evil.example" in refused.text) == (400, False)
        for done in ("kept", "released"):
            shown = await alice.get(f"?done={done}&server=lab")
            assert shown.message is None, "it was never extended"
        async with Visitor(site, "admin") as admin:
            await admin.login()
            shown = await admin.get("?" + urlencode({"user": LURE}))
            assert (shown.status, "evil.example" in shown.text) == (404, False)
            assert shown.message == "The hub has no user of this name."
            await site.hub.kill()
            shown = await admin.get("?" + urlencode({"user": LURE}))
            assert (shown.status, "Servers of a user" in shown.text) == (503, True)
            assert LURE not in shown.words
            await site.hub.boot()


async def test_no_code_of_a_login_is_logged(caplog, monkeypatch):
    caplog.set_level("DEBUG", logger="tornado")
    caplog.set_level("DEBUG", logger="k8s_hub.culler.web")
    code = "c0de-that-opens-the-door"
    async with page_of() as site, Visitor(site, "alice") as alice:
        for query in (
            f"code={code}&state=x", f"code={code}", f"error=no&code={code}", f"code={code}&state=%0a%1b[2K",
        ):  # fmt: skip
            shown = await alice.get(f"oauth_callback?{query}")
            assert shown.status in {400, 403}
        await alice.login()
        monkeypatch.setattr(HubOAuth, "get_state_cookie_name", lambda *_: 1 / 0)
        assert (await alice.get(f"oauth_callback?code={code}&state=x")).status == 500
    of_the_page = [
        record for record in caplog.records if record.name.startswith(("tornado", "k8s_hub.culler"))
    ]
    assert "ZeroDivisionError" in caplog.handler.format(of_the_page[-1])
    assert len(of_the_page) >= 5
    assert code not in "".join(map(caplog.handler.format, of_the_page))
    assert all(
        record.getMessage().isprintable() for record in of_the_page if record.name.startswith("k8s_hub")
    )


async def test_without_its_last_slash_the_address_leads_to_the_page():
    async with page_of(base="/a.b/") as site, Visitor(site, "alice") as alice:
        await alice.login()
        for query in ("", "?user=alice"):
            shown = await alice.get(f"{site.settings.prefix.removesuffix('/')}{query}", at_root=True)
            assert (shown.status, shown.url.path) == (200, "/a.b/services/idle-culler/")
            assert shown.hops == [("GET", 302)]
            assert "No server is running." in shown.text
        assert (await alice.get("/aXb/services/idle-culler/", at_root=True)).status == 404


# --- One record that cannot be shown ---


async def test_a_row_that_cannot_be_shown_costs_no_other(caplog):
    """Whatever it is: here the number of connections that a server told, of more digits than Python writes."""
    huge = Work(busy=0, connections=10**5000, last_execution=NOW)
    async with page_of(users=("admin", "eve", "bob")) as site, Visitor(site, "admin") as admin:
        await site.start("eve")
        await site.start("eve", "lab")
        await site.start("bob")
        await site.sweep(work={("eve", ""): huge})
        shown = await admin.login("all")
        assert (shown.status, shown.servers) == (200, {"bob": "in use", "eve/lab": "in use"})
        assert 'data-unshown="eve"' in shown.text
        async with Visitor(site, "eve") as eve:
            shown = await eve.login()
            assert (shown.status, shown.servers) == (200, {"eve/lab": "in use"})
            assert 'data-unshown="eve"' in shown.text
            kept = await eve.post("keep", _xsrf=shown.xsrf, user="eve", server="lab", seconds="3600")
            assert kept.message.startswith("lab is extended until")
        stop(site, "bob", "\ud800")
        stop(site, "bob", "fine")
        shown = await admin.get("all")
        assert shown.status == 200
        assert {r"bob/\ud800", "bob/fine"} <= set(re.findall('data-(?:stop|unshown)="([^"]*)"', shown.text))
    assert caplog.text.count("page: eve: cannot be shown: ValueError") == 1


async def test_a_server_about_which_nothing_can_be_decided_costs_no_other():
    def hook(inactive, inactive_limit, server):
        if server["name"] == "odd":
            raise KeyError("profile")
        return False

    async with page_of(hook=hook) as site, Visitor(site, "alice") as alice:
        await site.start("alice", "odd")
        await site.start("alice", "lab")
        shown = await alice.login(arrives=False)
        assert (shown.status, shown.servers) == (500, {"alice/lab": "kept by the arbiter hook"})
        assert 'data-unshown="alice/odd"' in shown.text
        kept = await alice.post("keep", _xsrf=shown.xsrf, user="alice", server="lab", seconds="3600")
        assert site.store.extended_until("alice", "lab") == NOW + timedelta(hours=1)
        assert kept.servers["alice/lab"] == "extended"
