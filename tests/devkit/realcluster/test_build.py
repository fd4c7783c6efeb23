import pytest

from devkit.realcluster.build import (
    KUBELET,
    KUBERNETES,
    ClusterUnavailableError,
    build,
    go_mod_of,
    linker_flags,
    other_version,
)


def test_without_go_one_sentence_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterUnavailableError, match=r"there is no `go` on the PATH. Install Go 1.26"):
        build()


def test_the_programs_say_the_version_that_is_pinned():
    flags = linker_flags("\tk8s.io/kubelet v0.38.0 // indirect\n\tk8s.io/kubernetes v1.38.3 // indirect\n")

    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"-X {package}.gitVersion=v1.38.3" in flags
        assert f"-X {package}.gitMajor=1" in flags
        assert f"-X {package}.gitMinor=38" in flags
    assert "-X" not in linker_flags("\tsigs.k8s.io/kwok v0.8.0\n")


def test_the_node_has_the_control_planes_version():
    assert KUBELET.command == KUBERNETES.command
    assert "gitVersion=v1." in " ".join(KUBERNETES.command)


def test_another_version_is_made_of_the_same_tools_and_its_own_staging_modules():
    pinned = "module box\n\ngo 1.26.0\n\ntool (\n\tk8s.io/kubernetes/cmd/kube-apiserver\n)\n\nrequire (\n\tpinned v1.0.0\n)\n"
    upstream = (
        "replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tk8s.io/old => ./staging/src/k8s.io/old\n)\n"
    )

    made = go_mod_of("1.32.2", pinned, upstream)

    assert made.startswith("module box\n\ngo 1.26.0\n\ntool (\n\tk8s.io/kubernetes/cmd/kube-apiserver\n)\n")
    assert "require k8s.io/kubernetes v1.32.2\n" in made
    assert "\tk8s.io/api => k8s.io/api v0.32.2\n\tk8s.io/old => k8s.io/old v0.32.2\n" in made
    assert "pinned" not in made
    assert "gitVersion=v1.32.2" in linker_flags(made)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"KUBERNETES": ""}, None),
        ({"KUBERNETES": "1.32.2"}, "1.32.2"),
        ({"KUBERNETES": "v1.33.6"}, "1.33.6"),
    ],
)
def test_the_environment_may_ask_for_another_version(environment, expected):
    assert other_version(environment) == expected


@pytest.mark.parametrize("wanted", ["1.32", "latest", "2.0.0", "1.32.2; rm -rf /"])
def test_what_is_no_version_is_said(wanted):
    with pytest.raises(ClusterUnavailableError, match=f"KUBERNETES={wanted} is no version of Kubernetes"):
        other_version({"KUBERNETES": wanted})
