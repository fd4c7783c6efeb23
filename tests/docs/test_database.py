"""The lines for the hub's database, of the page and of the repository's configuration: SQLite does not wait for the disk."""

import pytest
from jupyterhub import orm
from sqlalchemy import text
from traitlets.config import Config

from tests.docs.test_commands import ROOT

PAGE = (ROOT / "docs/howto/large-hub.md").read_text()
CONFIGURATION = (ROOT / "jupyterhub_config.py").read_text()


def of_the_page():
    blocks = (block.partition("```")[0] for block in PAGE.split("```python\n")[1:])
    (code,) = (block for block in blocks if "db_kwargs" in block)
    return code


@pytest.mark.parametrize("code", [of_the_page(), CONFIGURATION], ids=["page", "configuration"])
def test_the_hubs_connections_have_a_write_ahead_log(code, tmp_path):
    c = Config()
    exec(code, {"c": c, "get_config": lambda: c})
    with orm.new_session_factory(f"sqlite:///{tmp_path}/hub.sqlite", **c.JupyterHub.db_kwargs)() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA synchronous")).scalar() == 1
        session.bind.dispose()
