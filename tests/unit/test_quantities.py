"""Amounts as people read them."""

from theseus_ci.quantities import counted


def test_one_of_a_kind_is_not_a_plural() -> None:
    assert [counted(number, "ready pod") for number in (0, 1, 2)] == [
        "0 ready pods",
        "1 ready pod",
        "2 ready pods",
    ]
