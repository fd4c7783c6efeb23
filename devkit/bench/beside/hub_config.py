"""The jupyterhub_config.py of all compared hubs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from devkit.bench.beside.inside import configure

configure(get_config())  # noqa: F821 - JupyterHub's
