"""The page that compares all methods: each line of its tables, by a call or by a run."""

import inspect
import re
from fractions import Fraction

import numpy as np
import pytest
import test_objectives
from languages import all_strings, as_steps, pairs_of
from test_house import CHAPTERS, ROOT
from test_q_learning import greedy_policy, worth

import minirl
from gridworld.maps import cliff_walk
from minirl import compared
from minirl.exact.evaluation import action_values, evaluate, occupancy
from minirl.exact.planning import policy_iteration
from minirl.kernel import counts
from minirl.kernel.playing import rollout
from minirl.kernel.softmax import log_softmax
from minirl.lab import alignment, objectives
from minirl.lab.running_example import bigram_of, running_example
from minirl.people import (best_of_n, distillation, dpo, grpo, groups, ipo, kl, kto, margins, orpo,
                           ratios, reward_model, rlhf, sft, simpo)
from minirl.play import actor_critic, ppo, ppo_kl, q_learning, reinforce
from minirl.play.exploration import epsilon_greedy
from minirl.play.optim import linear
from minirl.play.surrogate import collapse
from minirl.play.training import after, start
from toy_lm import align

TEXT = compared.__doc__
LOSSES = {
    "reinforce": reinforce.reinforce_loss, "ppo": ppo.ppo_loss, "ppo_kl": ppo_kl.ppo_kl_loss,
    "sft": sft.sft_loss, "reward_model": reward_model.bradley_terry_loss, "grpo": grpo.grpo_loss,
    "dpo": dpo.dpo_loss, "ipo": ipo.ipo_loss, "kto": kto.kto_loss, "simpo": simpo.simpo_loss,
    "orpo": orpo.orpo_loss}
ANOTHER = {"actor_critic": "reinforce", "rejection_sampling": "sft", "rlhf": "ppo",
           "dr_grpo": "grpo", "rloo": "grpo"}  # whose loss these have
PLAYING = {"reinforce": reinforce.reinforce, "actor_critic": actor_critic.actor_critic,
           "ppo": ppo.ppo, "ppo_kl": ppo_kl.ppo_kl, "rlhf": rlhf.rlhf, "grpo": grpo.grpo,
           "rejection_sampling": best_of_n.rejection_sampling}
FITS = {"reward_model": reward_model.fit_reward_model, "dpo": dpo.fit_dpo, "ipo": ipo.fit_ipo,
        "kto": kto.fit_kto, "simpo": simpo.fit_simpo, "orpo": orpo.fit_orpo}
RNG = np.random.default_rng(0)
STRINGS = all_strings(2, 4)
SIDES = [[STRINGS[i] for i in RNG.integers(2, len(STRINGS), 5)] for _ in range(2)]
X, OLD, REF = RNG.normal(size=(3, 3, 3))


def table(heading):
    """The rows of the table under a heading: its first column, and the others as a dict."""
    block, = re.findall(rf"^    {heading}\b.*(?:\n    .*)*", TEXT, flags=re.M)
    head, *rows = [re.split(r" {2,}", line.strip()) for line in block.split("\n")]
    assert all(len(row) == len(head) for row in rows)
    return {row[0]: dict(zip(head[1:], row[1:])) for row in rows}


SUMS, POLICIES, SHARES = (table(f"method +{word}") for word in ("the sum", "in the", "climbs"))


def test_the_tables_hold_every_method_of_the_book():
    """Every trainer and every fit, and every loss of a method in Parts 3 and 4"""
    assert [*POLICIES] == [method for method in SUMS if method not in ("dr_grpo", "rloo")]
    assert set(SUMS) == {*LOSSES, *ANOTHER} == {*PLAYING, *FITS, "sft", "dr_grpo", "rloo"}
    assert {*SHARES} == {*SUMS, "best_of_n", "grpo_paid"}
    public = set()
    for chapter in CHAPTERS:
        part, name = chapter.split(".")
        module = getattr(getattr(minirl, part), name)
        public |= {function for loss, function in inspect.getmembers(module, inspect.isfunction)
                   if loss.endswith("_loss") and function.__module__ == module.__name__
                   and part in ("play", "people")}
    others = {kl.kl_loss, kl.k3_loss, reward_model.plackett_luce_loss, reward_model.logistic_loss,
              reward_model.squared_loss, rlhf.ptx_loss,  # distances, other answers, a sum of two,
              margins.margin_loss, margins.aot_loss, margins.aot_unpaired_loss,  # and families
              ratios.gate_loss, ratios.string_loss, ratios.gmpo_loss,
              distillation.distillation_loss, distillation.string_distillation_loss}
    assert public == {*LOSSES.values()} | others


