"""``k8s-hub orphans``: lists pods, Secrets and Services without a server, and deletes them."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from k8s_hub.cli import sources
from k8s_hub.clock import utcnow
from k8s_hub.hub.connection import HubConnectionSettings
from k8s_hub.hub.errors import HubError
from k8s_hub.hub.users import User
from k8s_hub.kube.configuration import pod_namespace
from k8s_hub.kube.core.errors import Forbidden, Unavailable
from k8s_hub.kube.core.resources import PODS, SECRETS, SERVICES
from k8s_hub.manifests.metadata import USERNAME_LABEL
from k8s_hub.naming.ownership import RELEASE_LABELS, USERNAME_ANNOTATION
from k8s_hub.objects.keys import annotations_of, created_at, metadata_of, phase_of, uid_of
from k8s_hub.orphans.plan import Facts, Findings, HubServers, Orphan, doubt_about_the_whole, find_orphans
from k8s_hub.orphans.reconciler import remove
from k8s_hub.retries import retrying
from k8s_hub.text import LETTERS, counted, format_duration, format_table, printable
from k8s_hub.volumes.inventory import RETRIES, Sources

HEADINGS = ("OBJECT", "SERVER", "STATE", "AGE", "REASON")


def run(arguments: Sequence[str]) -> int:
    """List or remove. Return 1 with one sentence on stderr after an error, 2 for wrong usage."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    try:
        where = sources.hub_of(parsed)
    except ValueError as error:
        parser.error(str(error))
    return sources.run("k8s-hub orphans", _run(parsed, where))


async def _run(parsed: argparse.Namespace, where: HubConnectionSettings) -> None:
    namespaces = parsed.namespace or [pod_namespace() or "default"]
    async with sources.opened(parsed, where, namespaces) as found:
        search = Search(sources=found, component=parsed.component_label, release=parsed.release or None)
        findings = await search.look()
        orphans = sorted(findings.orphans, key=lambda orphan: (orphan.key, orphan.resource.kind))
        if parsed.action == "list":
            _list(orphans, is_json=parsed.json)
        elif not parsed.delete:
            _show_plan(orphans)
        else:
            await _remove(search, orphans, findings.total)


@dataclass(slots=True, kw_only=True)
class Search:
    """One reading of cluster and hub, and the second look at single users."""

    sources: Sources
    component: str
    release: str | None
    _users: dict[str, User] = field(default_factory=dict)
    _pod_uids: frozenset[str] = frozenset()

    async def look(self) -> Findings:
        """Read the cluster and then the hub, and judge. Raises `HubError` or `KubeError`."""
        await self.sources.check_scopes()
        pods = await self.sources.objects(PODS, f"component={self.component}")
        self._pod_uids = frozenset(map(uid_of, pods))
        objects = [(PODS, pod) for pod in pods]
        for resource in (SECRETS, SERVICES):
            try:
                found = await self.sources.objects(resource, USERNAME_LABEL)
            except Forbidden as error:
                print(printable(f"{resource} were not checked: {error}"), file=sys.stderr)
                continue
            # Never more than the metadata: a Secret's data is not needed.
            objects += [(resource, {"metadata": metadata_of(obj)}) for obj in found]
        self._users = {user.name: user for user in await self.sources.everybody()}
        return find_orphans(objects, self.facts())

    def facts(self) -> Facts:
        """Return what objects are judged by."""
        return Facts(
            hub=HubServers.of(self._users.values()),
            release_labels={} if self.release is None else dict.fromkeys(RELEASE_LABELS, self.release),
            pod_uids=self._pod_uids,
            now=utcnow(),
        )

    async def facts_about(self, orphan: Orphan) -> Facts:
        """Read the users again who may have the object, and return what objects are judged by now."""
        for name in {annotations_of(orphan.obj)[USERNAME_ANNOTATION], orphan.server[0]}:
            user = await self.sources.user(name)
            self._users.pop(name, None)
            if user is not None:
                self._users[name] = user
        return self.facts()


