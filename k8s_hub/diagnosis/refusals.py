"""Rules about refused creates: the API server's Status in one sentence.

They do not handle conflicts, which are about another object, and transient refusals, which the caller retries.

A refusal may quote text of the user. So rules match the status code first, and then only the beginning of the message, which
the API server itself writes. Quoted text cannot select a rule.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from k8s_hub.diagnosis.diagnosis import SENTENCE_LIMIT, Diagnosis, OnError, Reason, Stage, ask, ignore
from k8s_hub.diagnosis.messages import CONTACT, LATER, format_amount, format_quantity, listed, sanitized
from k8s_hub.diagnosis.obstacles import cluster_unavailable
from k8s_hub.objects import quantities
from k8s_hub.objects.raw import Raw

MESSAGE_LIMIT = 4096
"""Characters of a message that rules read: a message may quote a whole web page."""

VALUE_LIMIT = 80
"""Characters of a wrong value to show, with the two words before it."""

# pods "jupyter-ada" is forbidden: ...; the name is quoted as Go quotes it.
_PREAMBLE = re.compile(r'\S+(?: "(?:[^"\\]|\\.)*")? is forbidden: ')
_MUST_SPECIFY = re.compile(r"(?:failed quota: \S+ )?must specify (?P<missing>.+)")
_NO_QUOTA = re.compile(r"insufficient quota to match these scopes: \[(?P<scopes>.+)\]")
_LIMIT_RANGE = re.compile(
    r"\[?(?P<bound>maximum|minimum) (?P<resource>\S+) usage per \w+ is (?P<value>[\w.]+?)"
    r"(?:, but (?:request|limit) is (?P<asked>[\w.]+)|\. No (?:request|limit) is specified)"
)
_POD_SECURITY = re.compile(r'violates PodSecurity "(?P<level>[^"]+)": (?P<violations>.+)')
_WEBHOOK = re.compile(r'admission webhook "[^"]+" denied the request(?:: (?P<words>.+)| without explanation)')
_SILENT_WEBHOOK = re.compile('Internal error occurred: failed calling webhook "')
# A webhook that did not end in time, and the patch of one that does not fit the object.
_FAILED_WEBHOOK = re.compile(
    r'Internal error occurred: (?:admission plugin "\w+" failed to complete |(?:jsonpatch )?\w+ operation does not apply: )'
)
_IMAGE_POLICY = re.compile(r"image policy webhook backend denied one or more images: (?P<words>.+)")
# GKE Autopilot's, around the words that matter.
_WARDEN = re.compile(r"GKE Warden rejected the request\b.*?Violations details: (?P<details>\{.*\})")
_POLICY = re.compile(r"\w+AdmissionPolicy '[^']+' with binding '[^']+' denied request: (?P<words>.+)")
_MISSING_NAMESPACE = re.compile(r'namespaces "(?P<name>[^"]+)" not found')
_MISSING_ACCOUNT = re.compile(
    r'error looking up service account [^:\s]+: serviceaccount "(?P<name>[^"]+)" not found'
)
_NOT_ALLOWED = re.compile(r'User "[^"]*" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)"')
# What no user can change and needs no more than these words: the verdict, the reason, and what the user reads.
_VERDICTS = (
    (
        re.compile(r"\[?(?P<resource>\S+) max limit to request ratio per \w+ is (?P<allowed>[\w.]+), but "),
        Reason.POLICY,
        "the {resource} limit of {thing} is more than {allowed} times its request, which the cluster does not allow",
    ),
    (
        re.compile(
            r"unable to validate against any (?P<rules>security context constraint|pod security policy)"
        ),
        Reason.POLICY,
        "no {rules} of the cluster allows {thing}",
    ),
    (
        re.compile(r"unable to create new content in namespace (?P<name>\S+) because it is being terminated"),
        Reason.NAMESPACE,
        'the place for {thing} in the cluster (namespace "{name}") is being deleted',
    ),
    (
        re.compile(r"no PriorityClass with name (?P<name>\S+) was found"),
        Reason.INVALID,
        '{thing} needs the priority class "{name}", which does not exist',
    ),
    (
        re.compile(r'pod rejected: RuntimeClass "(?P<name>[^"]+)" not found'),
        Reason.INVALID,
        '{thing} needs the runtime class "{name}", which does not exist',
    ),
    (
        re.compile(r"pod node label selector conflicts with its namespace node label selector"),
        Reason.POLICY,
        "{thing} asks for other machines than its place in the cluster (namespace) allows",
    ),
    (
        re.compile(
            r"cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"
        ),
        Reason.FORBIDDEN,
        "the hub lacks a permission in the cluster (set finalizers on the owner of {thing})",
    ),
    (_MISSING_ACCOUNT, Reason.INVALID, '{thing} needs the service account "{name}", which does not exist'),
    (_NOT_ALLOWED, Reason.FORBIDDEN, "the hub lacks a permission in the cluster ({verb} {resource})"),
)
_NOT_READ = re.compile(r'\w+ in version "[^"]*" cannot be handled as a \w+: (?P<words>.+)')
# A quota's name of a resource: requests.memory, count/pods, fast.storageclass.storage.k8s.io/requests.storage.
_QUOTA_PREFIX = re.compile(r"^(?:\S+\.storageclass\.storage\.k8s\.io/)?(?:requests\.|limits\.|count/)?")
_ENVIRONMENT = re.compile(r"\benv\b")
_WITHOUT_BRACES = str.maketrans("", "", "{}")
_NOT_YET = ("not yet ready to handle request", "status unknown for quota: ")

VIEW = "View"
"""The kind of a refused list or watch, as if it were an object."""

_THINGS = {
    "Pod": "your server",
    VIEW: "your server",
    "PersistentVolumeClaim": "your home volume",
    "Service": "the network name (Service) of your server",
    "Secret": "the Secret of your server",
    "Namespace": "the place of your servers in the cluster (namespace)",
}


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The Status of a refused request, and the object that it was about."""

    status: Raw
    kind: str
    name: str
    thing: str
    """The object's name for the user."""

    @classmethod
    def of(cls, status: Raw, kind: str, name: str, thing: str = "") -> "Refusal":
        """Make a refusal from a Status. Pass ``thing`` if the kind alone does not name the object for the user."""
        return cls(
            status=status, kind=kind, name=name, thing=thing or _THINGS.get(kind, f"your server's {kind}")
        )

    @cached_property
    def message(self) -> str:
        """The API server's sentence, as one line of at most MESSAGE_LIMIT characters."""
        return " ".join(str(self.status.get("message") or "")[:MESSAGE_LIMIT].split())

    @cached_property
    def verdict(self) -> str:
        """The reason of the refusal: the message after ``pods "jupyter-ada" is forbidden:``."""
        preamble = _PREAMBLE.match(self.message)
        return self.message[preamble.end() :] if preamble else self.message

    @property
    def code(self) -> int:
        """The HTTP status; 0 if the body has none."""
        return int(self.status.get("code") or 0)

    @property
    def causes(self) -> list[Raw]:
        """The wrong fields, one by one, if the refusal is about fields."""
        return list((self.status.get("details") or {}).get("causes") or ())

    def failed(self, reason: Reason, sentence: str, detail: str | None = None) -> Diagnosis:
        """Return a failed diagnosis with the API server's message as detail."""
        return Diagnosis.failed(
            Stage.STORAGE if self.kind == "PersistentVolumeClaim" else Stage.REQUEST,
            reason,
            sentence[:1].upper() + sentence[1:],
            detail=f"{self.kind} {self.name}: {self.message if detail is None else detail}",
        )


