"""A command as an admin runs it: a process of its own, with the environment for a hub and a cluster."""

import asyncio
import os
import sys

from k8s_hub.volumes.inventory import SCOPES


class Command:
    """``k8s-hub <verb>`` beside this hub, with a token of all scopes that it needs."""

    def __init__(self, verb, hub, kubeconfig):
        self.verb = verb
        self.environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "JUPYTERHUB_API_URL": hub.api_url,
            "JUPYTERHUB_API_TOKEN": hub.token(scopes=list(SCOPES)),
        }

    async def begin(self, *arguments):
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "k8s_hub", self.verb, *arguments),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments):
        """Return exit code, output and errors."""
        process = await self.begin(*arguments)
        output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()
