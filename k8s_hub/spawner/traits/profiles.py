"""Choices that users have."""

from traitlets import Dict, HasTraits, List, TraitError, Union, validate
from traitlets.utils.bunch import Bunch


class ProfileTraits(HasTraits):
    """Profiles; this version takes the chart's empty list and says so for any other."""

    profile_list = Union(
        [List(), Dict()],
        default_value=[],
        config=True,
        help="""
        Profiles that users choose from. Only the empty list is possible in this version.
        """,
    )

    @validate("profile_list")
    def _only_empty(self, proposal: Bunch) -> object:
        if proposal.value:
            raise TraitError(
                f"KubeSpawner.profile_list: profiles are not available in this version, "
                f"got {len(proposal.value)} of them"
            )
        return proposal.value