def diagnose_refusal(refusal: Refusal, on_error: OnError = ignore) -> Diagnosis:
    """Return the diagnosis of a refusal, by the first rule that matches."""
    for rule in RULES:
        if (diagnosis := ask(rule, refusal, on_error)) is not None:
            return diagnosis
    refused = "show the hub" if refusal.kind == VIEW else "create"
    return refusal.failed(Reason.INVALID, f"the cluster refused to {refused} {refusal.thing}. {CONTACT}")


def lacks_right(refusal: Refusal) -> bool:
    """True if the hub's account lacks the right, or is unknown."""
    return refusal.code == 401 or _match(_NOT_ALLOWED, refusal) is not None


def is_admission_not_ready(refusal: Refusal) -> bool:
    """True if an API server that has just started, or a new quota, cannot admit requests yet."""
    return refusal.code == 403 and refusal.verdict.startswith(_NOT_YET)


def is_webhook_broken(refusal: Refusal) -> bool:
    """True if a required webhook failed or did not answer."""
    patterns = (_WEBHOOK, _SILENT_WEBHOOK, _FAILED_WEBHOOK)
    return refusal.code >= 500 and any(pattern.match(refusal.message) for pattern in patterns)


def is_account_missing_yet(refusal: Refusal) -> bool:
    """True if the namespace is so new that it has no default service account yet."""
    found = _MISSING_ACCOUNT.match(refusal.verdict) if refusal.code == 403 else None
    return found is not None and found["name"] == "default"


