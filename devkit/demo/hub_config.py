"""The configuration of the demo's hub: loads another file, and adapts it to this run."""

import logging
from pathlib import Path

from devkit.demo import configuration, hub_log

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - JupyterHub reads this as a script
run = configuration.DemoRun.of_environment()
load_subconfig(run.config)  # type: ignore[name-defined]  # noqa: F821 - as above
configuration.complete(c, run)
hub_log.quiet()
hub_log.repeat(c, Path(run.repeated))
if run.is_own:
    configuration.try_spawner(c)
    for sentence in configuration.sections_without_effect(c, Path(run.config)):
        logging.getLogger(hub_log.HUB).warning("%s", sentence)
