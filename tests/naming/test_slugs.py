"""Slugs are compared with what KubeSpawner 7.1.0 makes: a name that differs is a home that is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.naming import slugs
from k8s_hub.naming.templates import Names, SlugScheme, expand

# user, server, {username} safe, {user_server} safe, {user_server} escape, label hub.jupyter.org/username
KUBESPAWNER_7_1_0 = [
    ("alice", "gpu", "alice", "alice--gpu", "alice--gpu", "alice"),
    ("user-1", "", "user-1", "user-1", "user-2d1", "user-1"),
    ("user--1", "", "user-1---d8722271", "user-1---d8722271", "user-2d-2d1", "user-1---d8722271"),
    ("User", "", "user---b512d97e", "user---b512d97e", "-55ser", "User"),
    (
        "jane.doe@example.org",
        "gpu",
        "jane-doe-example-org---7f73355b",
        "jane-doe-example-org---7f73355b--gpu",
        "jane-2edoe-40example-2eorg--gpu",
        "jane-doe-example-org---7f73355b",
    ),
    ("9user", "", "x-9user---32e8486d", "x-9user---32e8486d", "9user", "9user"),
    ("üser", "", "ser---73506260", "ser---73506260", "-c3-bcser", "ser---73506260"),
    ("用户", "", "x---0d0e1a86", "x---0d0e1a86", "-e7-94-a8-e6-88-b7", "x---0d0e1a86"),
    ("user_name", "", "user-name---2e0d0e00", "user-name---2e0d0e00", "user-5fname", "user_name"),
    ("a.b", "", "a-b---2e7336dc", "a-b---2e7336dc", "a-2eb", "a.b"),
    ("user-", "", "user---b5d4a457", "user---b5d4a457", "user-2d", "user---b5d4a457"),
    ("x", "Some Name", "x", "x--some-name---3a8b1764", "x---53ome-20-4eame", "x"),
    ("a" * 46, "", "a" * 46, "a" * 46, "a" * 46, "a" * 46),
    ("a" * 48, "", "a" * 48, "aaaaaaaaaaaaaaaaa--x---51eb9331", "a" * 48, "a" * 48),
    (
        "a" * 70,
        "",
        "a" * 37 + "---6bd5e503",
        "aaaaaaaaaaaaaaaaa--x---37a5e7c7",
        "a" * 70,
        "a" * 21 + "---6bd5e503",
    ),
    (
        "a" * 40,
        "server-name",
        "a" * 40,
        "aaaaaaaaaaaaaaaaa--server-name---c1f437e4",
        "a" * 40 + "--server-2dname",
        "a" * 40,
    ),
    (
        "B" * 36 + "-tail",
        "",
        "b" * 36 + "---4969d69d",
        "bbbbbbbbbbbbbbbbb--x---565bbd9b",
        "-42" * 36 + "-2dtail",
        "B" * 36 + "-tail",
    ),
    (
        "1" * 60,
        "",
        "x-" + "1" * 35 + "---70d36ded",
        "x-111111111111111--x---dc5154ba",
        "1" * 60,
        "1" * 60,
    ),
]


@pytest.mark.parametrize("user, server, username, user_server, escaped, label", KUBESPAWNER_7_1_0)
def test_slugs_are_those_of_kubespawner(user, server, username, user_server, escaped, label):
    assert slugs.safe(user, max_length=slugs.SLUG_LENGTH) == username
    assert slugs.user_server(user, server) == user_server
    assert slugs.label(user) == label
    by_escape = Names.of(
        username=user, servername=server, userid=1, hub_namespace="jhub", scheme=SlugScheme.ESCAPE
    )
    assert by_escape.user_server == escaped


@pytest.mark.parametrize("user, server, username, user_server, escaped, label", KUBESPAWNER_7_1_0)
def test_pod_names_are_those_of_kubespawner(user, server, username, user_server, escaped, label):
    names = Names.of(username=user, servername=server, userid=1, hub_namespace="jhub")
    assert expand("jupyter-{user_server}", names) == f"jupyter-{user_server}"


def test_an_empty_label_stays_empty():
    assert slugs.label("") == ""


def test_control_characters_are_escaped_with_one_digit_as_kubespawner_did():
    assert slugs.escape("a\nb") == "a-ab"


def test_letters_that_only_look_like_ascii_are_no_valid_label():
    """Deliberately unlike KubeSpawner, whose label (the name itself) the API server refuses."""
    assert slugs.label("\N{KELVIN SIGN}elvin").isascii()


def test_a_length_without_room_for_a_name_is_refused():
    with pytest.raises(ValueError, match="11 characters"):
        slugs.safe("Ada", max_length=11)


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
OBJECT_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")


@given(names)
def test_every_name_becomes_a_valid_object_name(name):
    slug = slugs.safe(name, max_length=48)
    assert len(slug) <= 48
    assert OBJECT_NAME.fullmatch(slug)


@given(names)
def test_every_name_becomes_a_valid_label_value(name):
    assert len(slugs.label(name)) <= 63
    assert LABEL_VALUE.fullmatch(slugs.label(name))


@given(names, st.just("") | names)
def test_every_server_becomes_a_valid_object_name_with_room_for_a_prefix(username, servername):
    slug = slugs.user_server(username, servername)
    assert len(slug) <= 48
    assert OBJECT_NAME.fullmatch(slug)


@given(names)
def test_every_name_becomes_a_valid_name_of_a_service_and_of_a_namespace(name):
    assert len(slugs.service(name)) <= 63
    assert OBJECT_NAME.fullmatch(slugs.service(name))
    assert len(slugs.namespace(name)) <= 63
    assert re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", slugs.namespace(name))


@pytest.mark.parametrize("name", ["jupyter-ada", "jupyter-ada--gpu", "a---0d0e1a86", "a" * 63])
def test_a_name_that_a_service_may_have_is_kept(name):
    assert slugs.service(name) == slugs.namespace(name) == name


def test_a_namespace_may_begin_with_a_digit_and_a_service_may_not():
    assert slugs.namespace("9-user") == "9-user"
    assert slugs.service("9-user") != "9-user"


@pytest.mark.parametrize("shorten", [slugs.service, slugs.namespace])
def test_names_that_are_shortened_differ(shorten):
    assert shorten("a" * 64) != shorten("a" * 65)
    assert shorten("a.b") != shorten("a_b")


similar = st.text("aA-._", min_size=1, max_size=6)


@given(similar, st.just("") | similar, similar, st.just("") | similar)
def test_different_servers_have_different_slugs(user, server, other_user, other_server):
    if (user, server) != (other_user, other_server):
        assert slugs.user_server(user, server) != slugs.user_server(other_user, other_server)


@given(names)
def test_a_slug_is_its_own_slug_unless_it_carries_a_hash(name):
    slug = slugs.safe(name)
    assert slugs.safe(slug) == slug or "---" in slug


@pytest.mark.parametrize(
    ("name", "slug"),
    [("ada", "ada"), ("Zoe.B@x.org", "zoe-b-x-org"), ("a_b--c", "a-b--c"), ("\u00fcser", "-ser"), ("", "")],
)
def test_the_legacy_escape_is_that_of_kubespawner_6(name, slug):
    assert slugs.legacy_escape(name) == slug
