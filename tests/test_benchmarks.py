"""The benchmarks: their forms agree on small inputs, and one that lies is found."""

import numpy as np
import pytest

from benchmarks import dpo, ppo, timing


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(ppo, "STRINGS", 40)
    monkeypatch.setattr(dpo, "PAIRS", 20)
    monkeypatch.setattr(timing, "ROUNDS", 3)


@pytest.mark.parametrize("work", [ppo, dpo])
def test_all_forms_agree_and_are_printed_with_their_ratio(work, capsys):
    ns = work.run()
    assert list(ns) == ["plain", "arrays", "book", "control"]
    table = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.split("\n")[2:6]}
    for form in ("plain", "arrays"):
        assert float(table[form][-1]) == pytest.approx(ns[form] / ns["book"], abs=0.05)
        assert float(table[form][0]) == pytest.approx(ns[form], abs=0.05)
        low, high = float(table[form][1]), float(table[form][2])
        assert low <= float(table[form][0]) <= high
    assert table["book"][-1] == "1.0" and table["control"][-1] == "-"


def test_the_ppo_benchmark_reaches_the_clipping(monkeypatch):
    """Otherwise the forms would agree without their hardest branch."""
    monkeypatch.setattr(ppo, "RATE", 20.0)
    old, steps, advantages = ppo.batch()
    loss, _ = ppo.book(old, steps, advantages)
    monkeypatch.setattr(ppo, "CLIP", 1e9)
    assert abs(ppo.book(old, steps, advantages)[0] - loss) > 1e-3


def test_a_form_that_lies_is_found_before_it_is_timed():
    honest, liar = (1.0, np.zeros(2)), (1.0, np.array([0.0, 1e-9]))
    with pytest.raises(AssertionError, match="book and liar disagree"):
        timing.compare("lie", {"book": lambda: honest, "liar": lambda: liar}, 1, "item")
