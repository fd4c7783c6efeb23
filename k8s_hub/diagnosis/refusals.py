"""Why the API server refused to create an object: its Status in one sentence.

Conflicts are not its matter: they are answers about another object. Neither are refusals that pass by
themselves, which the caller retries; when it gives up, they are told as the cluster being away.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from k8s_hub.diagnosis.cluster import cluster_unavailable
from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.sentences import amount, listed, measure
from k8s_hub.objects import quantities
from k8s_hub.objects.raw import Raw

_QUOTA = re.compile(
    r"exceeded quota: (?P<quota>\S+), requested: (?P<asked>.+), used: (?P<used>.+), limited: (?P<limit>.+)"
)
_MUST_SPECIFY = re.compile(r"must specify (?P<missing>.+)")
_LIMIT_RANGE = re.compile(
    r"(?P<bound>maximum|minimum) (?P<resource>\S+) usage per \w+ is (?P<value>[\w.]+?)"
    r"(?:, but (?:request|limit) is (?P<asked>[\w.]+)|\. No (?:request|limit) is specified)"
)
_POD_SECURITY = re.compile(r'violates PodSecurity "(?P<level>[^"]+)": (?P<violations>.+)')
_WEBHOOK = re.compile(r'admission webhook "[^"]+" denied the request(?:: (?P<words>.+)| without explanation)')
_SILENT_WEBHOOK = re.compile("failed calling webhook")
_POLICY = re.compile(r"denied request: (?P<words>.+)")
_MISSING_NAMESPACE = re.compile(r'namespaces "(?P<name>[^"]+)" not found')
_DYING_NAMESPACE = re.compile(r"in namespace (?P<name>\S+) because it is being terminated")
_MISSING_OBJECTS = (
    (re.compile(r"no PriorityClass with name (?P<name>\S+) was found"), "priority class"),
    (re.compile(r'RuntimeClass "(?P<name>[^"]+)" not found'), "runtime class"),
    (re.compile(r'serviceaccount "(?P<name>[^"]+)" not found'), "service account"),
)
_NOT_ALLOWED = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)"')
# A quota's name of a resource: requests.memory, count/pods, fast.storageclass.storage.k8s.io/requests.storage.
_QUOTA_PREFIX = re.compile(r"^(?:\S+\.storageclass\.storage\.k8s\.io/)?(?:requests\.|limits\.|count/)?")
_ENVIRONMENT = re.compile(r"\benv\b")

_THINGS = {
    "Pod": "your server",
    "PersistentVolumeClaim": "your home volume",
    "Service": "your server's service",
    "Secret": "your server's secret",
    "Namespace": "your namespace",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The Status of a refused create, and what was to be created."""

    status: Raw
    kind: str
    name: str
    thing: str
    """What the user calls it."""

    @property
    def message(self) -> str:
        """The API server's sentence, as one line."""
        return " ".join(str(self.status.get("message") or "").split())

    @property
    def code(self) -> int:
        """The HTTP status, 0 if the body did not say."""
        return int(self.status.get("code") or 0)

    @property
    def causes(self) -> list[Raw]:
        """The wrong fields, one by one, if the refusal is about fields."""
        return list((self.status.get("details") or {}).get("causes") or ())

    def failed(self, reason: Reason, sentence: str, detail: str | None = None) -> Diagnosis:
        """Make the diagnosis; its detail is the API server's sentence."""
        return Diagnosis.failed(
            Stage.STORAGE if self.kind == "PersistentVolumeClaim" else Stage.REQUEST,
            reason,
            sentence[:1].upper() + sentence[1:],
            detail=f"{self.kind} {self.name}: {self.message if detail is None else detail}",
        )


def diagnose_refusal(status: Raw, kind: str, name: str, thing: str = "") -> Diagnosis:
    """Say why an object of this kind and name could not be created; ``thing`` is what the user calls it."""
    thing = thing or _THINGS.get(kind, f"your server's {kind}")
    refusal = Refusal(status=status, kind=kind, name=name, thing=thing)
    for rule in RULES:
        if (diagnosis := rule(refusal)) is not None:
            return diagnosis
    return refusal.failed(
        Reason.INVALID, f"the cluster refused to create {refusal.thing}. Please tell your administrator."
    )


