"""``k8s-hub volumes``: lists claims and their owners, and deletes claims without an owner."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, assert_never

from k8s_hub.cli import numbers, sources
from k8s_hub.clock import utcnow
from k8s_hub.hub.connection import HubConnectionSettings
from k8s_hub.hub.errors import HubError
from k8s_hub.kube.configuration import pod_namespace
from k8s_hub.naming.ownership import FEW
from k8s_hub.naming.templates import Names, Scope, TemplateError, expand, scope_of
from k8s_hub.objects.keys import Key
from k8s_hub.text import printable
from k8s_hub.volumes import table
from k8s_hub.volumes.plan import (
    ClaimFinding,
    OwnerIndex,
    Ownership,
    PruneOptions,
    may_be_of_release,
    plan,
)
from k8s_hub.volumes.pruning import ClaimDeleted, ClaimKept, ClaimUnclear, Outcome, prune


def run(arguments: Sequence[str]) -> int:
    """List or prune. Return 1 with one sentence on stderr after an error, 2 for wrong usage."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    try:
        where = sources.hub_of(parsed)
        options = _options(parsed)
    except ValueError as error:
        parser.error(str(error))
    return sources.run("k8s-hub volumes", _run(parsed, where, options))


async def _run(parsed: argparse.Namespace, where: HubConnectionSettings, options: PruneOptions) -> None:
    namespaces = [None] if parsed.all_namespaces else parsed.namespace or [pod_namespace() or "default"]
    async with sources.opened(parsed, where, namespaces) as found:
        inventory = await found.read()
        owners = OwnerIndex.of(inventory.users, options.templates)
        planned = plan(inventory.claims, inventory.mounts, owners, options)
        findings = planned.findings
        if parsed.action == "list":
            shown = [found for found in findings if may_be_of_release(found.claim, options.release)]
            _list(shown, options, is_json=parsed.json)
        elif not parsed.delete:
            _show_plan(findings, options, is_json=parsed.json)
        else:
            if planned.doubt is not None:
                raise HubError(f"nothing was deleted because {planned.doubt}")
            report = PruneReport(options=options, is_json=parsed.json)
            try:
                await prune(found, findings, options, report.on_outcome)
            finally:  # also after a signal or an error in the middle
                report.end(findings)


# --- What is printed ---


def _list(findings: Sequence[ClaimFinding], options: PruneOptions, *, is_json: bool) -> None:
    if is_json:
        _print_json([table.as_json(found, options.now) for found in findings])
    else:
        print("\n".join(table.claims_table(findings, options.now)))


def _show_plan(findings: Sequence[ClaimFinding], options: PruneOptions, *, is_json: bool) -> None:
    if is_json:
        _list(findings, options, is_json=True)
        return
    candidates = [found for found in findings if found.deletable]
    for found in candidates:
        print(f"would delete {table.described(found, options.now)}")
    for found in findings:
        if found.kept_because is not None and found.ownership is not Ownership.SERVER:
            print(
                printable(f"keep         {table.described(found, options.now)} because {found.kept_because}")
            )
    print(
        f"{table.total(candidates)} would be deleted, {table.total(_others(findings, candidates))} kept. "
        "Nothing was deleted: add --delete to delete."
    )


def _others(findings: Sequence[ClaimFinding], some: Sequence[ClaimFinding]) -> list[ClaimFinding]:
    keys = {found.key for found in some}
    return [found for found in findings if found.key not in keys]


@dataclass(slots=True, kw_only=True)
class PruneReport:
    """The outcomes of ``prune --delete`` so far, printed line by line, or as JSON at the end."""

    options: PruneOptions
    is_json: bool
    outcomes: dict[Key, Outcome] = field(default_factory=dict)

    def on_outcome(self, found: ClaimFinding, outcome: Outcome) -> None:
        """Record and print the outcome of one claim."""
        self.outcomes[found.key] = outcome
        if not self.is_json:
            print(printable(self._line(found, outcome)), flush=True)

    def _line(self, found: ClaimFinding, outcome: Outcome) -> str:
        claim = table.described(found, self.options.now)
        match outcome:
            case ClaimDeleted():
                return f"deleted {claim}"
            case ClaimKept(reason=reason):
                return f"kept    {claim} because {reason}"
            case ClaimUnclear(error=error):
                return f"unclear {claim}: {error}"
            case _:
                assert_never(outcome)

    def end(self, findings: Sequence[ClaimFinding]) -> None:
        """Print the totals, or everything as JSON."""
        if self.is_json:
            _print_json([self._as_json(found) for found in findings])
        else:
            deleted = [found for found in findings if isinstance(self.outcomes.get(found.key), ClaimDeleted)]
            print(f"{table.total(deleted)} deleted, {table.total(_others(findings, deleted))} kept.")

    def _as_json(self, found: ClaimFinding) -> dict[str, Any]:
        """Return the claim's plan with its outcome; the outcome is None if the claim was not reached."""
        about = table.as_json(found, self.options.now)
        match self.outcomes.get(found.key):
            case ClaimKept(reason=reason):
                return {**about, "may_go": False, "kept_because": reason, "outcome": "kept"}
            case ClaimDeleted():
                return {**about, "outcome": "deleted"}
            case ClaimUnclear():
                return {**about, "outcome": "unclear"}
            case None:
                return {**about, "outcome": None}
            case never:
                assert_never(never)


def _print_json(claims: list[dict[str, Any]]) -> None:
    print(json.dumps({"claims": claims}, indent=2))


# --- What is asked for ---


def _options(parsed: argparse.Namespace) -> PruneOptions:
    days = getattr(parsed, "older_than", None)
    for template in parsed.template:
        _check_template(template)
    return PruneOptions(
        now=utcnow(),
        release=parsed.release or None,
        templates=tuple(parsed.template),
        older_than=None if days is None else timedelta(days=days),
        is_everywhere=parsed.all_namespaces,
        deletes_most=getattr(parsed, "most", False),
    )


def _check_template(template: str) -> None:
    try:
        expand(template, Names.of(username="ada", userid=1, hub_namespace="default"))
    except TemplateError as error:
        raise ValueError(f"--template {template!r} {error}") from error
    if scope_of(template) is Scope.EVERYBODY:
        raise ValueError(
            f"--template {template!r} names no user: prune never deletes a claim that all users share"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="k8s-hub volumes",
        description="Lists the claims of a hub's users, and deletes claims without an owner.",
        epilog=sources.EPILOG,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list all claims and their owners")
    pruning = actions.add_parser("prune", help="show claims that can be deleted; with --delete, delete them")
    sources.add_deletion(pruning, "the claims")
    pruning.add_argument(
        "--older-than",
        type=numbers.days,
        metavar="DAYS",
        help="keep claims that were created in the last DAYS days; the last use of a deleted user's claim is unknown",
    )
    pruning.add_argument(
        "--most",
        action="store_true",
        help=f"delete even more than half of the claims; without it, more than {FEW} and half of them are all kept",
    )
    for action in (listing, pruning):
        _add_sources(action)
    return parser


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    sources.add_release(parser, "claims of any release are kept")
    parser.add_argument(
        "--template",
        action="append",
        default=[],
        metavar="TEMPLATE",
        help="current or earlier KubeSpawner.pvc_name_template, or name_template of an extra claim; repeatable",
    )
    sources.add_arguments(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--namespace",
        action="append",
        metavar="NAME",
        help="namespace of the claims; repeatable (default: this pod's, or default)",
    )
    where.add_argument(
        "--all-namespaces", action="store_true", help="all namespaces, for a hub with user namespaces"
    )
