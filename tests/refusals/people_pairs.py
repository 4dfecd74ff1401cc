"""What learning from preferences refuses."""

from functools import partial

import numpy as np
from languages import all_strings, as_steps, pairs_of
from refusals import fraction, not_negative, outside, positive, row, whole
from scipy import sparse

from minirl.exact.evaluation import NoEnd
from minirl.kernel import counts
from minirl.people.calibration import accuracy, best_accuracy, calibration, reward_error
from minirl.people.dpo import dpo_loss, fit_dpo, logistic, preference_metrics
from minirl.people.existence import (covariance, existence, flat_directions, nearest,
                                     verdict)
from minirl.people.fitting import attracted, minimise, minimise_near
from minirl.people.ipo import fit_ipo, ipo_in_squares, ipo_loss, squared
from minirl.people.kto import fit_kto, kto_loss
from minirl.people.margins import (alpha_divergence, aot_loss, aot_unpaired_loss, apo_down,
                                   apo_zero, bco, coupled, discopop, exo, exponential,
                                   fit_margins, forward_kl, hinge, margin_loss, nca, robust, savage,
                                   sppo, truncated_squared, under, wanted_lead)
from minirl.people.orpo import fit_orpo, odds, orpo_loss
from minirl.people.pairs import (COUNTS, MEANS, Pairs, check_matrix, choices, reward_margins,
                                 shares)
from minirl.people.reward_model import (bradley_terry_loss, fit_reward_model, logistic_loss,
                                        plackett_luce_loss, squared_loss)
from minirl.people.simpo import fit_simpo, simpo_loss
from minirl.people.unified import (dpo_coefficients, gradient, grpo_coefficients,
                                   ppo_coefficients)
from toy_lm.ngram import language

ZEROS = np.zeros((3, 3))
STRINGS = all_strings(2, 4)
PAIRS = pairs_of([STRINGS[i] for i in (4, 9, 2)], [STRINGS[i] for i in (5, 1, 17)])
STEPS, NONE = PAIRS.chosen, PAIRS.select(np.arange(0))
D, (X, Y), (M, N) = PAIRS.difference, PAIRS.counts, PAIRS.means
TWO = counts.select(STEPS, np.arange(2))
PULLED = {"beta": 1.0, "pull": 1.0}
NEVER = np.eye(3)[[1, 1, 1]]  # a policy that never ends

LOSSES = {  # by the keyword arguments that they have in common
    "dpo": lambda logits=ZEROS, ref=ZEROS, m=D, **options: dpo_loss(
        logits, ref, m, **{"beta": 1.0, **options}),
    "ipo": lambda logits=ZEROS, ref=ZEROS, m=D, **options: ipo_loss(
        logits, ref, m, **{"beta": 1.0, **options}),
    "simpo": lambda logits=ZEROS, plus=M, minus=N, **options: simpo_loss(
        logits, plus, minus, **{"beta": 1.0, "simpo_gamma": 1.0, **options}),
    "orpo": lambda logits=ZEROS, plus=M, minus=N, **options: orpo_loss(
        logits, plus, minus, **{"beta": 1.0, **options}),
    "kto": lambda logits=ZEROS, ref=ZEROS, plus=X, minus=Y, **options: kto_loss(
        logits, ref, plus, minus, **{"beta": 1.0, "z0": 0.5, **options})}
FITS = {
    "dpo": lambda ref=ZEROS, pairs=PAIRS, **options: fit_dpo(ref, pairs, **{**PULLED, **options}),
    "ipo": lambda ref=ZEROS, pairs=PAIRS, **options: fit_ipo(ref, pairs, **{**PULLED, **options}),
    "simpo": lambda ref=ZEROS, pairs=PAIRS, **options: fit_simpo(
        ref, pairs, **{**PULLED, "simpo_gamma": 1.0, **options}),
    "orpo": lambda ref=ZEROS, pairs=PAIRS, **options: fit_orpo(ref, pairs, **{**PULLED, **options}),
    "kto": lambda ref=ZEROS, pairs=PAIRS, **options: fit_kto(
        ref, pairs, **{**PULLED, "divergence": lambda logits: 0.0, **options}),
    "reward_model": lambda ref=ZEROS, pairs=PAIRS, **options: fit_reward_model(
        ref, pairs, **{"pull": 1.0, **options})}
