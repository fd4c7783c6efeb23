"""What the user is told next: a fold over diagnoses that neither goes back nor chatters."""

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
