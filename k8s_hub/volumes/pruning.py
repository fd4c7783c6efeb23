"""Deletes claims one by one. Reads each claim and its user again right before the delete."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.claims.lookup import username_of
from k8s_hub.kube.core.errors import Conflict, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import CLAIMS
from k8s_hub.objects.keys import Key, uid_of
from k8s_hub.retries import retrying
from k8s_hub.volumes.inventory import RETRIES, Sources
from k8s_hub.volumes.plan import ClaimFinding, OwnerIndex, PruneOptions, evaluate_claim

BATCH = 20
"""Claims deleted between two lists of the pods."""


@dataclass(frozen=True, slots=True)
class ClaimDeleted:
    """The API server accepted the deletion of this claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimKept:
    """The second look found a reason to keep the claim. It completes "kept because ..."."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimUnclear:
    """The request was sent, and its outcome is unknown."""

    error: str


Outcome: TypeAlias = ClaimDeleted | ClaimKept | ClaimUnclear


async def prune(
    sources: Sources,
    findings: Sequence[ClaimFinding],
    options: PruneOptions,
    on_outcome: Callable[[ClaimFinding, Outcome], object],
) -> None:
    """Delete the deletable claims; call ``on_outcome`` for each.

    Raises `HubError` or `KubeError` at the first answer that leaves a doubt, and keeps the remaining claims.
    If it is cancelled during a delete, it waits for that outcome first.
    """
    candidates = [finding for finding in findings if finding.deletable]
    for first in range(0, len(candidates), BATCH):
        mounts = await sources.mounts()
        for finding in candidates[first : first + BATCH]:
            reason = await _reason_to_keep(sources, finding, mounts, options)
            if reason is None:
                await _delete(sources, finding, on_outcome)
            else:
                on_outcome(finding, ClaimKept(reason=reason))


async def _reason_to_keep(
    sources: Sources, finding: ClaimFinding, mounts: Mapping[Key, tuple[str, ...]], options: PruneOptions
) -> str | None:
    """Read the claim and its user again, and evaluate the claim by these alone."""
    try:
        claim = await retrying(RETRIES, lambda: sources.kube.get(CLAIMS, finding.key), on=Unavailable)
    except NotFound:
        return "it is already gone"
    if uid_of(claim) != uid_of(finding.claim):
        return "a new claim now has its name"
    username = username_of(claim)
    user = None if username is None else await sources.user(username)
    owners = OwnerIndex.of([] if user is None else [user], options.templates)
    again = evaluate_claim(claim, mounts.get(finding.key, ()), owners, options)
    if again.kept_because is None and again.ownership is not finding.ownership:
        return f"its owner has changed meanwhile: there is {again.ownership} {again.owner!r}"
    return again.kept_because


async def _delete(
    sources: Sources, finding: ClaimFinding, on_outcome: Callable[[ClaimFinding, Outcome], object]
) -> None:
    async def ask() -> Outcome:
        try:
            await sources.kube.delete(CLAIMS, finding.key, uid=uid_of(finding.claim))
        except NotFound:
            pass  # an earlier attempt deleted it, and its reply was lost
        except Conflict:
            return ClaimKept(reason="a new claim now has its name")
        return ClaimDeleted()

    async def ask_undisturbed() -> Outcome:
        asked = asyncio.create_task(ask())
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            # What was asked for may happen, so its outcome is emitted.
            try:
                outcome = await asked
            except KubeError as error:
                outcome = ClaimUnclear(error=str(error))
            on_outcome(finding, outcome)
            raise

    try:
        outcome = await retrying(RETRIES, ask_undisturbed, on=Unavailable)
    except Unavailable as error:
        on_outcome(finding, ClaimUnclear(error=str(error)))
        raise
    on_outcome(finding, outcome)