def quota_exceeded(refusal: Refusal) -> Diagnosis | None:
    """Others, or other servers of the user, have the rest of the quota."""
    if (found := _QUOTA.search(refusal.message)) is None:
        return None
    try:
        asked, used, limit = (dict(_amounts(found[group])) for group in ("asked", "used", "limit"))
        clauses = "; ".join(_over_quota(name, asked[name], used[name], limit[name]) for name in asked)
    except (KeyError, ValueError):
        # Another controller's words, which only look like those of Kubernetes.
        return refusal.failed(Reason.QUOTA, f"there is not enough quota left for {refusal.thing}: {found[0]}")
    is_hopeless = refusal.kind != "Pod" or any(asked[name] > limit[name] for name in asked)
    advice = "Please ask your administrator for more." if is_hopeless else _QUOTA_ADVICE
    return refusal.failed(
        Reason.QUOTA, f"there is not enough quota left for {refusal.thing}: {clauses}. {advice}"
    )


def amounts_missing(refusal: Refusal) -> Diagnosis | None:
    """A quota counts what the object does not say."""
    if (found := _MUST_SPECIFY.search(refusal.message)) is None:
        return None
    names = dict.fromkeys(part.split(" for:")[0].strip() for part in re.split(r"[;,]", found["missing"]))
    return refusal.failed(
        Reason.QUOTA,
        f"the cluster wants to know {listed([_bound_in_words(name) for name in names])} "
        f"of {refusal.thing}, which this hub does not set. Please tell your administrator.",
    )


def outside_limit_range(refusal: Refusal) -> Diagnosis | None:
    """The namespace has a largest or smallest size for one container, pod or claim."""
    if (found := _LIMIT_RANGE.search(refusal.message)) is None:
        return None
    resource = found["resource"]
    bound = "at most" if found["bound"] == "maximum" else "at least"
    allowed = amount(resource, quantities.parse(found["value"]))
    if found["asked"] is None:
        words = f"{refusal.thing} must say that it uses {bound} {allowed}, which this hub does not set"
    else:
        asked = amount(resource, quantities.parse(found["asked"]))
        words = f"{refusal.thing} asks for {asked}, but the cluster allows {bound} {allowed}"
    return refusal.failed(Reason.POLICY, f"{words}. Please choose another size, or tell your administrator.")


def pod_security_violated(refusal: Refusal) -> Diagnosis | None:
    """The namespace enforces a standard that the hub's settings do not meet; no user can change that."""
    if (found := _POD_SECURITY.search(refusal.message)) is None:
        return None
    violations = re.sub(r" \([^)]*\)", "", found["violations"])
    return refusal.failed(
        Reason.POLICY,
        f'the security standard "{found["level"]}" of the cluster refuses {refusal.thing}: {violations}. '
        "Please tell your administrator.",
    )


def refused_by_admission(refusal: Refusal) -> Diagnosis | None:
    """An administrator's policy said no; its own words are made for the person who reads them."""
    found = _WEBHOOK.search(refusal.message) or _POLICY.search(refusal.message)
    if found is None:
        return None
    words = found["words"] or "it gives no explanation"
    return refusal.failed(Reason.POLICY, f"a policy of the cluster refuses {refusal.thing}: {words}")


def namespace_unusable(refusal: Refusal) -> Diagnosis | None:
    """There is no place to create anything in."""
    if found := _MISSING_NAMESPACE.search(refusal.message):
        words = f'the namespace "{found["name"]}" for {refusal.thing} does not exist'
    elif found := _DYING_NAMESPACE.search(refusal.message):
        words = f'the namespace "{found["name"]}" for {refusal.thing} is being deleted'
    else:
        return None
    return refusal.failed(Reason.NAMESPACE, f"{words}. Please tell your administrator.")


def named_object_missing(refusal: Refusal) -> Diagnosis | None:
    """The object names another one that nobody has made."""
    for pattern, kind in _MISSING_OBJECTS:
        if found := pattern.search(refusal.message):
            return refusal.failed(
                Reason.INVALID,
                f'{refusal.thing} needs the {kind} "{found["name"]}", which does not exist. '
                "Please tell your administrator.",
            )
    return None


