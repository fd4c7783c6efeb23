"""A hub of every era is upgraded: each server finds its claim, no new one is made, nobody meets another's files.

The corpus tests/data/claims/templates.json holds the names that versions of KubeSpawner gave, computed by their own
code, for odd user and server names and for templates of admins. Names that Kubernetes would refuse are left out.
"""

import json
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pytest

from k8s_hub.claims.home import UseExisting, choose_home
from k8s_hub.claims.lookup import username_of
from k8s_hub.naming.templates import Scope, scope_of
from k8s_hub.objects.keys import annotations_of, key_of
from tests.claims.objects import claim, listed, request

ROWS = json.loads((Path(__file__).parent.parent / "data" / "claims" / "templates.json").read_text())
HUBS = {key: list(rows) for key, rows in groupby(ROWS, key=lambda row: (row[0], row[1]))}
SIGNED_UP = datetime(2020, 1, 1, tzinfo=UTC)

all_hubs = pytest.mark.parametrize("version, template", HUBS)
hubs_with_a_claim_for_each_server = pytest.mark.parametrize(
    "version, template", [hub for hub in HUBS if scope_of(hub[1]) is Scope.SERVER]
)


class Hub:
    """All servers of one era and the claims they made, annotated for whoever was first."""

    def __init__(self, version, template):
        self.rows = [row[2:] for row in HUBS[version, template]]
        self.template = template
        self.claims = {}
        for _, user, server, name in self.rows:
            self.claims.setdefault(name, claim(name, user, server))
        self.users = {row[1]: SIGNED_UP for row in self.rows}

    def choose(self, userid, user, server, claims=None, **known):
        """Return the choice of one server, beside all others of the hub."""
        others = {name for name, known_since in self.users.items() if name != user}
        living = {name: self.users[name] for name in others}
        asked = request(
            user, server, userid=userid, **{"template": self.template, "living_users": living, **known}
        )
        return choose_home(asked, listed(*(self.claims.values() if claims is None else claims)))

    def others_of(self, user, server):
        """Return the claims of the user's other servers, as their states name them."""
        return {name for _, owner, of, name in self.rows if owner == user and of != server}


def assert_home(choice, user, name):
    assert isinstance(choice, UseExisting), choice
    assert choice.name == name
    assert username_of(choice.claim) == user


@all_hubs
def test_the_corpus_is_sound(version, template):
    """No two users ever had one name, nor two servers where the template is for each server."""
    hub = Hub(version, template)
    owners = {}
    for _, user, server, name in hub.rows:
        who = (user, server) if scope_of(template) is Scope.SERVER else user
        assert owners.setdefault(name, who) == who
    assert len(hub.users) >= 5


@all_hubs
def test_stopped_before_the_upgrade_without_any_state(version, template):
    hub = Hub(version, template)
    for userid, user, server, name in hub.rows:
        assert_home(hub.choose(userid, user, server), user, name)


@all_hubs
def test_running_over_the_upgrade_with_the_claim_in_its_state(version, template):
    """And in the states of the others, whatever template is configured now."""
    hub = Hub(version, template)
    for now in (template, "claim-{user_server}", "home-{username}", "new-{user_server}"):
        for userid, user, server, name in hub.rows:
            choice = hub.choose(
                userid,
                user,
                server,
                template=now,
                remembered_name=name,
                taken=hub.others_of(user, server) - {name},
            )
            assert_home(choice, user, name)


@hubs_with_a_claim_for_each_server
def test_the_template_was_changed_with_the_upgrade_and_no_state_helps(version, template):
    hub = Hub(version, template)
    for userid, user, server, name in hub.rows:
        for now in ("claim-{user_server}", "new-{user_server}"):
            assert_home(hub.choose(userid, user, server, template=now), user, name)


@all_hubs
def test_a_default_servers_home_is_found_where_the_template_was_changed(version, template):
    hub = Hub(version, template)
    for userid, user, server, name in hub.rows:
        if not server:
            assert_home(hub.choose(userid, user, server, template="new-{user_server}"), user, name)


@hubs_with_a_claim_for_each_server
def test_names_of_earlier_versions_are_not_needed_where_annotations_are(version, template):
    hub = Hub(version, template)
    for userid, user, server, name in hub.rows:
        assert_home(hub.choose(userid, user, server, legacy_names=()), user, name)


@all_hubs
def test_a_default_servers_claim_that_was_restored_without_annotations(version, template):
    """All of the others have theirs."""
    hub = Hub(version, template)
    for userid, user, server, name in hub.rows:
        if server:
            continue
        others = [other for other in hub.claims.values() if key_of(other).name != name]
        choice = hub.choose(userid, user, server, claims=[*others, claim(name)])
        assert isinstance(choice, UseExisting), choice
        assert choice.name == name


@hubs_with_a_claim_for_each_server
def test_a_renamed_server_keeps_its_claim_and_the_next_of_its_name_gets_none_of_the_old_ones(
    version, template
):
    hub = Hub(version, template)
    for userid, user, server, name in hub.rows:
        renamed = hub.choose(
            userid, user, "renamed", remembered_name=name, taken=hub.others_of(user, server) - {name}
        )
        assert_home(renamed, user, name)
        # The new bearer of the server's name; the states of all others name theirs, the renamed one's too.
        taken = hub.others_of(user, server) | {name}
        created = hub.choose(userid, user, server, taken=taken)
        assert not isinstance(created, UseExisting)
        assert created.name not in hub.claims


@hubs_with_a_claim_for_each_server
def test_a_renamed_user_keeps_all_claims_and_the_next_of_the_name_gets_none(version, template):
    hub = Hub(version, template)
    later = datetime(2026, 6, 1, tzinfo=UTC)  # the claims are older
    for userid, user, server, name in hub.rows:
        living = {other: since for other, since in hub.users.items() if other != user} | {user: later}
        renamed = hub.choose(99, "renamed", server, remembered_name=name, living_users=living)
        assert isinstance(renamed, UseExisting)
        assert renamed.name == name
        theirs = {row[3] for row in hub.rows if row[1] == user}
        new = hub.choose(userid, user, server, known_since=later, taken_by_others=theirs)
        assert getattr(new, "name", None) not in theirs


@all_hubs
def test_a_user_without_a_claim_gets_nobody_elses(version, template):
    """A stranger with the names that come next to somebody's."""
    hub = Hub(version, template)
    for stranger in ("adagpu", "ada-gpu", "ada--gpu", "user", "user-2d1", "jane-doe-example-org---7f73355b"):
        choice = hub.choose(50, stranger, "")
        if isinstance(choice, UseExisting):
            pytest.fail(f"{stranger} gets {choice.name} of {annotations_of(choice.claim)}")
