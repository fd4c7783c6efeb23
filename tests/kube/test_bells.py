"""Rings reach those who listen, and nobody else."""

from k8s_hub.kube.bells import Bells


def test_a_ring_reaches_the_listeners_of_its_key():
    bells = Bells[str]()
    with bells.listening("a") as a, bells.listening("a") as also_a, bells.listening("b") as b:
        bells.ring(["a", "unknown"])

        assert (a.is_set(), also_a.is_set(), b.is_set()) == (True, True, False)


def test_a_listener_may_have_several_keys_or_none():
    bells = Bells[str]()
    with bells.listening("a", "b") as both, bells.listening() as none:
        bells.ring(["b"])
        assert (both.is_set(), none.is_set()) == (True, False)

        bells.ring_all()
        assert none.is_set()


def test_nothing_is_left_of_a_listener():
    bells = Bells[str]()
    with bells.listening("a"), bells.listening("a", "b"):
        assert len(bells) == 2

    assert len(bells) == 0
    assert bells._by_key == {}


def test_a_key_named_twice_is_one():
    bells = Bells[str]()
    with bells.listening("a", "a") as bell:
        bells.ring(["a"])
        assert bell.is_set()
    assert bells._by_key == {}
