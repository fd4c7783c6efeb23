"""The pages beside a real hub: who sees what, what can be kept, what is refused."""

from datetime import timedelta

import pytest

from k8s_hub.culler.keeping import KeepLimits
from k8s_hub.culler.policy import Limits
from tests.culler.page.visiting import NOW, Visitor, page_of

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
