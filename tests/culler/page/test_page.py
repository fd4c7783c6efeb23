"""The pages beside a real hub: who sees what, what can be kept, what is refused."""

from datetime import timedelta

import pytest

from k8s_hub.culler.keeping import KeepLimits
from k8s_hub.culler.ruling.limits import Limits
from tests.culler.page.visiting import NOW, ROBOT_TOKEN, Visitor, page_of

pytestmark = pytest.mark.hub


async def test_a_visitor_logs_in_at_the_hub_and_sees_their_servers():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        await site.start("bob")
        shown = await alice.login()
        assert shown.servers == {"alice": "in use"}
        assert "10 min" in shown.text
        assert "2026-07-01 12:50 UTC" in shown.text
        assert "bob" not in shown.text


async def test_below_a_base_url():
    async with page_of(base="/jhub/") as site, Visitor(site, "alice") as alice:
        shown = await alice.login()
        assert shown.url.path == "/jhub/services/idle-culler/"
        assert "No server runs" in shown.text
        assert 'href="/jhub/hub/logout"' in shown.text
        assert (await alice.get("static/page.css")).status == 200


async def test_keeping_is_limited_and_survives_a_restart(tmp_path):
    state_file = tmp_path / "state.json"
    async with page_of(state_file=state_file) as site, Visitor(site, "alice") as alice:
        await site.start("alice", "lab")
        xsrf = (await alice.login()).xsrf

        kept = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="3600")
        assert (kept.status, kept.hops) == (200, [("POST", 303)])
        assert kept.message == "lab is kept until 2026-07-01 13:00 UTC."
        assert kept.servers == {"alice/lab": "kept by its user"}
        assert "1 of 2 times left" in kept.text

        too_long = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="86400")
        assert (too_long.status, too_long.message) == (
            422,
            "A server can be kept for at most 6 h at a time.",
        )
        released = await alice.post("release", _xsrf=xsrf, user="alice", server="lab")
        assert released.message == "lab is not kept any more."
        assert released.servers == {"alice/lab": "in use"}
        again = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="14400")
        assert again.status == 200
        used_up = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="18000")
        assert used_up.status == 422
        assert used_up.message == (
            "The 2 times within seven days are used up; the next is free on 2026-07-08 12:00 UTC."
        )
        later = type(site.memory)(state_file, site.memory.limits, site.clock, read_only=True)
        assert later.kept_until("alice", "lab") == NOW + timedelta(hours=4)


async def test_what_cannot_be_kept_is_said():
    limits = Limits(idle=timedelta(hours=1), age=timedelta(hours=5))
    async with page_of(limits=limits) as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        shown = await alice.login()
        assert 'aria-label="Keep Default server for 1 h"' in shown.text
        assert 'aria-label="Keep Default server for 4 h"' not in shown.text, "its greatest age comes before"
        for form, sentence in (
            ({"server": "lab", "seconds": "3600"}, "lab does not run, so there is nothing to keep."),
            ({"server": "", "seconds": "14400"}, "It is stopped on 2026-07-01 14:00 UTC because of its age"),
            ({"server": "", "seconds": "-1"}, "A server can only be kept for a time to come."),
            ({"server": "", "seconds": "soon"}, "A server can only be kept for a time to come."),
            ({"server": ""}, "A server can only be kept for a time to come."),
        ):
            refused = await alice.post("keep", _xsrf=shown.xsrf, user="alice", **form)
            assert refused.status == 422, form
            assert refused.message.startswith(sentence)
        assert site.memory.allowance("alice").left == 2


async def test_nothing_is_offered_where_nothing_can_be_kept():
    async with page_of(keep=KeepLimits(per_week=0)) as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        shown = await alice.login()
        assert shown.servers == {"alice": "in use"}
        assert "<form" not in shown.text
        refused = await alice.post("keep", _xsrf=shown.xsrf, user="alice", server="", seconds="60")
        assert (refused.status, refused.message) == (422, "Servers cannot be kept here.")


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
            for path in ("keep", "release"):
                refused = await alice.post(path, **form, **changes)
                assert refused.status == 403, changes
        assert site.memory.kept_until("alice", "") is None
        for path in ("keep", "release"):
            assert (await alice.get(f"{path}?user=alice&server=&seconds=3600&_xsrf={xsrf}")).status == 405
        origin = site.url.partition("/services")[0]
        accepted = await alice.post(
            "keep", **form, _xsrf=xsrf, headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        )
        assert accepted.status == 200
        assert site.memory.kept_until("alice", "") is not None


async def test_a_form_without_a_login_is_refused():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        refused = await alice.post("keep", user="alice", server="", seconds="3600", _xsrf="x")
        assert refused.status == 403
        assert site.memory.kept_until("alice", "") is None


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
        for path in ("keep", "release"):
            refused = await alice.post(path, _xsrf=xsrf, user="bob", server="secret-project", seconds="60")
            assert refused.status == 403
        assert site.memory.kept_until("bob", "secret-project") is None


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
        assert of_alice.servers == {"alice/lab": "in use"}
        kept = await admin.post("keep", _xsrf=of_alice.xsrf, user="alice", server="lab", seconds="3600")
        assert kept.url.query["user"] == "alice"
        assert kept.message == "lab is kept until 2026-07-01 13:00 UTC."
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
        assert shown.message.startswith("The hub does not answer")
        refused = await alice.post("keep", _xsrf=xsrf, user="alice", server="lab", seconds="60")
        assert refused.status == 503
        assert site.memory.kept_until("alice", "lab") is None
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
            assert "cannot be said at the moment" in shown.message
            assert shown.servers == {"alice": "spared by the arbiter hook"}
            kept = await alice.post("keep", _xsrf=xsrf, user="alice", server="", seconds="3600")
            assert (kept.status, site.memory.kept_until("alice", "")) == (500, None)
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
        assert "nothing is stopped" in shown.text
        assert "It would be stopped, but this is a dry run." in shown.text


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


async def test_the_live_refresh_of_a_script_is_let_in_with_its_token_only():
    async with page_of() as site, Visitor(site, "alice") as alice:
        await site.start("alice")
        shown = await alice.login()
        fetching = {"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Site": "same-origin"}
        fresh = await alice.get(headers={**fetching, "X-XSRFToken": shown.xsrf})
        assert fresh.servers == {"alice": "in use"}
        assert (await alice.get(headers=fetching, follows=False)).status == 302, "to the login"
