"""A process that plays every user's server: it answers 200 on all addresses. `python -m ...listener PORT`."""

import asyncio
import sys

from devkit.testing.realhub import Answer


async def listen(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answer, "0.0.0.0", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(listen(int(sys.argv[1])))
