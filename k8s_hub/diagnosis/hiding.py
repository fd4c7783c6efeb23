"""Known secrets out of a diagnosis: a cluster that refuses a pod may quote what is in it."""

import json
from base64 import b64encode
from collections.abc import Collection, Iterator
from dataclasses import replace

from k8s_hub.diagnosis.diagnosis import Diagnosis

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
