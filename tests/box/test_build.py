import pytest

from tests.box.build import KUBELET, KUBERNETES, BoxUnavailableError, build, linker_flags


def test_without_go_one_sentence_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BoxUnavailableError, match=r"there is no `go` on the PATH. Install Go 1.26"):
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
