"""Which scopes a token lacks, in whole or in part."""

import pytest

from devkit.testing.realhub import RealHub
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.hub.users import MissingScope, missing_scopes

CHART = ("list:users", "read:users:activity", "read:servers", "delete:servers")
OPT_IN = ("access:servers", "admin:server_state", "read:users:groups", "proxy", "tokens")


def test_nothing_is_missing():
    assert missing_scopes(["list:users", "proxy"], {"proxy", "list:users", "delete:users"}) == ()


def test_each_missing_scope_is_named_once_and_in_order():
    missing = missing_scopes(["proxy", "list:users", "proxy", "access:servers"], {"list:users"})
    assert [str(scope) for scope in missing] == ["proxy", "access:servers"]


def test_a_scope_with_a_filter_is_a_part():
    has = {"access:servers!user=x", "access:servers!group=y", "read:servers!user=x"}
    missing = missing_scopes(["access:servers"], has)
    assert missing == (
        MissingScope(name="access:servers", partly=("access:servers!group=y", "access:servers!user=x")),
    )
    assert str(missing[0]) == "access:servers (only access:servers!group=y, access:servers!user=x)"


def test_the_whole_holds_its_parts():
    assert missing_scopes(["read:servers!user=x"], {"read:servers"}) == ()
    assert missing_scopes(["read:servers!user=x"], {"read:servers!user=x"}) == ()
    assert missing_scopes(["read:servers!user=x"], {"read:servers!user=y"}) == (
        MissingScope(name="read:servers!user=x"),
    )


def test_another_scope_of_a_longer_name_is_no_part():
    assert missing_scopes(["read:users"], {"read:users:groups!user=x"}) == (MissingScope(name="read:users"),)


@pytest.mark.hub
@pytest.mark.parametrize("extra", [(), OPT_IN, ("admin:users",), ("access:servers!user=alice",)])
async def test_a_hub_tells_a_services_token_and_a_users_token_alike(extra):
    service = {"name": "culler", "api_token": "s" * 32}
    role = {"name": "culler", "services": ["culler"], "scopes": [*CHART, *extra]}
    async with RealHub(config={"JupyterHub": {"services": [service], "load_roles": [role]}}) as hub:
        for token in (service["api_token"], hub.token(scopes=[*CHART, *extra])):
            settings = HubConnectionSettings(url=hub.api_url, token=token)
            async with HubConnection(settings) as connection:
                has = await HubApi(connection).scopes()
            assert {*CHART, *extra} <= has
            expected = set(OPT_IN) - set(extra) - ({"read:users:groups"} if "admin:users" in extra else set())
            assert {scope.name for scope in missing_scopes([*CHART, *OPT_IN], has)} == expected
