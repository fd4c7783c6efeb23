import pytest

from tests.box.build import BoxUnavailableError, build


def test_without_go_one_sentence_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BoxUnavailableError, match=r"there is no `go` on the PATH. Install Go 1.25"):
        build()
