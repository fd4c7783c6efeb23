"""Features of the demo: profiles, the culler's page, warnings, a rule, an admin."""

from typing import Any

from traitlets.config import Config

ADMIN = "admin"
CULLER = "idle-culler"
MISSING_IMAGE = "quay.io/jupyterhub/k8s-singleuser-sample:no-such-tag"
START_TIMEOUT = 60  # seconds, on the mini cluster: the wait with the profile "Too large"
LONGER = 5  # times the idle limit, for the profile with a rule

# A limit alone would be a request, too, and a small machine has not so much for each user.
_LITTLE = {"mem_limit": "1G", "mem_guarantee": "64M"}

SMALL, LONG, LARGE, BROKEN = "small", "long-work", "too-large", "broken"
PROFILES: list[dict[str, Any]] = [
    {
        "display_name": "Small",
        "slug": SMALL,
        "description": "1 GiB of memory.",
        "default": True,
        "kubespawner_override": _LITTLE,
    },
    {
        "display_name": "Long work",
        "slug": LONG,
        "description": f"Like Small, but a culling rule lets it idle {LONGER} times as long.",
        "kubespawner_override": _LITTLE,
    },
    {
        "display_name": "Too large",
        "slug": LARGE,
        "description": "4 TiB of memory, which no machine has. Its start times out.",
        "kubespawner_override": {"mem_limit": "4T"},
    },
    {
        "display_name": "Broken",
        "slug": BROKEN,
        "description": "Its image does not exist. The start fails at once.",
        "kubespawner_override": {"image": MISSING_IMAGE},
    },
]


def show(c: Config, *, culler_url: str, culler_options: str, is_mini: bool) -> None:
    """Add the features to ``c``, which has a culler without a page; ``is_mini``: on the mini cluster."""
    (culler,) = (service for service in c.JupyterHub.services if service["name"] == CULLER)
    culler |= {"url": culler_url, "oauth_no_confirm": True}
    culler["command"].append(f"--config={culler_options}")
    (role,) = (role for role in c.JupyterHub.load_roles if role["name"] == CULLER)
    role["scopes"].append("admin:server_state")  # for a rule about profiles
    may_open = ["self", f"access:services!service={CULLER}"]
    c.JupyterHub.load_roles.append({"name": "user", "scopes": may_open})
    c.Authenticator.admin_users = {ADMIN}
    c.KubeSpawner.profile_list = PROFILES
    if is_mini:
        c.KubeSpawner.start_timeout = START_TIMEOUT
        # The pods end with the demo. Else the next run reads that somebody else removed them.
        c.JupyterHub.cleanup_servers = True


def culler_options(
    *, idle_seconds: int, activity_seconds: int, warn_url: str, state_file: str, decision_log: str
) -> dict[str, Any]:
    """Return the culler's config file as JSON: a rule, a warning, and a page with saved state."""
    notice = idle_seconds // 3
    warning = {"warn_before": notice, "warn_url": warn_url} if notice else {}
    rule = {"name": "long work", "match": {"profile": LONG}, "timeout": LONGER * idle_seconds}
    return {
        "IdleCuller": {
            "rules": [rule],
            "keep_longest": LONGER * idle_seconds,  # what a trial can wait for
            "state_file": state_file,
            "decision_log": decision_log,
            # Else the second run, minutes after the first, would be the end of an outage that spares servers for 5 min.
            "activity_interval": activity_seconds,
            **warning,
        }
    }