def quota_exceeded(refusal: Refusal) -> Diagnosis | None:
    """The quota is used up by other servers."""
    if refusal.code != 403 or not refusal.verdict.startswith("exceeded quota: "):
        return None
    _, _, amounts = refusal.verdict.partition(", requested: ")
    asked_text, _, rest = amounts.partition(", used: ")
    used_text, _, limit_text = rest.partition(", limited: ")
    try:
        asked, used, limit = (dict(_amounts(text)) for text in (asked_text, used_text, limit_text))
        lacks = [_over_quota(name, asked[name], used[name], limit[name]) for name in asked]
    except (KeyError, ValueError):
        # Another controller's words, which only look like those of Kubernetes.
        return _quoted(
            refusal, Reason.QUOTA, f"Not enough quota for {refusal.thing}", refusal.verdict, CONTACT
        )
    needs = f"{refusal.thing} needs {'; it needs '.join(lacks)}"
    return refusal.failed(Reason.QUOTA, f"not enough quota: {needs}. {_advice(refusal, asked, limit)}")


def quota_missing(refusal: Refusal) -> Diagnosis | None:
    """The cluster allows such objects, for instance of a priority class, only if a quota covers them."""
    if (found := _match(_NO_QUOTA, refusal)) is None:
        return None
    scopes = found["scopes"].translate(_WITHOUT_BRACES)
    return refusal.failed(
        Reason.QUOTA,
        f"the cluster has no quota that allows {refusal.thing} ({scopes}). {CONTACT}",
    )


def amounts_missing(refusal: Refusal) -> Diagnosis | None:
    """A quota requires a request or limit that the object does not set."""
    if (found := _match(_MUST_SPECIFY, refusal)) is None:
        return None
    # limits.cpu for: notebook,side; limits.memory for: notebook
    resources = (part.partition(" for:")[0] for part in found["missing"].split(";"))
    names = dict.fromkeys(name.strip() for part in resources for name in part.split(","))
    return refusal.failed(
        Reason.QUOTA,
        f"the cluster requires {listed([_bound_in_words(name) for name in names])} "
        f"of {refusal.thing}, which this hub does not set. {CONTACT}",
    )


