"""Words for people, and foreign text made safe."""

from decimal import Decimal

import pytest

from k8s_hub.diagnosis.messages import format_amount, format_quantity, listed, sanitized


@pytest.mark.parametrize(
    "resource,quantity,text",
    [
        ("cpu", "1", "1 CPU"),
        ("cpu", "0.25", "0.25 CPUs"),
        ("cpu", "100", "100 CPUs"),
        ("memory", str(1536 * 2**20), "1.5 GiB of memory"),
        ("memory", "1000000000", "953.7 MiB of memory"),
        ("memory", str(2**60), "1024 PiB of memory"),
        ("storage", str(10 * 2**30), "10 GiB of disk space"),
        ("ephemeral-storage", "512", "512 B of temporary disk space"),
        ("nvidia.com/gpu", "1", "1 GPU"),
        ("nvidia.com/mig-1g.5gb", "2", "2 GPUs"),
        ("amd.com/gpu", "2", "2 GPUs"),
        ("example.org/fpga", "3", "3 example.org/fpga"),
    ],
)
def test_amount(resource, quantity, text):
    assert format_amount(resource, Decimal(quantity)) == text


def test_measure_says_how_much_but_not_of_what():
    assert format_quantity("memory", Decimal(2**30)) == "1 GiB"
    assert format_quantity("nvidia.com/gpu", Decimal(2)) == "2"


def test_listed():
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


class TestPlain:
    def test_foreign_text_becomes_one_line(self):
        assert sanitized("a\n\tb\x1b[31m \u202ec\u2066", 100) == "a b [31m c"

    def test_half_a_character_can_be_written_and_sent(self):
        r"""JSON may hold ``"\ud800"``, half of a pair, which no UTF-8 can say."""
        assert sanitized("a\ud800b\udfff", 100) == "a b"

    def test_marks_of_direction_and_invisible_characters_go_too(self):
        assert sanitized("a\u061cb\ufeffc\U000e0041d", 100) == "a b c d"

    def test_it_is_bounded(self):
        assert sanitized("abcdef", 6) == "abcdef"
        assert sanitized("abcdefg", 6) == "abcde…"

    def test_a_megabyte_of_it_costs_nothing(self):
        """A pattern that looks back from every character would take minutes."""
        assert sanitized("x" * 10**6, 1000).endswith("x…")

    @pytest.mark.parametrize(
        "text",
        [
            "https://user:hunter2secret@example.org/v2/",
            "Authorization: Bearer hunter2secret",
            "basic hunter2secretxyz=",
            "https://s3/?X-Amz-Signature=hunter2secret&x=1",
            "token=hunter2secret",
            '{"password": "hunter2secret"}',
            "JUPYTERHUB_API_TOKEN=hunter2secret",
            "eyJhbGciOiJIUzI1NiJ9.hunter2secret.x",
        ],
    )
    def test_what_looks_like_a_secret_is_left_out(self, text):
        assert "hunter2" not in sanitized(text, 300)

    @pytest.mark.parametrize(
        "text",
        [
            'secret "aws" not found',
            "failed to fetch anonymous token: unexpected status from GET request",
            "couldn't find key token in Secret hub/aws",
        ],
    )
    def test_what_only_names_one_is_kept(self, text):
        assert sanitized(text, 300) == text
