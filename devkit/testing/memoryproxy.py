"""A proxy that only keeps routes."""

from typing import Any

from jupyterhub.proxy import Proxy


class MemoryProxy(Proxy):
    """Keeps routes in a dictionary of the RealHub, like a proxy that outlives its hub."""

    should_start = False

    @property
    def routes(self) -> dict[str, dict[str, Any]]:
        return self.app.memory_routes

    async def add_route(self, routespec, target, data):
        spec = self.validate_routespec(routespec)
        self.routes[spec] = {"routespec": spec, "target": target, "data": dict(data)}

    async def delete_route(self, routespec):
        self.routes.pop(self.validate_routespec(routespec), None)

    async def get_all_routes(self):
        return {spec: {**route, "data": dict(route["data"])} for spec, route in self.routes.items()}
