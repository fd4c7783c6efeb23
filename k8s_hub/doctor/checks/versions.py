"""Versions: whether they are supported, and whether they lack a security release."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from k8s_hub.doctor.checks.findings import Finding, fine, unknown, wrong
from k8s_hub.text import quoted

CHECK = "versions"
RUNNING = "(running)"
"""After the name of a program that was asked over the network. Other versions are of this environment."""

LOWEST = {"Python": (3, 11), "jupyterhub": (5, 5), "kubernetes-asyncio": (36,), "Kubernetes": (1, 32)}
"""The lowest versions that the tests run with; for Kubernetes, the chart's minimum."""

SECURITY_RELEASES = {"jupyterhub": ((5, 5, 4), (6, 1, 1))}
"""The latest security release of each minor version that has one. For a minor version that is not listed, the next one in
the list is the first with the fix. To add a release, replace the one of its minor version, or append it."""

NOT_KNOWN = {"Kubernetes": "the API server did not tell its version"}


class Version(NamedTuple):
    """A version in its order; a pre-release sorts before its release."""

    numbers: tuple[int, int, int]
    is_release: bool

    @classmethod
    def of(cls, text: str) -> "Version | None":
        """Parse a version such as ``5.5.4``, ``6.2.0rc1`` or ``1.32.9-gke.1``; None for anything else."""
        found = _VERSION.fullmatch(text)
        if found is None:
            return None
        major, minor, patch = (int(number or 0) for number in found.groups()[:3])
        return cls((major, minor, patch), _PRE_RELEASE.match(found["rest"] or "") is None)


_VERSION = re.compile(
    r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?P<rest>[-+._a-zA-Z][-+.\w]{,50})?", re.ASCII
)
_PRE_RELEASE = re.compile(r"[._-]?((a|b|rc)\d|alpha|beta|dev)")


def check_versions(versions: Mapping[str, str | None]) -> Iterator[Finding]:
    """Check versions by name; None is an unknown version."""
    for name, version in versions.items():
        yield _finding(name, name.removesuffix(RUNNING).strip(), version)


def _finding(subject: str, program: str, version: str | None) -> Finding:
    have = Version.of(version or "")
    if version is None or have is None:
        what = (
            NOT_KNOWN.get(program, "not installed here")
            if version is None
            else f"{quoted(version)} is not a version"
        )
        return unknown(CHECK, subject, what)
    lowest = LOWEST.get(program, ())
    release = security_release_after(program, have)
    if have.numbers < lowest:
        return _wrong(subject, f"{version} is too old", _dotted(lowest))
    if release is not None:
        return _wrong(subject, f"{version} is older than the security release {release}", release)
    return fine(CHECK, subject, version)


def _wrong(subject: str, message: str, wanted: str) -> Finding:
    return wrong(CHECK, subject, message, advice=f"upgrade to {wanted} or later")


def security_release_after(program: str, have: Version) -> str | None:
    """Return the security release that this version lacks; None if it lacks none in `SECURITY_RELEASES`."""
    # Its own minor version's release is enough, although there are later ones.
    ahead = [release for release in SECURITY_RELEASES.get(program, ()) if release[:2] >= have.numbers[:2]]
    wanted = min(ahead, default=None)
    return _dotted(wanted) if wanted is not None and have < Version(wanted, is_release=True) else None


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
