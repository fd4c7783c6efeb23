"""None"""

from base64 import b64decode
from copy import deepcopy

import pytest

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.owned import (
    Certificates,
    build_secret,
    build_service,
    certificate_files,
    environment_secret_name,
    separated,
)

CERTIFICATES = Certificates(
    key="KEY\n", certificate="CERT\n", servers_authority="\nSERVERS\n\n", hub_authority="HÜB\n"
)


def test_the_content_is_encoded_by_name():
    secret = build_secret("s", certificate_files(CERTIFICATES), labels={"a": "b"}, annotations={"c": "d"})
    data = secret.pop("data")
    assert secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "labels": {"a": "b"}, "annotations": {"c": "d"}},
    }
    assert {name: b64decode(content).decode() for name, content in data.items()} == {
        "ssl.key": "KEY\n",
        "ssl.crt": "CERT\n",
        "notebooks-ca_trust.crt": "SERVERS\nHÜB\n",
    }


def test_no_certificate_is_shown_by_accident():
    shown = repr(CERTIFICATES)
    assert "KEY" not in shown
    assert "CERT" not in shown


TOKEN = "0123456789abcdef"


def pod_of(*env, **spec):
    return {"spec": {"containers": [{"name": "notebook", "env": list(env)}], **spec}}


def variable(name, value):
    return {"name": name, "value": value}


def referring(name, key):
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "secret", "key": key}}}


def moved(pod):
    found = separated(pod, "secret", lambda name, value: TOKEN in value or name == "PASSWORD")
    return found.pod, dict(found.content)


def test_a_variable_with_the_token_becomes_a_reference():
    pod, content = moved(pod_of(variable("JUPYTERHUB_API_TOKEN", TOKEN), variable("HOME", "/home/ada")))
    assert pod == pod_of(
        referring("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_TOKEN"), variable("HOME", "/home/ada")
    )
    assert content == {"JUPYTERHUB_API_TOKEN": TOKEN}


def test_a_value_that_only_contains_the_token_goes_as_a_whole():
    _, content = moved(pod_of(variable("HEADER", f"token {TOKEN}")))
    assert content == {"HEADER": f"token {TOKEN}"}


def test_a_variable_may_be_secret_by_its_name():
    assert moved(pod_of(variable("PASSWORD", "1234")))[1] == {"PASSWORD": "1234"}


def test_the_order_of_variables_stays_so_that_references_to_the_token_do():
    pod, _ = moved(
        pod_of(variable("TOKEN", TOKEN), variable("HEADER", "token $(TOKEN)"), variable("Z", "last"))
    )
    assert pod == pod_of(
        referring("TOKEN", "TOKEN"), variable("HEADER", "token $(TOKEN)"), variable("Z", "last")
    )


def test_every_container_is_looked_at():
    pod = pod_of(
        variable("A", TOKEN),
        initContainers=[{"name": "prepare", "env": [variable("B", TOKEN)]}, {"name": "bare"}],
    )
    pod["spec"]["containers"].append({"name": "proxy", "env": [variable("C", TOKEN)]})
    result, content = moved(pod)
    assert TOKEN not in str(result)
    assert content == {"A": TOKEN, "B": TOKEN, "C": TOKEN}


def test_one_name_with_two_values_has_two_keys():
    pod = pod_of(variable("PASSWORD", "one"), initContainers=[{"env": [variable("PASSWORD", "two")]}])
    result, content = moved(pod)
    assert content == {"PASSWORD": "two", "PASSWORD-2": "one"}
    assert result["spec"]["containers"][0]["env"] == [referring("PASSWORD", "PASSWORD-2")]


def test_a_key_is_valid_whatever_the_variable_is_called():
    assert moved(pod_of(variable("my token:ä", TOKEN)))[1] == {"my_token__": TOKEN}


@pytest.mark.parametrize(
    "entry",
    [
        variable("HOME", "/home/ada"),
        {"name": "EMPTY"},
        {"name": "NUMBER", "value": 7},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "own", "key": "password"}}},
        "PASSWORD=1234",
    ],
)
def test_other_variables_stay_as_they_are(entry):
    pod = pod_of(entry)
    assert moved(pod) == (pod, {})


def test_a_dollar_sign_that_was_doubled_for_kubernetes_is_one_in_a_secret():
    assert moved(pod_of(variable("PASSWORD", "a$$b$c$$(D)$$$(")))[1] == {"PASSWORD": "a$b$c$(D)$$("}


def test_a_secret_that_refers_to_other_variables_is_an_error_that_does_not_show_it():
    with pytest.raises(ManifestError, match=r"environment\['PASSWORD'\] is secret") as refused:
        moved(pod_of(variable("PASSWORD", "hunter2$(HOST)")))
    assert "hunter2" not in str(refused.value)


def test_the_pod_that_was_given_stays_and_what_is_returned_shows_nothing():
    pod = pod_of(variable("TOKEN", TOKEN))
    before = deepcopy(pod)
    assert TOKEN not in repr(separated(pod, "secret", lambda name, value: True))
    assert pod == before


def test_the_secrets_name_differs_from_that_of_any_other_pods():
    """The certificates of a user "ada-env" are in a Secret "jupyter-ada-env"."""
    assert environment_secret_name("jupyter-ada") == "jupyter-ada.env"


@pytest.mark.parametrize("length", [1, 249, 250, 253])
def test_the_secrets_name_is_valid_for_every_pods_name(length):
    assert len(environment_secret_name("x" * length)) <= 253


def test_long_names_have_different_secrets():
    assert environment_secret_name("x" * 252 + "a") != environment_secret_name("x" * 252 + "b")


def test_a_service_leads_to_the_port_of_the_chosen_pod():
    service = build_service("s", port=8888, selector={"a": "b"}, labels={"c": "d"}, annotations={"e": "f"})
    assert service == {
        "kind": "Service",
        "metadata": {"name": "s", "labels": {"c": "d"}, "annotations": {"e": "f"}},
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "http", "port": 8888, "targetPort": 8888}],
            "selector": {"a": "b"},
        },
    }