def hub_not_allowed(refusal: Refusal) -> Diagnosis | None:
    """The hub's own account lacks a permission, or its token is no longer valid."""
    if refusal.code == 401:
        words = "the cluster does not know this hub's account any more"
    elif found := _NOT_ALLOWED.search(refusal.message):
        words = f"the hub is not allowed to {found['verb']} {found['resource']} in the cluster"
    else:
        return None
    return refusal.failed(Reason.FORBIDDEN, f"{words}. Please tell your administrator.")


def invalid_fields(refusal: Refusal) -> Diagnosis | None:
    """A setting made an object that Kubernetes does not accept; names the first field.

    The words about an environment variable may quote its value, so they are left out.
    """
    causes = [cause for cause in refusal.causes if cause.get("field")]
    if refusal.code != 422 or not causes:
        return None
    field, words = str(causes[0]["field"]), str(causes[0].get("message") or causes[0].get("reason") or "")
    # What follows is a regular expression.
    words = words.partition(" (e.g.")[0]
    if any(_ENVIRONMENT.search(str(cause["field"])) for cause in causes):
        detail = ", ".join(f"{cause['field']}: {cause.get('reason')}" for cause in causes)
        return _invalid(refusal, f"{field} is not valid", detail)
    return _invalid(refusal, f"{field}: {words}", refusal.message)


def not_understood(refusal: Refusal) -> Diagnosis | None:
    """A value is of the wrong type, so that the object could not even be read."""
    if refusal.code != 400:
        return None
    return _invalid(
        refusal, refusal.message.partition(f"handled as a {refusal.kind}: ")[2] or refusal.message, None
    )


def webhook_silent(refusal: Refusal) -> Diagnosis | None:
    """A webhook that must be asked does not answer; the API server says so with 500."""
    if _SILENT_WEBHOOK.search(refusal.message) is None:
        return None
    return refusal.failed(
        Reason.CLUSTER_UNAVAILABLE,
        f"a service that the cluster must ask before it creates {refusal.thing} does not answer. "
        "Please try again in some minutes, or tell your administrator.",
    )


def refused_for_now(refusal: Refusal) -> Diagnosis | None:
    """The API server had too much to do or stumbled, and did so until the caller gave up."""
    if refusal.code != 429 and refusal.code < 500:
        return None
    return cluster_unavailable(refusal.message)


def _invalid(refusal: Refusal, words: str, detail: str | None) -> Diagnosis:
    return refusal.failed(
        Reason.INVALID,
        f"the settings of {refusal.thing} are not valid, please tell your administrator: {words}",
        detail,
    )


_QUOTA_ADVICE = "Please choose a smaller server, stop another one, or try again later."


def _over_quota(name: str, asked: Decimal, used: Decimal, limit: Decimal) -> str:
    if asked > limit:
        return f"it needs {amount(name, asked)}, and {measure(name, limit)} is all that is allowed"
    are = "is" if used == 1 else "are"
    return f"it needs {amount(name, asked)}, and {measure(name, used)} of {measure(name, limit)} {are} in use"


def _amounts(text: str) -> Iterator[tuple[str, Decimal]]:
    """Read ``requests.cpu=2,requests.memory=2Gi`` into ``cpu`` and ``memory``."""
    for pair in text.split(","):
        name, _, value = pair.strip().partition("=")
        yield _QUOTA_PREFIX.sub("", name), quantities.parse(value)


def _bound_in_words(name: str) -> str:
    """``limits.memory`` -> ``the memory limit``."""
    kind, _, resource = name.partition(".")
    return {"limits": f"the {resource} limit", "requests": f"the {resource} request"}.get(kind, f"the {name}")


RULES: tuple[Callable[[Refusal], Diagnosis | None], ...] = (
    webhook_silent,
    refused_for_now,
    quota_exceeded,
    amounts_missing,
    outside_limit_range,
    pod_security_violated,
    refused_by_admission,
    namespace_unusable,
    named_object_missing,
    hub_not_allowed,
    invalid_fields,
    not_understood,
)
