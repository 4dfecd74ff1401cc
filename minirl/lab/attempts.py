"""What more attempts buy: pass@k and majority votes before and after training, checked steps, and
skills that seem to appear all at once.

A prompt is the first letter of a word and the answer its last letter.  Right is the last letter
that is most usual in the corpus for that first letter.  All 26 prompts are asked equally often.
The bigram of the corpus answers, and so do policies that were trained to be right: the tables that
descent on the exact loss finds at falling prices of a nat, each from the one before; PPO, from
samples and without a price; and, for comparison, the best table of its own for each prompt, at the
last of the prices.  Everything but PPO's training is exact.  Where the price is low the loss has
several minima, and descent need not find the lowest.

A step of a word is wrong if it makes three letters in a row, start and end included, that no word
of the corpus has.

The last table asks models that remember five letters, fitted to ever more names, for the letters of
names that were held out: for the next one, the next four and the next sixteen, all of them right.
They run over the ends of names.
"""

from collections import namedtuple
from dataclasses import replace

import numpy as np

from minirl.beyond.cascade import checked_steps, clean_chances, error_rate
from minirl.beyond.inference import (answer_chances, majority_at_k, pass_at_k, right_answer_loss,
                                     right_answer_rewards, tilted_chance)
from minirl.exact.evaluation import NoEnd, occupancy
from minirl.kernel import counts
from minirl.kernel.softmax import log_softmax
from minirl.lab.job import SEED, Job, stopwatch
from minirl.lab.running_example import bigram_of
from minirl.lab.table import in_columns, page
from minirl.people.fitting import minimise
from minirl.play.optim import linear
from minirl.play.ppo import ppo
from minirl.play.training import after, start
from toy_lm.contexts import look_up, tree
from toy_lm.corpora import held_out, unicode_names, unicode_words
from toy_lm.ngram import decoding, language, widen
from toy_lm.vocabulary import from_items

ATTEMPTS = tuple(2**i for i in range(9))   # k of pass@k, 1 to 256
VOTERS = 1, 2, 4, 8, 16, 32                # k of maj@k
TEMPERATURES = 0.5, 0.25
TRIES = 1, 2, 3, 4, 8, 1000                # draws of a step; a thousand are as good as no limit
AHEAD = 1, 4, 16                           # letters that must all be right
LOST = 0.01                                # a prompt is lost if its chance is less


# How much is done: the prices β of the shared tables; runs of PPO, their iterations and episodes;
# and to how many letters of names models are fitted, beside all of them.
AttemptsScale = namedtuple("AttemptsScale", "prices runs iterations episodes letters",
                           defaults=[(1.0, 0.3, 0.2, 0.1), 8, 100, 2048,
                                     (1_000, 4_000, 16_000, 64_000)])


# The task: the reference, the prompts' world, the right answer (S,) of each state, and the letters.
Task = namedtuple("Task", "reference world right letters")


# A policy that answers: pass@k for each of ATTEMPTS, maj@k for each of VOTERS, how many prompts
# have a lower chance than under the reference, and which are lost.
Answers = namedtuple("Answers", "policy passes majorities fell lost")


# Words of the reference whose steps are drawn at most k times: the chance that they are clean, and
# the draws per word and per clean word.  And the chance to have a clean word for as many draws on
# whole words, each given up at its first wrong step: if one stops at the first that is clean, and
# if all of them are written (where their number is not whole, by the same formula).
Checks = namedtuple("Checks", "tries clean draws per_clean stopping all_written")


# The words of the reference as they are: the share of wrong steps, steps per word, the chance that
# a word is clean, what it would be if each step were wrong with that share, and that share of right
# steps to the power of the steps per word.
Errors = namedtuple("Errors", "rate steps clean alike power")


# A model fitted to so many letters: nats per letter held out, the chance to have the next ones
# right for each of AHEAD, and the first of these chances to the power of the largest of AHEAD.
Emergence = namedtuple("Emergence", "letters nats chances power")


# What the job finds: `answers` of all policies, `errors` and `checks` of words, and `emergence`.
# The runs of PPO stand in `runs`; the worst and a middle one of them are in `answers`.
Attempts = namedtuple("Attempts", "answers runs errors checks emergence")