def outside_limit_range(refusal: Refusal) -> Diagnosis | None:
    """A LimitRange restricts the size of a container, pod or claim."""
    if (found := _match(_LIMIT_RANGE, refusal)) is None:
        return None
    resource = found["resource"]
    bound = "at most" if found["bound"] == "maximum" else "at least"
    allowed = format_amount(resource, quantities.parse(found["value"]))
    if found["asked"] is None:
        words = f"{refusal.thing} must say that it uses {bound} {allowed}, which this hub does not set"
    else:
        asked = format_amount(resource, quantities.parse(found["asked"]))
        words = f"{refusal.thing} asks for {asked}, but the cluster allows {bound} {allowed}"
    return refusal.failed(Reason.POLICY, f"{words}. Choose another size, or contact your administrator.")


def pod_security_violated(refusal: Refusal) -> Diagnosis | None:
    """The hub's settings violate the namespace's Pod Security Standard."""
    if (found := _match(_POD_SECURITY, refusal)) is None:
        return None
    violations = re.sub(r" \([^()]*\)", "", found["violations"])
    return refusal.failed(
        Reason.POLICY,
        f'the security standard "{found["level"]}" of the cluster does not allow {refusal.thing}: {violations}. '
        f"{CONTACT}",
    )


def refused_by_admission(refusal: Refusal) -> Diagnosis | None:
    """An admission policy refused the object. Its message is meant for the user."""
    found = (
        _WEBHOOK.match(refusal.message) or _POLICY.match(refusal.verdict) or _match(_IMAGE_POLICY, refusal)
    )
    if found is None:
        return None
    return _quoted(
        refusal,
        Reason.POLICY,
        f"A policy of the cluster refused {refusal.thing}",
        _violations(found["words"] or "it gave no explanation"),
        "Choose something else, or contact your administrator.",
    )


def _violations(words: str) -> str:
    """Return the violations only, where the words have much else around them."""
    if (found := _WARDEN.match(words)) is None:
        return words
    try:
        details = json.loads(found["details"])
        return " ".join(str(each) for violations in details.values() for each in violations) or words
    except (ValueError, TypeError):
        return words


def known_verdict(refusal: Refusal) -> Diagnosis | None:
    """The object refers to something that does not exist, or the cluster or the hub's roles do not allow it."""
    for pattern, reason, sentence in _VERDICTS:
        if found := _match(pattern, refusal):
            words = sentence.format(thing=refusal.thing, **found.groupdict())
            return refusal.failed(reason, f"{words}. {CONTACT}")
    return None


def namespace_missing(refusal: Refusal) -> Diagnosis | None:
    """The namespace does not exist."""
    if refusal.code != 404 or (found := _MISSING_NAMESPACE.fullmatch(refusal.message)) is None:
        return None
    return refusal.failed(
        Reason.NAMESPACE,
        f'the place for {refusal.thing} in the cluster (namespace "{found["name"]}") does not exist. {CONTACT}',
    )


def hub_unknown(refusal: Refusal) -> Diagnosis | None:
    """The token of the hub's account is no longer valid."""
    if refusal.code != 401:
        return None
    return refusal.failed(
        Reason.FORBIDDEN,
        f"the cluster no longer accepts the account of this hub. {CONTACT}",
    )


def invalid_fields(refusal: Refusal) -> Diagnosis | None:
    """A setting made an invalid object. The diagnosis names the first field.

    The message about an environment variable may quote its value, so it is left out.
    """
    causes = [cause for cause in refusal.causes if cause.get("field")]
    if refusal.code != 422 or not causes:
        return None
    field, words = str(causes[0]["field"]), str(causes[0].get("message") or causes[0].get("reason") or "")
    words = _with_short_value(words[: 2 * MESSAGE_LIMIT])
    if any(_ENVIRONMENT.search(str(cause["field"])) for cause in causes):
        detail = ", ".join(f"{cause['field']}: {cause.get('reason')}" for cause in causes)
        return _invalid(refusal, f"{field} is not valid", detail)
    return _invalid(refusal, f"{field}: {words}", refusal.message)


def not_understood(refusal: Refusal) -> Diagnosis | None:
    """A value has the wrong type, so the API server could not decode the object."""
    if refusal.code != 400:
        return None
    found = _NOT_READ.match(refusal.message)
    return _invalid(refusal, found["words"] if found else refusal.message, None)


