"""The spawner without a hub, for tests."""

import pytest
from traitlets import Unicode

from devkit.testing.bare import bare_spawner
from k8s_hub import KubeSpawner


class MySpawner(KubeSpawner):
    course = Unicode("physics")


def test_an_option_that_does_not_exist_is_an_error_with_the_nearest_one():
    with pytest.raises(TypeError, match="KubeSpawner has no option 'mem_limt'; did you mean mem_limit"):
        bare_spawner(mem_limt="1G")
    assert bare_spawner(mem_limit="1G").mem_limit == 1024**3


def test_a_subclass_may_have_options_of_its_own():
    assert bare_spawner(spawner_class=MySpawner, course="maths").course == "maths"
    with pytest.raises(TypeError, match="MySpawner has no option 'cource'; did you mean course"):
        bare_spawner(spawner_class=MySpawner, cource="maths")
