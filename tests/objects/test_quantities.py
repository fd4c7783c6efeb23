from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.objects import quantities

SUFFIXES = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "E": 10**18,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
    "Ei": 2**60,
}


@pytest.mark.parametrize(
    "text, value",
    [
        ("10Gi", "10737418240"),
        ("500m", "0.5"),
        ("1.5G", "1500000000"),
        ("2u", "0.000002"),
        ("3n", "0.000000003"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1000000000000000000"),
        ("12E-1", "1.2"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-1", "-1"),
        ("+1", "1"),
        (1073741824, "1073741824"),
        (0.1, "0.1"),
    ],
)
def test_every_form_of_a_quantity_is_exact(text, value):
    assert quantities.parse(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Gi",
        "1 Gi",
        "1gi",
        "1K",
        "1Gib",
        "1.2.3",
        "ten",
        "1e",
        "nan",
        "inf",
        "٣",
        "1e1000",
        "1e99999999999999999999",
    ],
)
def test_what_is_no_quantity_is_refused_by_name(text):
    with pytest.raises(ValueError, match="not a Kubernetes quantity") as refusal:
        quantities.parse(text)
    assert repr(text) in str(refusal.value)


@given(st.integers(-(10**6), 10**6), st.sampled_from(sorted(SUFFIXES)))
def test_a_suffix_multiplies(number, suffix):
    assert quantities.parse(f"{number}{suffix}") == number * SUFFIXES[suffix]


@given(st.integers(0, 10**6), st.sampled_from([("k", "Ki"), ("M", "Mi"), ("G", "Gi"), ("T", "Ti")]))
def test_a_binary_suffix_is_never_less_than_its_decimal_one(number, pair):
    decimal, binary = pair
    assert quantities.parse(f"{number}{binary}") >= quantities.parse(f"{number}{decimal}")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000))
def test_milli_is_a_thousandth(number):
    assert quantities.parse(f"{number:f}m") * 1000 == quantities.parse(f"{number:f}")