def attempt(seed, progress, scale=AttemptsScale()) -> Attempts:
    """All three tables: `Attempts`."""
    timed, answers = stopwatch(5 + len(scale.prices), progress), []
    task = first_and_last_letters()
    reference = task.reference
    answers.append(timed("reference", lambda: answered(task, "reference", reference))[0])
    answers += [answered(task, f"temperature {T:g}", decoding(reference, temperature=T))
                for T in TEMPERATURES]
    table = reference
    for beta in scale.prices:
        table, _ = timed(f"beta {beta:g}", lambda: by_descent(task, beta, table))
        answers.append(answered(task, f"descent, beta {beta:g}", table))
    runs = timed("ppo", lambda: [answered(task, "ppo", by_ppo(task, scale.runs * seed + run, scale))
                                 for run in range(scale.runs)])[0]
    ranked = sorted(runs, key=lambda run: run.passes)
    answers += [ranked[0]._replace(policy=f"ppo, worst of {scale.runs}"),
                ranked[scale.runs // 2]._replace(policy="ppo, a middle one")]
    answers.append(timed("own tables", lambda: by_own_tables(task, scale.prices[-1]))[0])
    errors, checks = timed("checks", cascade_of_words)[0]
    emergence = timed("emergence", lambda: emerging(seed, scale.letters))[0]
    return Attempts(answers, runs, errors, checks, emergence)


def first_and_last_letters() -> Task:
    """The `Task` of the Unicode words."""
    words = unicode_words()
    model = bigram_of(words)
    letters = model.vocabulary.letters
    table = np.zeros(model.logits.shape)
    np.add.at(table, tuple(np.transpose([(model.state(word[0]), model.state(word[-1]))
                                         for word in words])), 1)
    start = (table.sum(axis=1) > 0) / (table.sum(axis=1) > 0).sum()
    world = replace(language(np.zeros(table.shape)), start=start)
    return Task(model.logits, world, table.argmax(axis=1), letters)


def answered(task, policy, logits) -> Answers:
    """The `Answers` of a table of logits."""
    chances = answer_chances(task.world, np.exp(log_softmax(logits)))
    return _answers(task, policy, chances)


def _answers(task, policy, chances):
    """Those of the chances (S, S) of each answer to each prompt."""
    prompts, share = task.world.start > 0, task.world.start[task.world.start > 0]
    right, chances = task.right[prompts], np.clip(chances[prompts], 0, 1)
    own, before = (table[np.arange(right.size), right] for table in (
        chances, answer_chances(task.world, np.exp(log_softmax(task.reference)))[prompts]))
    lost = "".join(task.letters[s - 1] for s in np.flatnonzero(prompts)[own < LOST])
    return Answers(policy, [float(share @ pass_at_k(own, k)) for k in ATTEMPTS],
                   [float(share @ majority_at_k(chances, right, k)) for k in VOTERS],
                   int((own < before - 1e-9).sum()), lost)


def by_descent(task, beta, begin, tol=1e-6):
    """The logits of a shared table at a price, by descent from `begin`."""
    def loss(x):
        try:
            return right_answer_loss(x, task.world, task.reference, task.right, beta=beta)
        except NoEnd:  # A step of the search was too long.  A loss above all others turns it back.
            return 1e3, np.zeros(x.shape)

    return minimise(loss, begin, tol=tol).x


def by_ppo(task, seed, scale=AttemptsScale()):
    """log π after PPO, rewarded for what is right, at no price."""
    return after(ppo(task.world, start(task.reference, rng=seed), horizon=60,
                     episodes=scale.episodes, rewards=right_answer_rewards(task.right),
                     iterations=scale.iterations, learning_rate=linear(0.05, 0.0), ent_coef=0.0),
                 scale.iterations).logp


def by_own_tables(task, beta) -> Answers:
    """`Answers` where each prompt has the best table of its own at a price, (inference.6)."""
    chances = answer_chances(task.world, np.exp(log_softmax(task.reference)))
    prompts = np.arange(len(chances))
    before = chances[prompts, task.right]
    best = tilted_chance(before, beta=beta)
    chances *= ((1 - best) / (1 - before))[:, None]  # wrong answers keep their shares
    chances[prompts, task.right] = best
    return _answers(task, "own tables", chances)


def cascade_of_words():
    """The `Errors` of the reference's words, and the `Checks` for each of TRIES."""
    words = unicode_words()
    model = bigram_of(words)
    policy = np.exp(widen(log_softmax(model.logits), 3))
    correct = counts.table(model.vocabulary.encode(words, order=3)) > 0
    world = language(np.zeros(policy.shape))
    rate, steps = error_rate(world, policy, correct), occupancy(world, policy).sum()
    clean, alike = (clean_chances(world, policy, right)[0]
                    for right in (correct, np.full(policy.shape, 1 - rate)))
    errors = Errors(*map(float, (rate, steps, clean, alike, (1 - rate)**steps)))
    found = [checked_steps(world, policy, correct, k) for k in TRIES]
    # n words at most, until one is clean, are 1 + (1 − clean) + … + (1 − clean)^{n−1} on average.
    # So each draw is worth as much, however large n is.
    return errors, [Checks(k, one.clean, one.draws, one.draws / one.clean,
                           found[0].clean * one.draws / found[0].draws,
                           1 - (1 - found[0].clean)**(one.draws / found[0].draws))
                    for k, one in zip(TRIES, found)]


def emerging(seed, sizes):
    """The `Emergence` of models that remember five letters, from few names to all."""
    names = unicode_names()
    vocabulary = from_items(names)
    training, held = held_out(names)
    order = np.random.default_rng(seed).permutation(len(training))
    total = np.cumsum([len(training[i]) + 1 for i in order])  # with their ends
    rows = []
    for letters in (*sizes, int(total[-1])):
        part = [training[i] for i in order[:np.searchsorted(total, letters) + 1]]
        chances = tree(look_up(vocabulary, part, held, order=6), weight=3.0)[-1]
        sums = np.append(0, np.log(chances).cumsum())
        ahead = [float(np.exp(sums[k:] - sums[:-k]).mean()) for k in AHEAD]
        rows.append(Emergence(letters, float(-np.log(chances).mean()), ahead,
                              ahead[0]**AHEAD[-1]))
    return rows


# What is printed.


def attempts_text(found):
    """The three tables of the job."""
    shown = [ATTEMPTS.index(k) for k in (1, 4, 16, 64, 256)]
    lost = [(row.policy, *(row.passes[i] for i in shown), row.majorities[VOTERS.index(8)],
             row.majorities[-1], row.fell, row.lost or "none") for row in found.answers]
    errors = found.errors
    return page(
        "The last letter of a word, asked for by its first: 26 prompts, equally often.",
        in_columns("policy, pass@1, @4, @16, @64, @256, maj@8, @32, fell, lost", lost,
                   (0, 4, 4, 4, 4, 4, 4, 4, 0, 0)),
        f"All exact.  Fell: prompts with a lower chance than under the reference.  Lost: those "
        f"with a chance below {LOST}.  Where all prompts share a table, some are outvoted; "
        f"where each has the best table of its own, at the last beta above, none falls.",
        f"A step that makes three letters in a row which no word has is wrong: {errors.rate:.4f} "
        f"of {errors.steps:.3f} steps per word.  Without a wrong step are {errors.clean:.4f} of "
        f"all words.  If each step were wrong alike it would be {errors.alike:.4f}, and "
        f"{1 - errors.rate:.4f}^{errors.steps:.3f} is {errors.power:.4f}.",
        in_columns("draws of a step, clean, per word, per clean word, whole words, all written",
                   [(f"at most {row.tries:,}", *row[1:]) for row in found.checks],
                   (0, 4, 2, 2, 4, 4)),
        "The draws per word, and per clean word.  Whole words: a clean one for as many draws if "
        "words are given up at their first wrong step, until one is clean.  All written: the same "
        "without stopping at a clean one.",
        in_columns("letters, nats, next 1, next 4, next 16, (next 1)^16",
                   [(row.letters, row.nats, *row.chances, row.power) for row in found.emergence],
                   (0, 3, 4, 4, 4, "{:.1e}".format)),
        "Models that remember five letters, fitted to so many letters of names: nats per letter "
        "held out, and the mean chance to have the next letters all right, over the ends of names "
        "too.")


def _run(arguments, progress, scale=AttemptsScale()):
    return attempt(arguments.seed, progress, scale)


INFERENCE = Job("inference", __doc__, _run, attempts_text, arguments={"seed": SEED},
                draw=lambda figures, found: figures.attempts_figures(found))
