"""The environment of a culler that runs beside the doctor, whatever is in it."""

import pytest

from k8s_hub.doctor.running_culler import environment_of_culler


@pytest.mark.parametrize("other", [b"LANG=C.UTF-8", "PLACE=Zürich".encode("latin-1"), b"without-a-value"])
def test_the_token_is_found_beside_variables_of_any_bytes(tmp_path, other):
    culler, shell = tmp_path / "12", tmp_path / "3"
    for process in (culler, shell):
        process.mkdir()
    (shell / "cmdline").write_bytes(b"sh\0-c\0k8s_hub.culler --once\0")
    (shell / "environ").write_bytes(b"JUPYTERHUB_API_TOKEN=of-a-shell\0")
    (culler / "cmdline").write_bytes(b"python3\0-m\0k8s_hub.culler\0")
    (culler / "environ").write_bytes(b"\0".join([other, b"JUPYTERHUB_API_TOKEN=of-the-culler", b""]))
    assert environment_of_culler(tmp_path)["JUPYTERHUB_API_TOKEN"] == "of-the-culler"


def test_where_no_culler_runs_there_is_nothing(tmp_path):
    assert environment_of_culler(tmp_path) == {}