WRONG_SHARES = ["a", [1, None, 2], np.ones(2), np.ones((3, 1)), np.ones(()), np.zeros(3),
                np.array([1, -1, 3.0]), np.array([1, np.nan, 3.0]), np.array([1, np.inf, 3.0])]


def one_is(value):
    """A table of zeros but for one entry."""
    table = ZEROS.copy()
    table[1, 2] = value
    return table


def common(method):
    """The rows of a loss and its fit that they share with others."""
    loss, fit = LOSSES.get(method), FITS[method]
    yield from not_negative("pull", lambda pull: fit(pull=pull))
    for wrong in (D, X, [STEPS, STEPS]):
        yield row(lambda wrong=wrong: fit(pairs=wrong), "pairs must be Pairs",
                  f"got {type(wrong).__name__}")
    yield row(lambda: fit(pairs=NONE), "must be at least one over a table of shape (3, 3), got 0")
    for shape in ((2, 3), (9, 1)):
        yield row(lambda shape=shape: fit(ref=np.zeros(shape)),
                  f"must be at least one over a table of shape {shape}, got 3 over (3, 3)")
    if not loss:
        return
    # Pitfall 12: at 0 nothing would be learned, without a word.
    yield from positive("beta", lambda beta: loss(beta=beta))
    yield from positive("beta", lambda beta: fit(beta=beta))
    for value in (np.inf, np.nan):
        yield row(lambda value=value: loss(logits=one_is(value)), "logits must be finite or −∞")
        yield row(lambda value=value: fit(ref=one_is(value)), "logits must be finite or −∞")
        if method in ("dpo", "ipo", "kto"):
            yield row(lambda value=value: loss(ref=one_is(value)), "ref_logits must be finite or")
    never = "must have no step that the policy never takes, got action 2 in state 1"
    yield row(lambda: fit(ref=one_is(-np.inf)), never)
    if method in ("simpo", "orpo"):
        yield row(lambda: loss(logits=one_is(-np.inf)), never)
        for shape in (9,), (1, 3, 3):
            yield row(lambda shape=shape: loss(logits=np.zeros(shape)),
                      f"logits must be a table (S, A), got shape {shape}")
        for side in "chosen", "rejected":
            rows = {"plus": np.eye(9)[[0] * 3], "minus": np.eye(9)[[0] * 3],
                    {"chosen": "plus", "rejected": "minus"}[side]: np.eye(9)[[5] * 3]}
            yield row(lambda rows=rows: loss(logits=one_is(-np.inf), **{
                name: sparse.csr_array(table) for name, table in rows.items()}), f"{side} {never}")
    else:
        yield row(lambda: loss(logits=one_is(-np.inf), ref=one_is(-np.inf)), never)
        for side in ("chosen", "rejected") if method == "kto" else ():
            rows = {name: sparse.csr_array(np.eye(9)[[5 * (name == side)] * 3])
                    for name in ("chosen", "rejected")}
            yield row(lambda rows=rows: loss(
                logits=one_is(-np.inf), ref=one_is(-np.inf), plus=rows["chosen"],
                minus=rows["rejected"]), f"{side} {never}")
        for tables in {"logits": one_is(-np.inf)}, {"ref": one_is(-np.inf)}:
            yield row(lambda tables=tables: loss(**tables),
                      "logits and ref_logits must be −∞ in the same places, got")
        for shape in ((2, 3), (1, 3), (3, 1), (3,)):
            yield row(lambda shape=shape: loss(ref=np.zeros(shape)),
                      f"ref_logits must have shape (3, 3), got {shape}")
    if method != "kto":
        for q in WRONG_SHARES:
            yield row(lambda q=q: loss(pair_weights=q), "pair_weights must ")


def matrices(call, name, own):
    """The rows of one matrix of a loss: none, too narrow, dense, and `Pairs`."""
    for wrong in (own[:0], own[:, :4]):
        yield row(lambda wrong=wrong: call(wrong), f"{name} must be (", ", 9), B > 0, for a table "
                  f"of shape (3, 3), got {wrong.shape}")
    for wrong in (own.toarray(), PAIRS):
        yield row(lambda wrong=wrong: call(wrong), f"{name} must be a sparse matrix: ",
                  f"got {type(wrong).__name__}")