# What a loss is divided by.


SHORT, LONG = [(0, 0)], [(1, 0), (1, 0), (1, 0)]


def weights(method):
    """What the string of one step and that of three weigh, all steps together, where each has the
    advantage 1: by the gradients at a policy of ½ and ½, of which a step has its half."""
    steps, fair = as_steps([SHORT, LONG], 2), np.zeros((2, 2))
    batch = rollout_like(steps)
    judged = collapse(steps, np.ones(4), counted=True)
    table = counts.table(steps)

    def grouped(weigh):
        return grpo.grpo_loss(fair, fair, groups.weighted(steps, np.ones(2), weigh(batch)),
                              ref_logits=fair, beta=0.0)

    _, grad = {"reinforce": lambda: reinforce.reinforce_loss(fair, table, episodes=2),
               "ppo": lambda: ppo.ppo_loss(fair, fair, judged),
               "ppo_kl": lambda: ppo_kl.ppo_kl_loss(fair, fair, judged, kl_coef=0.0),
               "sft": lambda: sft.sft_loss(fair, table),
               "grpo": lambda: grouped(groups.per_string),
               "dr_grpo": lambda: grouped(groups.per_length(2)),
               "rloo": lambda: grouped(groups.per_length(2))}[method]()
    assert grad.sum() == pytest.approx(0)
    return [Fraction(float(-2 * grad[s, 0])).limit_denominator(100) for s in (0, 1)]


def rollout_like(steps):
    """What the weights of groups look at: how long strings are."""
    lengths = np.diff(steps.starts)

    class Batch:
        pass

    Batch.lengths, Batch.truncated = lengths, np.zeros(lengths.size, bool)
    return Batch


@pytest.mark.parametrize("method", [name for name in SUMS if name not in FITS])
def test_what_is_divided_by_steps_or_by_strings(method):
    """A string of one step and one of three: N = 4, B = 2, and a length of 2"""
    expected = {"B": (1 / 2, 3 / 2), "N": (1 / 4, 3 / 4), "B·|y|": (1 / 2, 1 / 2),
                "B·length": (1 / 4, 3 / 4)}[SUMS[method]["divided by"]]
    loss = method if method in ("dr_grpo", "rloo") else ANOTHER.get(method, method)
    assert weights(loss) == pytest.approx(expected)


def test_what_a_step_weighs():
    """The table of the page, from the gradients; (ppo.4)"""
    block, = re.findall(r"^ +reinforce  ppo.*(?:\n    .*)*", TEXT, flags=re.M)
    head, *rows = [re.split(r" {2,}", line.strip()) for line in block.split("\n")]
    for i, method in enumerate(head):
        short, long = weights(method)
        assert [Fraction(row[1 + i]) for row in rows] == [short, long / 3, long]
    assert weights("reinforce") == [2 * share for share in weights("ppo")]


def loss_of_pairs(method, sides, ref=REF):
    """The loss of a method on two sides of strings, with what else it takes."""
    pairs = pairs_of(*sides)
    return {"reward_model": lambda: reward_model.bradley_terry_loss(X, pairs.difference),
            "dpo": lambda: dpo.dpo_loss(X, ref, pairs.difference, beta=0.7),
            "ipo": lambda: ipo.ipo_loss(X, ref, pairs.difference, beta=0.7),
            "kto": lambda: kto.kto_loss(X, ref, *pairs.counts, beta=0.7, z0=0.3),
            "simpo": lambda: simpo.simpo_loss(X, *pairs.means, beta=2.0, simpo_gamma=1.0),
            "orpo": lambda: orpo.orpo_loss(X, *pairs.means, beta=0.7)}[method]()[0]


@pytest.mark.parametrize("method", FITS)
def test_a_loss_of_pairs_is_a_mean_over_them_and_some_are_means_over_lengths_too(method):
    """Each pair twice: nothing changes.  Each string written twice in a row: what is a mean over
    its steps stays, and what is a sum changes."""
    loss, divisor = loss_of_pairs(method, SIDES), SUMS[method]["divided by"]
    assert divisor.partition(";")[0] == "B"
    assert loss_of_pairs(method, [side * 2 for side in SIDES]) == pytest.approx(loss, rel=1e-12)
    one = [loss_of_pairs(method, [[string] for string in pair]) for pair in zip(*SIDES)]
    assert np.mean(one) == pytest.approx(loss, rel=1e-12)
    longer = loss_of_pairs(method, [[2 * string for string in side] for side in SIDES])
    assert (longer == pytest.approx(loss, rel=1e-12)) == ("|y|" in divisor)