def webhook_silent(refusal: Refusal) -> Diagnosis | None:
    """A required webhook does not answer, or fails. The API server answers 500."""
    if not is_webhook_broken(refusal):
        return None
    failed = "failed" if _FAILED_WEBHOOK.match(refusal.message) else "did not respond"
    return refusal.failed(
        Reason.CLUSTER_UNAVAILABLE,
        f"a service that must approve {refusal.thing} {failed}. {LATER}",
    )


def refused_for_now(refusal: Refusal) -> Diagnosis | None:
    """The API server was overloaded or failed until the caller gave up."""
    if refusal.code != 429 and refusal.code < 500:
        return None
    return cluster_unavailable(refusal.message)


def _with_short_value(words: str) -> str:
    """Shorten the value in ``Invalid value: "...": must be no more than 63 bytes``, and keep the rule.

    Drop the regular expression after the rule.
    """
    value, mark, rule = words.rpartition('": ')
    short = f"{value[:VALUE_LIMIT]}…" if len(value) > VALUE_LIMIT else value
    return f"{short}{mark}{rule.partition(' (e.g.')[0]}"


def _match(pattern: re.Pattern[str], refusal: Refusal) -> re.Match[str] | None:
    """Match the API server's own part of a message with code 403, never a quotation."""
    return pattern.match(refusal.verdict) if refusal.code == 403 else None


def _invalid(refusal: Refusal, words: str, detail: str | None) -> Diagnosis:
    return refusal.failed(
        Reason.INVALID,
        f"the settings of {refusal.thing} are not valid. Contact your administrator, and quote this: {words}",
        detail,
    )


def _quoted(refusal: Refusal, reason: Reason, sentence: str, words: str, advice: str) -> Diagnosis:
    """Quote a text of any length, with room for the advice after it."""
    said = sanitized(f"{sentence}: {words.rstrip('. ')}", SENTENCE_LIMIT - len(advice) - 2)
    return refusal.failed(reason, f"{said}{'' if said.endswith('…') else '.'} {advice}")


def _advice(refusal: Refusal, asked: Mapping[str, Decimal], limit: Mapping[str, Decimal]) -> str:
    if refusal.kind != "Pod":
        return "Ask your administrator for more."
    if any(asked[name] > limit[name] for name in asked):
        return "Choose a smaller server, or ask your administrator."
    return "Choose a smaller server, stop another one, or try again later."


def _over_quota(name: str, asked: Decimal, used: Decimal, limit: Decimal) -> str:
    if asked > limit:
        allowed = f"only {format_quantity(name, limit)} is" if limit else "none is"
        return f"{format_amount(name, asked)}, and {allowed} allowed"
    are = "is" if used == 1 else "are"
    return f"{format_amount(name, asked)}, and {format_quantity(name, used)} of {format_quantity(name, limit)} {are} in use"


def _amounts(text: str) -> Iterator[tuple[str, Decimal]]:
    """Parse ``requests.cpu=2,requests.memory=2Gi`` into ``cpu`` and ``memory``."""
    for pair in text.split(","):
        name, _, value = pair.strip().partition("=")
        yield _QUOTA_PREFIX.sub("", name), quantities.parse(value)


def _bound_in_words(name: str) -> str:
    """``limits.memory`` -> ``the memory limit``."""
    kind, _, resource = name.partition(".")
    return {"limits": f"the {resource} limit", "requests": f"the {resource} request"}.get(kind, f"the {name}")


RULES: tuple[Callable[[Refusal], Diagnosis | None], ...] = (
    refused_by_admission,
    webhook_silent,
    refused_for_now,
    quota_exceeded,
    quota_missing,
    amounts_missing,
    outside_limit_range,
    pod_security_violated,
    known_verdict,
    namespace_missing,
    hub_unknown,
    invalid_fields,
    not_understood,
)