def means(loss):
    """The rows of M⁺ and M⁻, either of which may be wrong."""
    holed, crooked = M.copy(), sparse.csr_array([[1.5, -0.5, *[0.0] * 7], *np.eye(9)[:2]])
    holed.data[0] = np.nan
    for name, call in (("chosen", lambda rows: loss(plus=rows)),
                       ("rejected", lambda rows: loss(minus=rows))):
        yield from matrices(call, name, M)
        forms = (form(crooked) for form in (sparse.csr_array, sparse.csc_array, sparse.coo_array))
        for wrong, least, most in ((X, 0, 1), (holed, "nan", "nan"), (0 * M, 0, 0),
                                   *((form, -0.5, 1.5) for form in forms)):
            yield row(lambda wrong=wrong, call=call: call(wrong), f"{name} must be not negative, "
                      f"with rows that sum to 1 (Pairs.means), got entries from {least} to {most}")
    yield row(lambda: loss(minus=N[:2]), "rejected must be (3, 9), B > 0, for a table",
              "got (2, 9)")


def smoothed(call):
    """The rows of label smoothing."""
    return outside("label_smoothing", call, (-0.1, 0.5, np.nan, None, "0"), "[0, 0.5)")


LOGISTIC = partial(logistic, beta=1.0)


def margins():
    """The rows of the functions of margins, and of their φ."""
    for name in "values", "others", "weights":
        for wrong in [0.5], [np.nan, 0.5]:
            given = dict.fromkeys(("values", "others", "weights"), np.array([0.5, 0.5]))
            yield row(lambda given=given | {name: np.array(wrong)}: coupled(**given), "must ")
    for loss in (margin_loss, aot_loss, aot_unpaired_loss):
        for q in WRONG_SHARES:
            yield row(lambda q=q, loss=loss: loss(ZEROS, ZEROS, PAIRS, LOGISTIC, pair_weights=q),
                      "pair_weights must ")
    for run in (margin_loss, aot_loss, aot_unpaired_loss, partial(fit_margins, pull=1.0)):
        def call(pairs=PAIRS, logits=ZEROS, ref=ZEROS, run=run):
            tables = (ref,) if isinstance(run, partial) else (logits, ref)
            return run(*tables, pairs, LOGISTIC)

        for wrong in (STEPS, X.toarray(), [X, Y], (X, Y, X)):
            yield row(lambda wrong=wrong, call=call: call(wrong), "pairs must be a sparse matrix",
                      f"got {type(wrong).__name__}")
        yield row(lambda call=call: call(X), "pairs must be counts less counts, some of them neg")
        yield row(lambda call=call: call((X, Y)), "chosen must be not negative, with rows that sum")
        yield row(lambda call=call: call((M, N[:2])), "rejected must be (3, 9), B > 0")
        yield row(lambda call=call: call(NONE), "pairs.plus must be (B, 9), B > 0, for a table")
        for pairs, name in ((PAIRS, "pairs"), (PAIRS.means, "chosen")):
            yield row(lambda call=call, pairs=pairs: call(pairs, one_is(-np.inf), one_is(-np.inf)),
                      f"{name} must have no step that the policy never takes, got action 2 in ")
        yield row(lambda call=call: call(ref=one_is(np.nan)), "ref_logits must be finite or −∞")
        if run in (aot_loss, aot_unpaired_loss):
            yield row(lambda call=call: call(D), "pairs must be Pairs, or its counts or means, got")
    for phi in (logistic, squared, odds, hinge, truncated_squared, exponential, discopop, nca, bco,
                savage, sppo, apo_zero, apo_down, partial(robust, label_smoothing=0.1), exo):
        yield from positive("beta", lambda beta, phi=phi: phi(-0.1, -0.1, beta=beta))
    yield from smoothed(lambda value: robust(0.0, 0.0, beta=1.0, label_smoothing=value))
    yield from smoothed(lambda value: exo(0.0, 0.0, beta=1.0, label_smoothing=value))
    yield from smoothed(lambda value: logistic(0.0, 0.0, beta=1.0, label_smoothing=value))
    yield row(lambda: exo(0.0, 0.0, beta=1.0, label_smoothing=0), "label_smoothing must be above 0")
    apart = [nca, bco, sppo, apo_zero, apo_down, partial(bco, delta=0.5)]
    for phi in [*(partial(phi, beta=1.0) for phi in apart),
                under(forward_kl, LOGISTIC), under(forward_kl, partial(hinge, beta=2.0))]:
        for call in (lambda phi: margin_loss(ZEROS, ZEROS, D, phi),
                     lambda phi: aot_loss(ZEROS, ZEROS, PAIRS, phi),
                     lambda phi: wanted_lead(phi, 0.9)):
            yield row(lambda call=call, phi=phi: call(phi), "phi must depend on h⁺ − h⁻ alone")
    yield from positive("discopop_tau", lambda x: discopop(0.0, 0.0, beta=1.0, discopop_tau=x))
    yield from positive("alpha", lambda alpha: alpha_divergence(0.0, alpha=alpha))
    yield row(lambda: bco(0.0, 0.0, beta=1.0, delta=np.inf), "delta must be finite")
    yield from fraction("wins", lambda wins: wanted_lead(LOGISTIC, wins))
    yield row(lambda: wanted_lead(partial(discopop, beta=1.0), 0.9), "phi must fall at 0, got th")
    yield from not_negative("pull", lambda pull: fit_margins(ZEROS, PAIRS, LOGISTIC, pull=pull))


