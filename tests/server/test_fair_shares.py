"""Who is next of those who share."""

from __future__ import annotations

from server.fair_shares import Costs, FairShares


def use(shares: FairShares[str], key: str, seconds: float) -> None:
    """One turn."""
    shares.start_turn(key)
    shares.charge(key, seconds)


def test_who_has_used_least_is_next():
    """The order is that of use; equals keep the order in which they are given."""
    shares: FairShares[str] = FairShares()
    for key in "abc":
        shares.join(key)
    use(shares, "a", 2.0)
    use(shares, "b", 1.0)
    assert shares.in_order("abc") == ["c", "b", "a"]
    shares.charge("c", 3.0)
    assert shares.in_order("cba") == ["b", "a", "c"]


def test_a_lead_is_the_difference_in_use():
    """Who has used more is ahead by the difference; the other is ahead by less than nothing."""
    shares: FairShares[str] = FairShares()
    for key in "ab":
        shares.join(key)
    use(shares, "a", 2.0)
    assert (shares.lead_s("a", "b"), shares.lead_s("b", "a")) == (2.0, -2.0)


def test_newcomers_start_level():
    """Who comes for the first time is neither ahead of those who are there nor behind them."""
    shares: FairShares[str] = FairShares(credit_s=5.0)
    shares.join("old")
    for _ in range(10):
        use(shares, "old", 1.0)
    shares.join("new")
    assert shares.in_order(["old", "new"]) == ["new", "old"]
    use(shares, "new", 1.1)
    assert shares.in_order(["old", "new"]) == ["old", "new"]


def test_who_comes_back_has_some_credit():
    """Who has used less than others while it was away is ahead of them by credit_s and no more."""
    shares: FairShares[str] = FairShares(credit_s=2.0)
    for key in ("away", "busy"):
        shares.join(key)
    for _ in range(10):
        use(shares, "busy", 1.0)
    shares.join("away")
    use(shares, "away", 2.9)
    assert shares.in_order(["busy", "away"])[0] == "away"
    use(shares, "away", 0.2)
    assert shares.in_order(["busy", "away"])[0] == "busy"


def test_debts_survive_a_pause():
    """Who has used more than its turn does not get rid of that by leaving."""
    shares: FairShares[str] = FairShares()
    for key in ("greedy", "other"):
        shares.join(key)
    use(shares, "greedy", 5.0)
    use(shares, "other", 1.0)
    shares.forget(keep=["other"])
    shares.join("greedy")
    assert shares.in_order(["greedy", "other"])[0] == "other"


def test_those_without_debt_are_forgotten():
    """What is kept does not grow with the number of keys that ever came."""
    shares: FairShares[str] = FairShares()
    for number in range(100):
        shares.join(str(number))
        use(shares, str(number), 1.0)
    shares.join("last")
    shares.start_turn("99")
    shares.forget(keep=["last"])
    assert len(shares) <= 2


def test_costs_follow_what_is_measured():
    """The first measurement counts in full, later ones by an eighth; kinds are apart."""
    costs = Costs(unknown_s=0.5)
    costs.learn("wide", 8.0)
    costs.learn("wide", 16.0)
    costs.learn("narrow", 1.0)
    assert (costs.of("wide"), costs.of("narrow")) == (9.0, 1.0)
    assert costs.of("unknown") == 0.5