# Whose policy is in the denominator, and whose strings are used.


def loss_of_batch(method, old, ref):
    steps = as_steps(SIDES[0], 3)
    judged = groups.weighted(steps, np.array([1.0, -1, 2, -2, 1]), np.full(5, 0.1))
    return {"reinforce": lambda: reinforce.reinforce_loss(X, judged.gains, episodes=5),
            "sft": lambda: sft.sft_loss(X, judged.counts),
            "ppo": lambda: ppo.ppo_loss(X, old, judged),
            "ppo_kl": lambda: ppo_kl.ppo_kl_loss(X, old, judged, kl_coef=0.5),
            "grpo": lambda: grpo.grpo_loss(X, old, judged, ref_logits=ref, beta=0.5)}[method]()[0]


@pytest.mark.parametrize("method", LOSSES)
def test_a_loss_depends_on_the_policies_that_it_is_said_to_have(method):
    """On π_old or π_ref exactly where the table names them; it then takes their logits"""
    below = POLICIES[method]["in the denominator"]
    takes = inspect.signature(LOSSES[method]).parameters
    has_ref = "π_ref" in below or method == "grpo"
    assert ("old_logits" in takes, "ref_logits" in takes) == ("π_old" in below, has_ref)
    if method in FITS:
        changed = loss_of_pairs(method, SIDES, OLD) != loss_of_pairs(method, SIDES, REF)
        assert changed == has_ref
    else:
        here = loss_of_batch(method, OLD, REF)
        assert (loss_of_batch(method, REF, REF) != here) == ("π_old" in below)
        assert (loss_of_batch(method, OLD, OLD) != here) == has_ref


def test_the_denominator_has_the_old_policy_or_the_reference_and_in_k3_the_policy_itself():
    """Where that policy hardly takes a step that was taken, its ratio grows without bound."""
    rare, fair = np.array([[-50.0, 0.0]]), np.zeros((1, 2))
    one = collapse(counts.steps([0], [0], [0, 1], (1, 2)), np.ones(1), counted=True)
    assert ppo.ppo_loss(fair, rare, one, clip_range=np.inf)[0] < -1e20
    assert -1 < ppo.ppo_loss(rare, fair, one, clip_range=np.inf)[0] < 0
    assert kl.k3_loss(rare, fair, one.counts)[0] > 1e20
    assert kl.k3_loss(fair, rare, one.counts)[0] < 50
    assert POLICIES["grpo"]["in the denominator"] == "π_old, and π in k3"
    lead = counts.steps([0], [0], [0, 1], (1, 2)), counts.steps([0], [1], [0, 1], (1, 2))
    D = counts.difference_matrix(*lead)
    assert ipo.ipo_loss(fair, rare, D, beta=1.0)[0] == pytest.approx((50 - 0.5)**2)


@pytest.mark.parametrize("method", POLICIES)
def test_who_plays_has_a_world_and_who_does_not_has_data(method):
    """Trainers play, and see π_old in a loss of many steps from one batch; fits have pairs."""
    learns, below = POLICIES[method]["learns from"], POLICIES[method]["in the denominator"]
    if "played" in learns:
        takes = inspect.signature(PLAYING[method]).parameters
        assert [*takes][:2] == ["mdp", "record"]
        assert learns == ("what π_old played" if "π_old" in below else "what π has just played")
        assert bool({"clip_range", "epsilon"} & {*takes}) == (
            "clip" in POLICIES[method]["is held near"] or method == "rlhf")
    elif learns == "demonstrations":
        assert method == "sft"
    else:
        takes = inspect.signature(FITS[method]).parameters
        assert {"pairs", "data"} & {*takes} and "pull" in takes and "mdp" not in takes
        liked = tuple(as_steps(side, 3) for side in (SIDES[0], SIDES[1][:2]))  # no pairs
        if method == "kto":
            assert kto.fit_kto(REF, liked, beta=0.5, pull=1.0, divergence=lambda x: 0.1).x.any()
        else:
            more = {"beta": 1.0, "simpo_gamma": 0.0}
            with pytest.raises(ValueError, match="must be Pairs"):
                FITS[method](REF, liked, pull=1.0, **{name: more[name] for name in takes
                                                      if name in more})


