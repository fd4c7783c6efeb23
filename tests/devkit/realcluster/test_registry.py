import json
import urllib.error
import urllib.request

import pytest

from devkit.realcluster.registry import registry


def ask(url, method="GET"):
    request = urllib.request.Request(url, method=method)
    with pytest.raises(urllib.error.HTTPError) as refusal, urllib.request.urlopen(request, timeout=5):
        pass
    with refusal.value as answer:
        return answer.code, answer.headers, answer.read()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_image_is_refused_as_its_name_says(status):
    with registry() as running:
        name, tag = running.image(status).removeprefix(f"{running.address}/").split(":")
        code, headers, content = ask(f"http://{running.address}/v2/{name}/manifests/{tag}")
        assert code == status
        assert json.loads(content)["errors"]
        assert ("WWW-Authenticate" in headers) == (status == 401)
        assert ask(f"http://{running.address}/v2/{name}/manifests/{tag}", "HEAD")[::2] == (status, b"")
        assert running.asked == [f"{method} /v2/{name}/manifests/1" for method in ("GET", "HEAD")]


def test_a_login_that_is_asked_for_can_be_had_by_everybody():
    with registry() as running:
        _, headers, _ = ask(f"http://{running.address}/v2/answers/401/manifests/1")
        realm = headers["WWW-Authenticate"].split('"')[1]
        with urllib.request.urlopen(f"{realm}?scope=repository:answers/401:pull", timeout=5) as answer:
            assert json.load(answer)["token"]
