"""Where a server is asked: never elsewhere than the hub, the spawner or the admin said."""

from dataclasses import replace

import pytest

from devkit.testing.inmemoryhub import server
from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.culler.core.probing import Addresses, Template


def known(user="ada", name="", *, url=None, **state):
    """A server as the hub describes it; without state, where the token may not see it."""
    path = f"/hub5/user/{user}/" + (f"{name}/" if name else "")
    described = server(user, name)
    return replace(described, raw={"url": path if url is None else url} | ({"state": state} if state else {}))


ROUTES = {("ada", ""): "http://10.0.0.7:8888", ("ada", "gpu"): "https://10.0.0.8:8888/"}
TEMPLATE = Template.parse("http://{pod_name}.{namespace}.svc:8888")
POD = {"pod_name": "jupyter-ada", "namespace": "jhub"}


def test_the_state_goes_first_then_the_template_then_the_proxys_routes():
    addresses = Addresses(template=TEMPLATE, routes=ROUTES)
    assert addresses.url_of(known(url_=1, **POD)) == "http://jupyter-ada.jhub.svc:8888/hub5/user/ada"
    assert addresses.url_of(known()) == "http://10.0.0.7:8888/hub5/user/ada"
    with_url = replace(known(), raw={"url": "/x/", "state": {**POD, "url": "http://10.0.0.9:8888/user/ada/"}})
    assert addresses.url_of(with_url) == "http://10.0.0.9:8888/user/ada"


def test_nothing_known():
    assert Addresses().url_of(known(**POD)) is None
    assert Addresses(routes=ROUTES).url_of(known("bob")) is None
    assert Addresses(routes={("ada", ""): "http+unix://%2Frun"}).url_of(known()) is None
    assert Addresses(template=TEMPLATE).url_of(known(pod_name="jupyter-ada")) is None


def test_a_route_is_of_its_server_alone():
    assert Addresses(routes=ROUTES).url_of(known(name="gpu")) == "https://10.0.0.8:8888/hub5/user/ada/gpu"


def test_with_a_domain_for_each_user_the_path_is_asked():
    found = Addresses(routes=ROUTES).url_of(known(url="https://ada.hub.example/user/ada/"))
    assert found == "http://10.0.0.7:8888/user/ada"


@pytest.mark.parametrize(
    "url",
    [
        None, 7, "", "10.0.0.7:8888", "ftp://10.0.0.7", "file:///etc/passwd", "http+unix://%2Frun%2Fx", "http://",
        "http://:8888/", "http://[::1", "http://10.0.0.7:x/", "http://10.0.0.7:0/", "http://a@10.0.0.7/",
    ],
)  # fmt: skip
def test_a_url_of_the_state_that_is_no_address_counts_as_missing(url):
    described = replace(known(), raw={"url": "/user/ada/", "state": {"url": url}})
    assert Addresses().url_of(described) is None
    assert Addresses(routes=ROUTES).url_of(described) == "http://10.0.0.7:8888/user/ada"


@pytest.mark.parametrize(
    "template, user, name, address",
    [
        ("http://{username}:8888", "ada", "", "http://ada:8888"),
        ("http://jupyter-{username}--{servername}.jhub:8888/", "ada", "", "http://jupyter-ada.jhub:8888"),
        ("http://jupyter-{username}--{servername}.jhub:8888", "ada", "gpu", "http://jupyter-ada--gpu.jhub:8888"),
        ("https://jupyter-{user_server}.jhub", "ada", "gpu", "https://jupyter-ada--gpu.jhub"),
        ("http://jupyter-{escaped_username}.jhub", "ada@x", "", "http://jupyter-ada-40x.jhub"),
        ("http://the-one-server:8888", "ada", "", "http://the-one-server:8888"),
    ],
)  # fmt: skip
def test_a_template_is_filled_with_names_as_the_spawner_writes_them(template, user, name, address):
    assert Template.parse(template).address_of(known(user, name)) == address


@pytest.mark.parametrize(
    "user", ["evil.example", "evil.example/x", "a@evil.example", "e:1#", "?", "é", "{namespace}"]
)
@pytest.mark.parametrize("field", ["username", "user_server", "escaped_username"])
def test_no_user_chooses_the_host(user, field):
    address = Template.parse(f"http://j{{{field}}}.jhub:8888").address_of(known(user))
    assert address is not None
    host = address.removeprefix("http://j").removesuffix(".jhub:8888")
    assert host.replace("-", "").isalnum()


def test_a_state_that_is_no_host_name_is_no_address():
    template = Template.parse("http://{pod_name}:8888")
    for name in ("evil.example/", "a@b", "a b", "", "{username}", "ü", "-a", "a:1"):
        assert template.address_of(known(pod_name=name)) is None


@pytest.mark.parametrize(
    "template, words",
    [
        ("http://{hostname}:8888", "unknown field 'hostname'"),
        ("http://{unescaped_username}:8888", "unknown field 'unescaped_username'"),
        ("http://{userid}:8888", "unknown field 'userid'"),
        ("http://{}:8888", "unknown field ''"),
        ("http://{0}:8888", "unknown field '0'"),
        ("http://{username.__class__}", "unknown field 'username.__class__'"),
        ("http://{username[0]}", "unknown field 'username\\[0\\]'"),
        ("http://{username!r}", "unknown field 'username!r'"),
        ("http://{username:>9}", "unknown field 'username:>9'"),
        ("http://{username", "malformed"),
        ("http://username}", "malformed"),
        ("http://{{username}}", "brace"),
        ("{username}", "scheme, host and port"),
        ("ftp://{username}", "scheme, host and port"),
        ("{username}://host", "scheme, host and port"),
        ("http://host:{servername}", "scheme, host and port"),
        ("http://host:99999", "scheme, host and port"),
        ("http://{username}@host", "scheme, host and port"),
        ("http://host/user/{username}", "scheme, host and port"),
        ("http://host?user={username}", "scheme, host and port"),
        ("http://host#{username}", "scheme, host and port"),
        ("http://", "scheme, host and port"),
        ("", "scheme, host and port"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused_by_its_key(template, words):
    with pytest.raises(BadOption, match=f"^server_url_template.*{words}"):
        Template.parse(template)


@pytest.mark.parametrize(
    "template", ["http://ada:hush@{pod_name}:8888", "ada:hush@{pod_name", "ftp://ada:hush@x"]
)
def test_a_password_in_a_template_is_not_shown(template):
    with pytest.raises(BadOption, match=r"^server_url_template .* without user and password$"):
        Template.parse(template)
