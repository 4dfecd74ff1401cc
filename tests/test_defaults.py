"""What an argument is when nobody gives it: the same everywhere, or something else on purpose."""

import inspect
from importlib import import_module
from math import inf, nan, sqrt

import pytest
from test_house import SOURCES, module_name

from minirl.play.optim import Linear, linear

USUAL = dict(
    auto_reset=False, beta=0.5, beta1=0.9, beta2=0.999, bins=10, blank=0, clip_range=0.2,
    complex_step=True, count=1, counted=False, cut=4, decay=0.6, delta=0.001,
    desirable_weight=1.0, digits=4, discopop_tau=0.05, dx=5, dy=0, elsewhere=nan,
    end_fraction=1.0, endless=False, enough=0.98, ent_coef=0.0, episodes=512, eps=0.0001,
    epsilon=0.2, error=0.003, evaluation_sweeps=50, exploration=sqrt(2), finite=True,
    forms=4, fraction=0.1, gae_lambda=0.95, gamma=0.9, gap=0.055, goal=100, group=4, h=1e-05,
    heads=0.4, high=5.0, horizon=200, initial_value=0.0, is_slippery=True, iterations=400,
    k_neg=3.0, k_pos=2.0, keep_discount=False, kl_coef=1.0, kl_horizon=10000,
    label_smoothing=0.0, lambda_neg=2.0, lambda_pos=3.0, learning_rate=1.0, least=1,
    least_share=0.1, left=False, length_penalty=0.0, letter=0.139, letters=4, lmbda=0.5,
    longest=100, low=0.0, margin=0.0, max_grad_norm=inf, max_iterations=10000,
    max_rounds=100, max_sweeps=100000, missing_eos_penalty=0.0, most=20, moves=False,
    multiple=1, n_epochs=10, negatives=5, noise=0.0, normalize_advantage=True,
    num_generations=4, num_iterations=4, order=2, params_power=0.076,
    params_scale=64000000000000.0, points=240, prompt=0, pseudo_count=0.1, pull=2.0,
    rate=10.0, rounds=5, rows=1, runs=2, scale=1.0, seed=0, size=10, slippery=True,
    steps=2000, steps_per_iteration=1000, strings=100, success_rate=1 / 3, tables=1,
    target_kl=inf, temperature=1.0, temperature_neg=1.05, temperature_pos=1.0, ties=0.0,
    tokens_power=0.103, tokens_scale=18000000000000.0, tol=1e-10, top_p=1.0,
    undesirable_weight=1.0, value_lambda=1.0, value_rate=0.5, width=7.5)
OTHERS = {  # by function and argument
    **{f"{name} learning_rate": linear(0.05, 0.0)
       for name in ("grpo.grpo", "rlhf.rlhf", "rlhf.adaptive_rlhf")},
    **{f"{name} learning_rate": linear(0.06, 1e-4) for name in ("ppo.ppo", "ppo_kl.ppo_kl")},
    **{f"{name} ent_coef": linear(0.3, 0.0, 0.5) for name in ("ppo.ppo", "ppo_kl.ppo_kl")},
    "actor_critic.actor_critic learning_rate": 0.05,
    "actor_critic.actor_critic normalize_advantage": False, "attempts.by_descent tol": 1e-06,
    "best_of_n.rejection_sampling episodes": 4096,
    "best_of_n.rejection_sampling pseudo_count": 1.0, "console.integer most": inf,
    "distillation.distilled tol": 1e-13, "distillation.fit_distilled tol": 1e-12,
    "fitting.minimise tol": 1e-07, "fitting.minimise_lasting tol": 1e-07,
    "fitting.minimise_near tol": 1e-07, "gradcheck.by_complex_step h": 1e-30,
    "grpo.grpo beta": 0.0, "grpo.grpo num_generations": 8,
    "grpo.resting_policy max_rounds": 1000, "harvest.fit_classifier tol": 1e-06,
    "harvest.near_duplicates least": 0.8, "harvest.until_stopped most": 10,
    "kto.fit_kto max_rounds": 50, "kto.fit_kto tol": 1e-06,
    "maps.four_rooms success_rate": 2 / 3, "margins.bco delta": 0.0,
    "margins.exo label_smoothing": 0.001, "mdp.coin_game gamma": 1.0,
    "ngram.sample horizon": 1000, "on_people.displaced rate": 0.5,
    "on_people.displaced steps": 60, "on_people.followed_estimates rate": 0.05,
    "on_people.followed_estimates steps": 4000, "on_worlds.draw_map size": 8,
    "optim.adam eps": 1e-08, "plain.language_model.count pseudo_count": 0.0,
    "plain.language_model.sample longest": 1000, "planning.best_actions tol": 0.0,
    "ppo_kl.ppo_kl target_kl": 0.01, "prediction.monte_carlo decay": 0.0,
    "prediction.monte_carlo horizon": 1000, "prediction.monte_carlo learning_rate": 0.1,
    "prediction.td_prediction decay": 0.0, "prediction.td_prediction horizon": 1000,
    "prediction.td_prediction learning_rate": 0.1, "raters.compare temperature": 1e-300,
    "ratios.dual_clip delta": 3.0, "ratios.gmpo_loss epsilon": 0.4,
    "regularised.entropy_optimum tol": 1e-12, "regularised.regularised_optimum tol": 1e-12,
    "reinforce.reinforce learning_rate": 0.05, "return_law.reward_law tol": 1e-15,
    "reward_model.fit_reward_model tol": 1e-07, "scaling.fit_law tol": 1e-09,
    "search.beam horizon": 100, "sft.fit_sft tol": 1e-09, "stale.stale_updates rate": 1.0,
    "training.play num_generations": 1, "tree_search.puct exploration": 2.0,
    "tree_search.tree_search horizon": 50}


def numbers():
    """(function, argument, default) of all public functions, but for those of the exercises; a
    default is a number, or a straight line in the place of one."""
    for path in SOURCES:
        if {"exercises", "__main__.py", "__init__.py"} & set(path.parts):
            continue
        try:
            module = import_module(module_name(path))
        except ImportError:  # an extra
            continue
        for name, function in vars(module).items():
            plain = "plain." * (path.parent.name == "plain")
            if (inspect.isfunction(function) and function.__module__ == module.__name__
                    and not name.startswith("_")):
                for argument in inspect.signature(function).parameters.values():
                    if isinstance(argument.default, (int, float, Linear)):
                        yield f"{plain}{path.stem}.{name}", argument.name, argument.default


def test_an_argument_has_one_default_everywhere_but_where_it_is_said():
    for function, name, default in numbers():
        expected = OTHERS.get(f"{function} {name}", USUAL.get(name))
        assert repr(default) == repr(expected), f"{function}({name}={default})"


def test_no_other_default_is_listed():
    pytest.importorskip("matplotlib")
    pytest.importorskip("gymnasium")
    found = {(function, name) for function, name, _ in numbers()}
    assert set(USUAL) == {name for _, name in found}
    assert set(OTHERS) <= {f"{function} {name}" for function, name in found}

