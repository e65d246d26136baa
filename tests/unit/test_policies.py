"""Column policies by name and by pattern."""

from __future__ import annotations

from replicator.model.policies import ColumnPolicies, Pattern, concrete
from replicator.model.schema import Name

ORDERS, ITEMS = Name("public", "orders"), Name("public", "items")
PATHS = ("*.*.*_at", "public.*.*_at", "public.orders.*", "public.orders.paid_at", "other.*.x")


def chosen(*paths: str) -> ColumnPolicies:
    return ColumnPolicies(Pattern(tuple(path.split(".")), {"as": path}) for path in paths)  # type: ignore[arg-type]


def test_the_closest_counts_alone() -> None:
    for paths in (PATHS, PATHS[::-1]):
        policies = chosen(*paths)
        found = concrete(policies.get(ORDERS, {}), ("id", "paid_at", "sent_at"))
        assert found == {
            "id": {"as": "public.orders.*"},
            "paid_at": {"as": "public.orders.paid_at"},
            "sent_at": {"as": "public.orders.*"},
        }
        assert concrete(policies.get(ITEMS, {}), ("id", "made_at")) == {"made_at": {"as": "public.*.*_at"}}


def test_a_star_is_any_characters_and_nothing_else_is_special() -> None:
    policies = chosen("public.or*s.a+b")
    assert concrete(policies.get(ORDERS, {}), ("a+b", "aab")) == {"a+b": {"as": "public.or*s.a+b"}}


def test_what_fits_nothing_is_told() -> None:
    policies = chosen(*PATHS, "public.orders.gone")
    assert policies.idle({ORDERS: ("id", "paid_at"), ITEMS: ("id",)}) == ["other.*.x"]
    assert "gone" in concrete(policies.get(ORDERS, {}), ("id",))  # a name in full is told by the table's columns
    assert list(policies) == [ORDERS]