async def _remove(search: Search, orphans: Sequence[Orphan], total: int) -> None:
    candidates = [orphan for orphan in orphans if orphan.doubt is None]
    doubt = doubt_about_the_whole(candidates, total, search.facts().hub) if candidates else None
    if doubt is not None:
        raise HubError(f"nothing was deleted because {doubt}")
    deleted = 0
    for orphan in orphans:
        kept_because = orphan.doubt
        if kept_because is None:
            try:
                kept_because = await retrying(
                    RETRIES,
                    lambda: remove(search.sources.kube, orphan, lambda: search.facts_about(orphan)),  # noqa: B023
                    on=Unavailable,
                )
            except Unavailable as error:
                print(printable(f"unclear {_described(orphan)}: {error}"), flush=True)
                raise
        deleted += kept_because is None
        line = (
            f"deleted {_described(orphan)}"
            if kept_because is None
            else f"kept    {_described(orphan)} because {kept_because}"
        )
        print(printable(line), flush=True)
    print(f"{counted(deleted, 'object')} deleted, {len(orphans) - deleted} kept.")


# --- What is printed ---


def _list(orphans: Sequence[Orphan], *, is_json: bool) -> None:
    if is_json:
        print(json.dumps({"orphans": [_as_json(orphan) for orphan in orphans]}, indent=2))
        return
    rows = [
        tuple(map(printable, (str(orphan), _server(orphan), _state(orphan), _age(orphan), orphan.cause)))
        for orphan in orphans
    ]
    print(
        "\n".join([*format_table([HEADINGS, *rows]), f"{counted(len(orphans), 'object')} without a server"])
    )


def _show_plan(orphans: Sequence[Orphan]) -> None:
    for orphan in orphans:
        if orphan.doubt is None:
            print(printable(f"would delete {_described(orphan)}"))
        else:
            print(printable(f"keep         {_described(orphan)} because {orphan.doubt}"))
    count = sum(orphan.doubt is None for orphan in orphans)
    print(
        f"{counted(count, 'object')} would be deleted, {len(orphans) - count} kept. "
        "Nothing was deleted: add --delete to delete."
    )


def _described(orphan: Orphan) -> str:
    state = f"{_state(orphan)}, " if _state(orphan) != "-" else ""
    return f"{orphan} ({state}created {_age(orphan)} ago: {orphan.cause})"


def _server(orphan: Orphan) -> str:
    return "/".join(orphan.server).removesuffix("/")


def _state(orphan: Orphan) -> str:
    return phase_of(orphan.obj) or "-"


def _age(orphan: Orphan) -> str:
    return format_duration(utcnow() - (created_at(orphan.obj) or utcnow()), LETTERS, parts=1)


def _as_json(orphan: Orphan) -> dict[str, Any]:
    return {
        "kind": orphan.resource.kind,
        "namespace": orphan.key.namespace,
        "name": orphan.key.name,
        "uid": orphan.uid,
        "user": orphan.server[0],
        "server": orphan.server[1],
        "phase": phase_of(orphan.obj) or None,
        "created": metadata_of(orphan.obj)["creationTimestamp"],
        "cause": orphan.cause,
        "may_go": orphan.doubt is None,
        "kept_because": orphan.doubt,
    }


# --- What is asked for ---


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="k8s-hub orphans",
        description="Lists pods, Secrets and Services of a hub's servers that the hub does not have or has stopped, "
        "and deletes them. Claims are never touched.",
        epilog=sources.EPILOG,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list all objects without a server")
    listing.add_argument("--json", action="store_true", help="print JSON")
    removing = actions.add_parser(
        "remove", help="show objects that can be deleted; with --delete, delete them"
    )
    sources.add_deletion(removing, "the objects, running pods with the work in them")
    for action in (listing, removing):
        _add_sources(action)
    return parser


def _add_sources(parser: argparse.ArgumentParser) -> None:
    sources.add_release(parser, "objects of any release and of users that the hub does not have are kept")
    parser.add_argument(
        "--component-label",
        default="singleuser-server",
        metavar="VALUE",
        help="KubeSpawner.component_label (default: %(default)s)",
    )
    sources.add_arguments(parser)
    parser.add_argument(
        "--namespace",
        action="append",
        metavar="NAME",
        help="namespace of the servers; repeatable (default: this pod's, or default)",
    )