def test_the_price_of_rlhf_is_in_the_reward():
    """(rlhf.1): its log-ratio is of the policy that played, over the reference."""
    example = running_example(bigram_of())
    played = rollout(example.world, np.exp(example.reference), np.zeros(4, int), horizon=9, rng=0)
    prices = [rlhf.step_rewards(np.zeros((27, 27)), ref, beta=0.5)(played, example.reference)
              for ref in (example.reference, np.zeros((27, 27)))]
    assert not prices[0].any() and prices[1].any()


def test_when_the_old_policy_and_the_reference_coincide():
    """At the start of a run, and not after a batch; where the price of the one has no gradient,
    and that of the other has none at the reference only"""
    world = running_example(bigram_of()).world
    ref = log_softmax(RNG.normal(size=(27, 27)))
    first = start(ref, rng=0)
    later = after(ppo.ppo(world, first, episodes=32, horizon=9, iterations=2), 1)
    assert np.abs(first.logp - ref).max() < 1e-14 and np.abs(later.logp - ref).max() > 1e-3
    judged = collapse(as_steps(SIDES[0], 3), RNG.normal(size=sum(map(len, SIDES[0]))),
                      counted=True)
    at_start = [ppo_kl.ppo_kl_loss(X, X, judged, kl_coef=beta)[1] for beta in (0.0, 9.0)]
    np.testing.assert_allclose(*at_start, rtol=0, atol=1e-14)
    visits = np.ones(3)
    assert np.abs(kl.kl_loss(REF, REF, visits)[1]).max() < 1e-15
    assert np.abs(kl.kl_loss(X, REF, visits)[1]).max() > 0.1


# What it climbs.


IN_THE_JOBS = {"grpo_paid": "grpo_kl_in_reward"}  # the names that the jobs have


def test_the_shares_of_the_language_of_31_strings():
    """Of the job `objectives`, with groups of four; 1.000 of DPO is not all"""
    assert test_objectives.G == objectives.GROUP == 4
    rests = {rest.method: rest for rest in test_objectives.job()[0].rests}
    rests["reward_model"] = rests["rlhf"]  # where the optimum of the fitted reward is climbed
    for method, row in SHARES.items():
        rest = rests.get(IN_THE_JOBS.get(method, method))
        assert row["strings"] == (f"{rest.share:.3f}" if rest else "-"), method
        assert rest is None or rest.at_rest == (method != "kto")
    assert 1e-5 < 1 - rests["dpo"].share < 5e-4


@pytest.mark.slow
def test_the_shares_of_the_running_example(full_alignment):
    """Of the job `alignment`, and of what it leaves out, with the same sizes"""
    example = running_example(bigram_of())
    world, ref = example.world, example.reference
    shares = {row["method"]: row["share"] for row in full_alignment.json["language"]["methods"]}
    assert inspect.signature(grpo.grpo).parameters["num_generations"].default == 8
    assert alignment.AlignmentScale().iterations == 200
    how = {"rewards": rlhf.step_rewards(world.mean_reward, ref, beta=align.BETA),
           "iterations": alignment.AlignmentScale().iterations, "ent_coef": 0.0,
           "learning_rate": linear(0.05, 0.0)}
    for trainer in (actor_critic.actor_critic, ppo_kl.ppo_kl):
        run = after(trainer(world, start(ref, rng=[0, 1]), **how), how["iterations"])
        shares[trainer.__name__] = example.judge(run.policy).share
    pairs = example.preferences(100_000, [0, 7, 0])
    fitted = align.METHODS["reward_model"].fit(ref, pairs, beta=align.BETA, pull=align.PULL).x
    shares["reward_model"] = example.judge(np.exp(log_softmax(fitted))).share
    best = np.exp(alignment.tilt(ref, example.optimum.action_values, beta=align.BETA))
    shown = occupancy(world, best)[:, None] * best  # the steps of endless demonstrations
    copied = np.exp(sft.fit_by_counting(shown, pseudo_count=0))
    shares["sft"] = example.judge(copied).share
    for method, row in SHARES.items():
        share = shares[IN_THE_JOBS.get(method, method)]
        assert float(row["words"]) == pytest.approx(share, abs=0.0015), method