def one_each(strings, name, call):
    """The rows of a weight for all or one per string, of which a part may be wrong."""
    partly = [np.append(np.ones(strings - 1), value) for value in (-1e-3, np.nan, np.inf)]
    for wrong in (-1.0, np.nan, np.inf, np.ones(strings + 1), np.ones((strings, 1)), *partly):
        yield row(lambda wrong=wrong: call(wrong), f"{name} must be finite and not negative, one "
                  f"for all or one per string, {strings}, got {wrong}")


def told(**options):
    """Coefficients of GRPO."""
    return grpo_coefficients(**{"logits": ZEROS, "old_logits": ZEROS, "steps": STEPS,
                                "advantages": np.ones(STEPS.index.size), "ref_logits": ZEROS,
                                "beta": 1.0, **options})


def clipped(**options):
    """Coefficients of PPO."""
    return ppo_coefficients(**{"logits": ZEROS, "old_logits": ZEROS, "steps": STEPS,
                               "advantages": np.ones(STEPS.index.size), **options})


def bowl(x):
    return (x * x).sum(), 2 * x


ROWS = {
    "fitting": [
        *not_negative("pull", lambda pull: minimise_near(bowl, ZEROS, pull=pull, examples=3)),
        row(lambda: minimise_near(bowl, ZEROS, pull=-1e-12, examples=3), "pull", "got -1e-12"),
        *whole("examples", lambda n: minimise_near(bowl, ZEROS, pull=1.0, examples=n), 3),
        *whole("max_iterations", lambda n: minimise(bowl, ZEROS + 1, max_iterations=n), 5),
        *not_negative("weight", lambda weight: attracted(bowl, ZEROS, weight)),
        *(row(lambda wrong=wrong: attracted(bowl, one_is(wrong), 1.0),
              "centre must be finite or −∞, got") for wrong in (np.nan, np.inf)),
        row(lambda: attracted(bowl, ZEROS[:1], 1.0)(ZEROS), "centre must have shape (3, 3), got"),
        *(problem for call in (lambda tol: minimise(bowl, ZEROS, tol=tol),
                               lambda tol: fit_reward_model(ZEROS, PAIRS, pull=1.0, tol=tol))
          for problem in positive("tol", call)),
        *(row(lambda wrong=wrong: minimise(bowl, wrong), "start must ")
          for wrong in ([-np.inf], [0.0, None], "a", [])),
        *(row(lambda wrong=wrong: minimise(bowl, ZEROS, curvature=wrong),
              "curvature must be finite, not negative and of shape (3, 3), got")
          for wrong in (np.ones(9), np.ones((3, 2)), one_is(np.nan), one_is(np.inf), one_is(-1.0))),
    ],
    "pairs": [
        row(lambda: Pairs(X, STEPS), "chosen must be Steps, got csr_array"),
        row(lambda: Pairs(STEPS, X), "rejected must be Steps, got csr_array"),
        row(lambda: Pairs(STEPS, TWO),
            "rejected must be as many strings as chosen, 3 over (3, 3), got 2 over (3, 3)"),
        row(lambda: Pairs(STEPS, as_steps(STRINGS[:3], 4)),
            "chosen, 3 over (3, 3), got 3 over (4, 4)"),
        row(lambda: PAIRS + 3, "others must be Pairs, got int"),
        *whole("actions", lambda actions: choices([1, 0], [0, 1], actions).difference, 3),
        row(lambda: PAIRS.select(np.array([3])), "rows must lie in [0, 3), got [3, 3]"),
        row(lambda: PAIRS + pairs_of(STRINGS[:1], STRINGS[1:2], 4), "parts must be steps over one"),
        row(lambda: check_matrix("X", X[:2], np.zeros((3, 4)), COUNTS),
            "X must be (B, 12), B > 0, for a table of shape (3, 4), got (2, 9)"),
        row(lambda: check_matrix("M", sparse.csr_array((2, 9)), ZEROS, MEANS), "from 0 to 0"),
        *matrices(lambda rows: reward_margins(rows, ZEROS), "difference", D),
        *(row(lambda wrong=wrong: reward_margins(D, wrong), f"table must be {words}")
          for wrong, words in ((one_is(np.nan), "finite"), (one_is(np.inf), "finite"),
                               ([["a"]], "an array of numbers"))),
        *(row(lambda q=q: shares(q, 3), "pair_weights must ") for q in WRONG_SHARES),
    ],
    "reward_model": [
        *common("reward_model"),
        *(row(lambda wrong=wrong, shape=shape: fit_reward_model(np.zeros(shape), wrong, pull=1.0),
              f"data must be at least one over a table of shape {shape}")
          for wrong, shape in ((NONE.chosen, (3, 3)), (STEPS, (3, 2)), (STEPS, (9, 1)))),
        *matrices(lambda rows: bradley_terry_loss(ZEROS, rows), "difference", D),
        *(row(lambda loss=loss, wrong=wrong: loss(wrong), f"reward_table must be {words}")
          for loss in (lambda w: bradley_terry_loss(w, D), lambda w: plackett_luce_loss(w, X, 3),
                       lambda w: logistic_loss(w, X, np.ones(3)),
                       lambda w: squared_loss(w, X, np.ones(3)))
          for wrong, words in ((one_is(np.nan), "finite"), (one_is(-np.inf), "finite"),
                               ([["a", "b"]], "an array of numbers"), ([], "an array of numbers"))),
        row(lambda: fit_reward_model(one_is(np.nan), PAIRS, pull=1.0), "table must be finite"),
        row(lambda: fit_reward_model("0", PAIRS, pull=1.0), "table must be an array of numbers"),
        row(lambda: bradley_terry_loss(ZEROS, 0 * X), "difference must be counts less counts, some "
            "of them negative (Pairs.difference or Pairs.counts), got entries from 0 to 0"),
        *matrices(lambda rows: plackett_luce_loss(ZEROS, rows, 3), "strings", X),
        *matrices(lambda rows: logistic_loss(ZEROS, rows, np.zeros(3)), "strings", X),
        *matrices(lambda rows: squared_loss(ZEROS, rows, np.zeros(3)), "strings", X),
        *(row(lambda margin=margin: bradley_terry_loss(ZEROS, D, margin=margin),
              "margin must be ")
          for margin in ("a", None, [0, None, 0], np.nan, np.inf,
                         np.array([0, np.inf, 0]), np.array([0, 0, np.nan]))),
        *(row(lambda shape=shape: bradley_terry_loss(ZEROS, D, margin=np.zeros(shape)),
              f"margin must be one for all or one per pair, of shape (3,), got shape {shape}")
          for shape in ((2,), (3, 1))),
        *smoothed(lambda epsilon: bradley_terry_loss(ZEROS, D, label_smoothing=epsilon)),
        *(row(lambda q=q: bradley_terry_loss(ZEROS, D, pair_weights=q), "pair_weights must ")
          for q in WRONG_SHARES),
        *whole("num_generations", lambda K: plackett_luce_loss(ZEROS, X, K), 3, least=2),
        row(lambda: plackett_luce_loss(ZEROS, X, 2),
            "num_generations must divide the number of strings, 3, got 2"),
        *(row(lambda wrong=wrong: logistic_loss(ZEROS, X, np.array(wrong, float)),
              "labels must ")
          for wrong in ([0, 1], [0, 1, 1.1], [0, -0.1, 1], [0, np.nan, 1])),
        row(lambda: squared_loss(ZEROS, X, np.ones(2)), "scores must have shape (3,), got (2,)"),
        row(lambda: squared_loss(ZEROS, X, np.array([0, np.inf, 1])),
            "scores must be finite, got [ 0. inf  1.]"),
    ],
    "existence": [
        *(row(lambda call=call, wrong=wrong: call(np.array([[1.0, wrong]])), "D must be finite")
          for call in (existence, flat_directions) for wrong in (np.nan, np.inf)),
        *(row(lambda call=call, wrong=wrong: call(wrong), "D must be a")
          for call in (existence, flat_directions) for wrong in (np.ones(3), [["a"]], 1.0, None)),
        *(row(lambda x=x, centre=centre: nearest(lambda x: (0.0, 0 * x), x, centre), said)
          for x, centre, said in ((np.zeros(2), np.zeros(1), "x must have shape (1,), got (2,)"),
                                  (np.array([np.nan]), np.zeros(1), "x must be finite"),
                                  (np.zeros(1), np.array([np.inf]), "centre must be finite"))),
        row(lambda: verdict(existence(np.eye(3)), "AB"), "names must be 3, one per column, got 2"),
        row(lambda: existence(choices([0], [1], 2)), "`.difference` of Pairs", "got Pairs"),
        *whole("examples", lambda B: covariance(lambda x: (0.0, 2 * x), np.ones(2), examples=B,
                                                pull=0), 3),
        *not_negative("pull", lambda pull: covariance(lambda x: (0.0, 2 * x), np.ones(2),
                                                      examples=3, pull=pull)),
    ],
    "calibration": [
        *(row(lambda measure=measure, wrong=wrong: measure(wrong), "margins must be",
              f"got {wrong}") for measure in (accuracy, calibration, best_accuracy)
          for wrong in (np.zeros((2, 2)), np.array([1.0, np.nan]), np.array([np.inf]), 2.0, [])),
        *positive("temperature", lambda tau: best_accuracy(np.ones(2), temperature=tau)),
        *whole("bins", lambda bins: calibration(np.ones(2), bins=bins), 3),
        *(row(lambda shape=shape: reward_error(language(ZEROS), ZEROS + 1 / 3, np.zeros(shape)),
              f"reward_table must have shape (3, 3), got {shape}")
          for shape in ((3, 2), (1, 3), (3, 1), ())),  # would be spread over the whole table
        *(row(lambda value=value: reward_error(language(ZEROS), ZEROS + 1 / 3, one_is(value)),
              "reward_table must be finite") for value in (np.nan, np.inf)),
        row(lambda: reward_error(language(ZEROS), NEVER, ZEROS), "never ends", kind=NoEnd),
    ],
    "dpo": [
        *common("dpo"),
        *matrices(lambda rows: LOSSES["dpo"](m=rows), "difference", D),
        *smoothed(lambda epsilon: LOSSES["dpo"](label_smoothing=epsilon)),
        *smoothed(lambda epsilon: FITS["dpo"](label_smoothing=epsilon)),
        *positive("beta", lambda beta: preference_metrics(ZEROS, ZEROS, PAIRS, beta=beta)),
        *(row(lambda shape=shape: preference_metrics(ZEROS, np.zeros(shape), PAIRS, beta=1.0),
              f"ref_logits must have shape (3, 3), got {shape}")
          for shape in ((2, 3), (1, 3), (3, 1), (3,))),
        *(row(lambda table=table, wrong=wrong: preference_metrics(table, table, wrong, beta=1.0),
              "pairs must be at least one over a table of shape")
          for table, wrong in ((ZEROS, NONE), (ZEROS[:2], PAIRS))),
        row(lambda: preference_metrics(ZEROS, ZEROS, D, beta=1.0), "pairs must be Pairs, got csr"),
        *(row(lambda call=call, two=two: call(one_is(-np.inf), one_is(-np.inf), two, beta=1.0),
              "pairs must have no step that the policy never takes, got action 2 in state 1")
          for call in (preference_metrics, dpo_coefficients)
          for two in (PAIRS, Pairs(PAIRS.rejected, PAIRS.chosen))),
    ],
    "ipo": [
        *common("ipo"),
        *matrices(lambda rows: LOSSES["ipo"](m=rows), "difference", D),
        *positive("beta", lambda beta: ipo_in_squares(ZEROS, PAIRS, beta=beta)),
        row(lambda: ipo_in_squares(ZEROS[:2], PAIRS, beta=1.0), "(3, 3)", "(2, 3)"),
        row(lambda: ipo_in_squares(one_is(-np.inf), PAIRS, beta=1.0),
            "pairs must have no step that the policy never takes"),
        row(lambda: ipo_loss(ZEROS, ZEROS, D, 1.0), "takes 3 positional", kind=TypeError),
        row(lambda: fit_ipo(ZEROS, PAIRS, beta=1.0), "pull", kind=TypeError),
    ],
    "kto": [
        *common("kto"),
        *matrices(lambda rows: LOSSES["kto"](plus=rows), "chosen", X),
        *matrices(lambda rows: LOSSES["kto"](minus=rows), "rejected", Y),
        *not_negative("z0", lambda z0: LOSSES["kto"](z0=z0)),
        *(problem for name in ("desirable_weight", "undesirable_weight")
          for run in (LOSSES["kto"], FITS["kto"])
          for problem in one_each(3, name, lambda wrong, name=name, run=run: run(**{name: wrong}))),
        *(row(lambda wrong=wrong: FITS["kto"](pairs=wrong), "must be Steps, got csr_array")
          for wrong in ((STEPS, X), (X, STEPS))),
        *(row(lambda wrong=wrong: FITS["kto"](pairs=wrong), "pairs must be Pairs or two Steps, got")
          for wrong in ((STEPS,), STEPS)),
        row(lambda: FITS["kto"](pairs=(STEPS, NONE.chosen)), "rejected must be at least one"),
        *whole("max_rounds", lambda rounds: FITS["kto"](max_rounds=rounds), 3),
        *positive("tol", lambda tol: FITS["kto"](tol=tol)),
    ],
    "simpo": [
        *common("simpo"), *means(LOSSES["simpo"]),
        *not_negative("simpo_gamma", lambda gamma: LOSSES["simpo"](simpo_gamma=gamma)),
        *not_negative("simpo_gamma", lambda gamma: FITS["simpo"](simpo_gamma=gamma)),
    ],
    "orpo": [*common("orpo"), *means(LOSSES["orpo"])],
    "margins": [*margins()],
    "unified": [
        row(lambda: gradient(ZEROS[:2], STEPS, np.ones(9), np.ones(3)),
            "logits must have shape (3, 3), got (2, 3)"),
        *(row(lambda c=c: gradient(ZEROS, STEPS, c, np.ones(3)),
              f"coefficients must have shape (9,), got {c.shape}")
          for c in (np.ones(10), np.float64(1))),
        *(row(lambda w=w: gradient(ZEROS, STEPS, np.ones(9), w),
              f"weights must have shape (3,), got {w.shape}")
          for w in (np.ones(4), np.ones((3, 1)))),
        *positive("beta", lambda beta: dpo_coefficients(ZEROS, ZEROS, PAIRS, beta=beta)),
        row(lambda: dpo_coefficients(ZEROS, ZEROS[:1], PAIRS, beta=1.0),
            "ref_logits must have shape (3, 3), got (1, 3)"),
        row(lambda: dpo_coefficients(ZEROS[:2], ZEROS[:2], PAIRS, beta=1.0),
            "pairs must be at least one over a table of shape (2, 3), got 3 over (3, 3)"),
        *(problem for run in (clipped, told) for problem in (
            row(lambda run=run: run(advantages=np.ones(10)),
                "advantages must have shape (9,), got (10,)"),
            row(lambda run=run: run(advantages=np.array([*[1.0] * 8, np.nan])),
                "advantages must be finite, got", "(entry 8 is nan)"),
            row(lambda run=run: run(old_logits=ZEROS[:1]),
                "old_logits must have shape (3, 3), got (1, 3)"),
            row(lambda run=run: run(logits=ZEROS[:2]),
                "logits must have shape (3, 3), got (2, 3)"))),
        *positive("clip_range", lambda width: clipped(clip_range=width), finite=False),
        *not_negative("beta", lambda beta: told(beta=beta)),
        *positive("epsilon", lambda epsilon: told(epsilon=epsilon)),
        row(lambda: told(ref_logits=ZEROS[:1]), "ref_logits must have shape (3, 3), got (1, 3)"),
    ],
}
