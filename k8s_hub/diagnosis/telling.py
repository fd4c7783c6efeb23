"""What of a diagnosis the user is told: nothing twice, nothing back, no secret, and at the deadline why it failed."""

import json
from base64 import b64encode
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import timedelta

from k8s_hub.diagnosis.diagnosis import SENTENCE_LIMIT, Diagnosis, Reason
from k8s_hub.diagnosis.sentences import duration, plain


def advance(previous: Diagnosis | None, new: Diagnosis) -> Diagnosis | None:
    """Return what to say now, None when it has just been said.

    The bar never goes back. The same sentence comes again only with its counter a step further.
    """
    if previous is None:
        return new
    if new.message == previous.message:
        return None
    return replace(new, percent=max(previous.percent, new.percent))


def at_deadline(diagnosis: Diagnosis, waited: timedelta) -> Diagnosis:
    """Turn what was waited for into why the start failed: the time is up and this is what is known."""
    if diagnosis.fatal:
        return diagnosis
    return replace(
        diagnosis,
        sentence=_expired(diagnosis, duration(waited)),
        fatal=True,
        reason=diagnosis.reason or Reason.DEADLINE,
    )


def _expired(diagnosis: Diagnosis, waited: str) -> str:
    if diagnosis.expired:
        return plain(diagnosis.expired.replace("{waited}", waited), SENTENCE_LIMIT)
    ending = f"; {diagnosis.missed} in {waited}."
    return plain(diagnosis.sentence.removesuffix("."), SENTENCE_LIMIT - len(ending)) + ending


SHORTEST = 8
"""Characters from which on a value is hidden: a shorter one is found in half of all words."""

_HIDDEN, _CUT = "***", "…"


def hiding(diagnosis: Diagnosis, secrets: Collection[str]) -> Diagnosis:
    """Return the diagnosis with none of the secrets in its texts, also where these quote them escaped or cut."""
    forms = _forms_of(secrets)
    return replace(
        diagnosis,
        sentence=_without(diagnosis.sentence, forms),
        detail=_without(diagnosis.detail, forms),
    )


def hidden(text: str, secrets: Collection[str]) -> str:
    """Return a text with none of the secrets in it."""
    return _without(text, _forms_of(secrets))


def _forms_of(secrets: Collection[str]) -> list[str]:
    """Return all forms of all secrets, the longest first."""
    return sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)


def _forms(secret: str) -> Iterator[str]:
    """Yield how a text may quote a secret; one of several lines may be quoted in part."""
    lines = [line for line in secret.splitlines() if len(line) >= SHORTEST]
    for text in (*lines, " ".join(secret.split())):
        if len(text) >= SHORTEST:
            yield from (text, " ".join(text.split()), json.dumps(text)[1:-1])
    if lines:
        yield b64encode(secret.encode()).decode()


def _without(text: str, forms: Collection[str]) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, _HIDDEN)
        if text.endswith(_CUT):
            text = _without_cut(text.removesuffix(_CUT), form) + _CUT
    return text


def _without_cut(text: str, form: str) -> str:
    """Hide the beginning of a secret at the end of a text."""
    for length in range(min(len(form) - 1, len(text)), SHORTEST - 1, -1):
        if text.endswith(form[:length]):
            return text[:-length] + _HIDDEN
    return text