def test_the_four_learners_of_action_values():
    """The lines of the chapter, whose numbers its own tests compute; three of them again"""
    table_of_four = table("learner")
    names = {"sarsa": "SARSA", "expected_sarsa": "expected SARSA", "q_learning": "Q-learning",
             "double_q_learning": "double"}
    lines = {line.strip() for line in q_learning.__doc__.split("\n")}
    for learner, row in table_of_four.items():
        assert inspect.isgeneratorfunction(getattr(q_learning, learner))
        line, = (line for line in lines if re.match(rf"{names[learner]} {{2,}}", line))
        assert row["V(s')"].split(",")[0] in line.replace("a' ~ π(·|s'), ", "")
        assert f" {row['greedy']} " in line and row["exploring"] in line
    cliff, rule = cliff_walk().mdp(gamma=1.0), epsilon_greedy(0.1)
    rest = np.zeros((48, 4))
    for _ in range(5):
        rest = action_values(cliff, np.nan_to_num(evaluate(cliff, rule.policy(rest, 0))))
    best = policy_iteration(cliff).action_values
    for learner, Q in ("sarsa", rest), ("expected_sarsa", rest), ("q_learning", best):
        said = [float(table_of_four[learner][column].replace("−", "-"))
                for column in ("greedy", "exploring")]
        assert said == [round(worth(cliff, policy), 1)
                        for policy in (greedy_policy(Q), rule.policy(Q, 0))]


# The page of losses.


def test_the_page_of_losses_says_the_same():
    """What each loss is divided by, and whether it has π_old or π_ref"""
    page = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, flags=re.M))
    rows["rejection_sampling"] = rows["best_of_n"]
    for method in SUMS.keys() & rows.keys():
        divisor, below = SUMS[method]["divided by"], POLICIES[method]["in the denominator"]
        assert {*re.findall(r"/\(?([BN])\b", rows[method])} == {divisor[0]}, method
        assert ("|y" in rows[method].replace("\\", "")) == (divisor == "B·|y|"), method
        assert bool(re.search("ρ|PPO", rows[method])) == ("π_old" in below), method
        assert bool(re.search(r"\bh\b|h −|e\^u", rows[method])) == (
            "π_ref" in below or method == "grpo"), method
    assert {*SUMS} - rows.keys() == {"rlhf", "dr_grpo", "rloo"}
    assert "`rlhf` is PPO on the reward r − β" in page


# A loss of your own.


def test_what_a_loss_of_your_own_needs_is_where_the_page_says():
    """Every file but the two new ones, what they hold, and the commands"""
    page = TEXT.partition("**A loss of your own.**")[2]
    files = {*re.findall(r"^    (\S+/\w+\.py|README\.md)", page, flags=re.M)}
    tests = {f"tests/{name}" for name in re.findall(r"(?<!/)\btest_\w+\.py", page)}
    commands = re.findall(r"^    python -m (.*)$", page, flags=re.M)
    asked = {path for command in commands for path in re.findall(r"tests/\w+\.py", command)}
    missing = {path for path in files | tests | asked if not (ROOT / path).exists()}
    assert missing <= {"minirl/people/cauchy.py", "tests/test_cauchy.py"} and len(files) == 21
    for path, names in {
            "tests/test_gradients.py": ["CASES = {", 'CASES["dpo.dpo_loss"]', "def margin_cases("],
            "tests/test_preference_losses.py": ["PLAIN = {", "EACH = {"],
            "toy_lm/align.py": ["METHODS = {"],
            "tests/refusals/people_pairs.py": ["LOSSES = {", "FITS = {", "ROWS = {"],
            "minirl/lab/alignment.py": ["PIECES = "], "minirl/lab/objectives.py": ["def updates("],
            "minirl/people/pairs.py": ["reward_model dpo ipo"],
            "minirl/people/unified.py": ["coefficient c\n"],
            "README.md": ["## Read it"], "docs/losses.md": ["| `ipo` |"],
            "setup.cfg": ["gradient:", "slow:"],
            "minirl/people/ipo.py": ["def ipo_loss(", "def fit_ipo("],
            "tests/test_margins.py": ["OF_A_DIFFERENCE = {", "OF_TWO = {"],
            "tests/test_ratios.py": ["GATES = {"]}.items():
        for name in names:
            assert name in (ROOT / path).read_text(encoding="utf-8"), (path, name)
    assert len(commands) == 4 and all(command.startswith("pytest -q") for command in commands)
