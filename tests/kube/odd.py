"""What no API server should send, as text: objects in a list or a watch, beside one that is fine."""

import json

DEEP = "[" * 100_000 + "]" * 100_000
DIGITS = "9" * 5_000


def stored(name, version="5", **more):
    """An object as it is stored; what is in ``more`` is one of its members."""
    metadata = {"name": name, "namespace": "hub", "uid": f"uid-{name}", "resourceVersion": version}
    return {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}} | more


def text(name="odd", version="5", **raw):
    """The same as text, with members that are given as text."""
    whole = json.dumps(stored(name, version))
    return whole[:-1] + "".join(f', "{member}": {value}' for member, value in raw.items()) + "}"


def without(part):
    """The same without a part of its metadata."""
    obj = stored("odd")
    del obj["metadata"][part]
    return json.dumps(obj)


def having(**metadata):
    """The same with another metadata."""
    return json.dumps(stored("odd") | {"metadata": stored("odd")["metadata"] | metadata})


NAMED = {
    "no uid": without("uid"),
    "no version": without("resourceVersion"),
    "a uid that is a number": having(uid=7),
    "nested deep": text(status=DEEP),
    "an object nested deep": text(status='{"a":' * 100_000 + "1" + "}" * 100_000),
    "a number of 5,000 digits": text(status=f'{{"phase": {DIGITS}}}'),
    "a number beyond all": text(status='{"phase": 1e999}'),
    "a status that is text": text(status='"Running"'),
    "a status that is a list": text(status="[1]"),
}
"""Objects whose name can be read."""

NAMELESS = {
    "null": "null",
    "text": '"pod"',
    "a list": "[]",
    "nothing": "{}",
    "metadata that is null": '{"metadata": null}',
    "metadata that is text": '{"metadata": "odd"}',
    "metadata that is a list": '{"metadata": [1]}',
    "no name": without("name"),
    "a name that is a number": having(name=5),
    "a name that is an object": having(name={}),
    "nothing but depth": DEEP,
    "a number alone": DIGITS,
    "metadata nested deep": f'{{"metadata": {DEEP}}}',
}

ODD = NAMED | NAMELESS


def a_list(*objects, version="9"):
    """The reply to a list."""
    return f'{{"kind": "PodList", "metadata": {{"resourceVersion": "{version}"}}, "items": [{", ".join(objects)}]}}'.encode()


def at(version, obj):
    """The same text of an object with another version, where it has one."""
    return obj.replace('"resourceVersion": "5"', f'"resourceVersion": "{version}"')


def an_event(kind, obj):
    """A line of a watch."""
    return f'{{"type": "{kind}", "object": {obj}}}'.encode()
