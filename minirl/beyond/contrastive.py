"""What does one learn who only has to tell the right answer from others?

*Part 5.  Previous: `unified`.  Next: `inference`.*

*CLIP* learned from images and captions, and never wrote a caption.  It saw batches of both, and had
to say which belong together.  What does such a *contrastive* learner know in the end, and how much
of it can a batch show?  Image and caption are a state and an action here: a letter, and the next.

**The game.**  K steps (s, a), drawn independently with the chances p(s, a), are a batch.  The
*critic*, not the value table of `actor_critic` but a table f[s, a], says how well an action fits a
state.  Each state is shown the K actions, and the softmax of f gives a chance to each.  The one
drawn with it is its *partner*.  The loss *InfoNCE* is minus the mean log-chance of the partner:

    L = −(1/K) Σ_i log(e^f[s_i, a_i] / Σ_j e^f[s_i, a_j]).                         (contrastive.1)

**In numbers.**  There are two states, two actions, and K = 2.  Where state and action are alike, p
is 3/8 and f log 1.5; elsewhere 1/8 and log 0.5.  In half of the batches both actions are the same,
and a step costs log 2.  In the others f gives the chance 1.5/(1.5 + 0.5) = ¾ to the action like the
state.  This is the partner with the chance ¾, whatever the other action is.  So a step costs
¾ log(4/3) + ¼ log 4 = 0.5623, and over all batches ½ log 2 + ½ · 0.5623 = 0.6277.

>>> joint = np.array([[3, 1], [1, 3]]) / 8
>>> print(round(mean_infonce_loss(np.log(4 * joint), joint, batch_size=2)[0], 4))
0.6277

**A batch is counts.**  Let N[s, a] be how often a step is in the batch, and seen(a) = Σ_s N[s, a].
Gather equal actions in the sum over j, and equal steps in that over i, as in (counts.1):

    L = −(1/K) Σ_{s,a} N[s, a] (f[s, a] − log Σ_b seen(b) e^f[s, b])
      = −(1/K) Σ_{s,a} N[s, a] log π(a|s) + (1/K) Σ_a seen(a) log seen(a),
    π(a|s) ∝ seen(a) e^f[s, a],   G = −N[s, a]/K.                                  (contrastive.2)

This is imitation, (sft.1), at the logits f + log seen, plus a number that does not depend on f.  No
table of K × K is needed.  An action that is not in the batch has the logit −∞ and drops out.

**What it finds.**  Given s and the K actions, in any order, how likely is a_j the partner?  Each is
as likely beforehand.  If it is, what we see has the chance p(s, a_j) Π_{i≠j} p(a_i) =
p(s|a_j) Π_i p(a_i).  So the answer is p(s|a_j)/Σ_k p(s|a_k).  Any other costs more: the entropy of
these chances plus their KL to it, (softmax.5).  The critic is right in all batches, for every
K ≥ 2, if and only if e^f is p(s|a) up to a factor per row.  As p(s|a)/p(s) = p(a|s)/p(a), this is

    f*[s, a] = log(p(a|s)/p(a)) + a constant of the row.                           (contrastive.3)

The logarithm is the *pointwise mutual information* (PMI): how much likelier the action is in s than
overall, in nats.  (Where p(s, a) = 0 it is −∞, and f, which must be finite, only comes near.)  The
PMI is h of (dpo.1) for the policy p(a|s) with the marginal p(a) as the reference, and f* is the
whole reward at β = 1, with log Z as the constant.  The mean of the PMI is the *mutual information*

    I = Σ_{s,a} p(s, a) log(p(s, a)/(p(s) p(a))),                                  (contrastive.4)

how many nats a state tells about its action.  Call log K − L what a batch *shows*.  An endless one
has N = K p and π ∝ p(a) e^f.  It shows Σ p log(π(a|s)/p(a)) = I − Σ_s p(s) KL(p(·|s)‖π(·|s)).

**How much a batch shows.**  Write lift_j for e^f[s, a_j] over the mean of all K.  So log K − L is
the mean of log lift_i, with a_i the partner.  Were s and all actions drawn independently, the K
lifts would be alike by symmetry, each with the mean 1, as they sum to K.  So, for any f chosen
beforehand, p(s) Π_j p(a_j) lift_i is a distribution of batches.  The true one has p(s, a_i) =
p(s) p(a_i) e^PMI in place of p(s) p(a_i) lift_i.  Their KL is E[PMI(s, a_i) − log lift_i], or

    I − (log K − E[L]) ≥ 0.                                                        (contrastive.5)

The mean shows no more than I.  One batch may: if both partners of the example are like their
states, it shows log 2 − log(4/3).  As L ≥ 0, none shows over log K.  At f = PMI the left side is
E[log(1 + more)], more = (1/K) Σ_j e^PMI(s, a_j) − 1.  Call a draw from p(a) *foreign*; it may be
right by luck.  Its e^PMI has the mean Σ_a p(a) p(a|s)/p(a) = 1 and, over all s, the variance χ².
The partner's has the mean 1 + χ², so E[more] = χ²/K, and K − 1 such variances make E[more²] ≈ χ²/K.
As log(1 + more) ≈ more − more²/2, and if K is far above χ², about

    χ²/(2K) is missing,   χ² = Σ_{s,a} p(s, a)²/(p(s) p(a)) − 1.                   (contrastive.6)

**All batches at once.**  For any number > 0, log number = ∫_0^∞ (e^−z − e^(−z · number)) dz/z: both
sides are 0 at 1, with the slope ∫_0^∞ e^(−z · number) dz = 1/number.  In L it is Σ_j e^f[s, a_j],
of the partner and K − 1 independent foreign actions, so the mean of e^(−z · number) is a product:

    E[L] = Σ_{s,a} p(s, a) ∫_0^∞ [e^−z − e^(−z e^f[s, a]) (Σ_b p(b) e^(−z e^f[s, b]))^(K−1)] dz/z
           − Σ_{s,a} p(s, a) f[s, a].                                              (contrastive.7)

A symbol of the reference bigram and the next one, 27 × 27, have I = 0.3392 and χ² = 0.678.  With
f = PMI, batches of 2 and of 64 show 0.1671 and 0.3339 on average.  0.1720 and 0.0053 are missing:
χ²/(2K) is 0.1695 and 0.0053.  One batch of 64 shows 0.33 ± 0.08, one standard deviation.  Gradient
descent on 16,384 of them, at rates from 19.2 to 0, finds an f that shows 99 % of I.

A copy of 27 letters with a tenth of errors has I = 2.645 and χ² = 20.9.  Batches of 8, with the
ceiling log 8 = 2.079, show 1.613 of it, and 1.032 is missing, where (contrastive.6) says 1.305.
The same action in another step is a *false negative*.  It belongs there: the chance of the right
answer counts both.  Without it the lifts need not sum to K, so (contrastive.5) fails.  The example
shows log 2 − ½ · 0.5623 = 0.412, where I is 0.131, and for K > 2 another f is best.

**Both ways, and in few dimensions.**  CLIP also asks for the state of an action.  So f* − PMI is
alike along rows and along columns, and one constant is left for the whole table.  Its critic is a
*dual encoder* of *rank* d: d coordinates i for a state and for an action, and a temperature τ:

    L = ½ [L(f, N) + L(fᵀ, Nᵀ)],   f[s, a] = (1/τ) Σ_{i≤d} left_i(s) right_i(a),   (contrastive.8)
    ∂L/∂left = (1/τ) (∂L/∂f) right,   ∂L/∂right = (1/τ) (∂L/∂f)ᵀ left.             (contrastive.9)

With (contrastive.1) and d = 1, 2, 4, 8, 16, 26, endless batches of letters show 0.460, 0.623,
0.802, 0.937, 0.997 and 1 of I, the best of 13 fits.  (A constant per row is free: 26 numbers hold
27 columns.)  CLIP's vectors have length 1 (`on_sphere`), so |f| ≤ 1/τ.  *word2vec* asks of one
action: partner or *negative sample*?  With k of these per step, drawn by p(a) (there by p(a)^¾),

    L = −Σ_{s,a} [p(s, a) log σ(f) + k p(s) p(a) log σ(−f)],   f* = PMI − log k,  (contrastive.10)

since the slope −p(s, a) σ(−f) + k p(s) p(a) σ(f) is 0 where σ(f)/σ(−f) = e^f is e^PMI/k.

**Exercises.**  `from minirl.beyond.contrastive import *`
1. Each of a hundred states has an action of its own.  How much does a sure critic show, with K = 8?
       shown = np.log(8) - mean_infonce_loss(20 * np.eye(100), np.eye(100), batch_size=8)[0]
       round(shown, 2), round(mutual_information(np.eye(100)), 2)
2. Now all hundred are one batch, and d = 2, on a circle.  How much can this show, with three τ?
       angle, loss = np.arange(100) * np.pi / 50, lambda f: infonce_loss(f, np.eye(100))
       circle = np.tile([np.cos(angle), np.sin(angle)], 2).T
       for t in 1, 1e-2, 1e-4: round(np.log(100) - encoded(loss, 100, temperature=t)(circle)[0], 2)
3. A coin and a die have I = 0.  What does the best critic of one batch show on it, and on new ones?
       best = pointwise_information(batch := np.array([[1, 3, 2, 2, 3, 1], [3, 1, 2, 2, 1, 3]]))
       round(np.log(24) - infonce_loss(best, batch)[0], 3)
       round(np.log(24) - mean_infonce_loss(best, np.ones((2, 6)), batch_size=24)[0], 3)

Read next: `inference`, what more attempts buy.
Source: van den Oord et al. 2018, arXiv:1807.03748; Poole et al. 2019, arXiv:1905.06922; Radford et
al. 2021 (CLIP), arXiv:2103.00020; Mikolov et al. 2013, arXiv:1310.4546; Levy and Goldberg 2014.
"""

import numpy as np

from minirl.kernel import checks
from minirl.kernel.softmax import log_sigmoid, product
from minirl.people.sft import sft_loss

STEP = 0.1  # of the trapezoidal rule; its error falls like e^(−π²/STEP), and that is 1e-43
WIDEST = 1e5  # nats from the highest to the lowest f of a row: a million points of that rule
POINTS_AT_ONCE = 2**20  # numbers in a table (points, A); more of them come one after the other


def infonce_loss(critic, counts):
    """The loss (contrastive.1) of a batch, to be minimised, by (contrastive.2); and its gradient.

    Parameters
    ----------
    critic : (S, A) float
        The table f.
    counts : (S, A) float ≥ 0
        N[s, a]: `counts.table` of the steps of the batch.  The chances p(s, a) stand for a batch of
        endless size; then the loss lacks log K, and is −`mutual_information` at best.

    Returns
    -------
    loss : float
        Nats per step of the batch.
    grad : (S, A) float
        Its rows sum to 0.  An action that is not in the batch has no part in it.

    Examples
    --------
    Two steps in two states.  The critic does not know whose action is whose:

    >>> loss, grad = infonce_loss(np.zeros((2, 3)), np.eye(2, 3))
    >>> print(round(loss, 4), grad[0])
    0.6931 [-0.25  0.25  0.  ]
    """
    critic, counts = _table(critic), _counts(counts)
    checks.shape("counts", counts, critic.shape)
    seen = counts.sum(axis=0)
    here = seen > 0
    loss, slopes = sft_loss(critic[:, here] + np.log(seen[here]), counts[:, here])
    grad = np.zeros(critic.shape, slopes.dtype)
    grad[:, here] = slopes
    return loss + seen[here] @ np.log(seen[here]) / seen.sum(), grad


def symmetric_infonce_loss(critic, counts):
    """CLIP's loss (contrastive.8): half for the action of a state, half for the state of an action.

    Examples
    --------
    >>> loss, grad = symmetric_infonce_loss(np.zeros((2, 3)), np.eye(2, 3))
    >>> print(round(loss, 4), grad[0])
    0.6931 [-0.25  0.25  0.  ]
    """
    critic, counts = _table(critic), _counts(counts)
    (actions, grad), (states, turned) = infonce_loss(critic, counts), infonce_loss(
        critic.T, counts.T)
    return (actions + states) / 2, (grad + turned.T) / 2


def mean_infonce_loss(critic, joint, *, batch_size):
    """The mean (contrastive.7) of `infonce_loss` over all batches of K steps, and its gradient.

    Parameters
    ----------
    critic : (S, A) float
    joint : (S, A) float ≥ 0
        p(s, a), from which the steps of a batch are drawn; it is scaled to sum to 1.
    batch_size : int ≥ 2
        K.

    Examples
    --------
    >>> joint = np.array([[3, 1], [1, 3]])
    >>> loss, grad = mean_infonce_loss(pointwise_information(joint), joint, batch_size=2)
    >>> print(round(loss, 4), abs(grad).max() < 1e-12)
    0.6277 True
    """
    critic, p = _table(critic), _joint(joint)
    checks.shape("joint", p, critic.shape)
    others = float(checks.whole("batch_size", batch_size, 2) - 1)
    if np.ptp(critic.real, axis=1).max() > WIDEST:
        raise ValueError(f"critic must span at most {WIDEST:g} nats in a row, got {critic}")
    marginal, loss, grad = p.sum(axis=0), 0.0, -p.astype(critic.dtype)
    for s, row in enumerate(critic):
        most = row[row.real.argmax()]
        f = row - most
        # From where z K is below the rounding of 1, to where z e^f is large for every f.
        points = np.arange(-38 - np.log(others + 1), 5 - f.real.min(), STEP)[:, None]
        loss = loss + p[s] @ (most - row)
        for log_z in np.array_split(points, 1 + points.size * f.size // POINTS_AT_ONCE):
            size = _held_exp(log_z + f)                   # z e^f, (points, A)
            gone = np.exp(-size)
            each = gone @ marginal[:, None]               # the mean of one other, (points, 1)
            log_each = _log_rest(-np.expm1(-size) @ marginal[:, None], each)
            inside = np.exp(-_held_exp(log_z)) - np.exp(others * log_each - size)
            loss = loss + STEP * inside.sum(axis=0) @ p[s]
            rest = np.exp((others - 1) * log_each)        # the others but one
            share = p[s] * each + others * marginal * (gone @ p[s][:, None])
            grad[s] += STEP * (size * gone * rest * share).sum(axis=0)
    return loss, grad


def negative_sampling_loss(critic, counts, *, negatives=5):
    """The loss (contrastive.10), with k = `negatives` foreign actions per step, drawn by p(a).

    This is word2vec as Levy and Goldberg take it.  Its program draws by q(a) ∝ p(a)^¾, and then
    f* = log(p(s, a)/(p(s) q(a))) − log k.

    Examples
    --------
    >>> loss, grad = negative_sampling_loss(np.zeros((2, 2)), np.eye(2), negatives=1)
    >>> print(round(loss, 4), grad[0])
    1.3863 [-0.125  0.125]
    """
    checks.positive("negatives", negatives)
    critic, p = _table(critic), _joint(counts, "counts")
    checks.shape("counts", p, critic.shape)
    noise = negatives * np.outer(p.sum(axis=1), p.sum(axis=0))
    right, wrong = log_sigmoid(critic), log_sigmoid(-critic)
    return -(p * right + noise * wrong).sum(), noise * np.exp(right) - p * np.exp(wrong)


def encoded(loss, states, *, temperature=1.0):
    """The loss of a critic as one of a dual encoder, (contrastive.9): x -> (value, gradient).

    x (S + A, d) holds the vectors of the `states`, and below them those of the actions.

    Examples
    --------
    >>> total = encoded(lambda critic: (critic.sum(), np.ones((1, 2))), 1, temperature=0.5)
    >>> value, grad = total(np.array([[3.0, 0.0], [1.0, 1.0], [2.0, 0.0]]))
    >>> print(value, grad[0])
    18.0 [6. 2.]
    """
    states = checks.whole("states", states)
    checks.positive("temperature", temperature)

    def total(x):
        left, right = x[:states], x[states:]
        value, slopes = loss(left @ right.T / temperature)
        return value, np.concatenate([slopes @ right, slopes.T @ left]) / temperature

    return total


def on_sphere(loss):
    """A loss of rows of length 1 as one of any rows, which are divided by their lengths.

    Examples
    --------
    >>> value, grad = on_sphere(lambda unit: (unit.sum(), np.ones(unit.shape)))(np.array([[3., 4]]))
    >>> print(round(value, 4), grad.round(4))
    1.4 [[ 0.032 -0.024]]
    """
    def total(x):
        length = np.sqrt((x * x).sum(axis=1, keepdims=True))
        if not (length.real > 0).all():
            raise ValueError(f"x must have rows of positive length, got {x}")
        unit = x / length
        value, slopes = loss(unit)
        return value, (slopes - unit * (slopes * unit).sum(axis=1, keepdims=True)) / length

    return total


def pointwise_information(joint):
    """log p(s, a)/(p(s) p(a)), (S, A) in nats: −∞ where p(s, a) is 0, and 0 if a marginal is too.

    Examples
    --------
    >>> print(pointwise_information([[3, 1], [1, 3]]).round(4))
    [[ 0.4055 -0.6931]
     [-0.6931  0.4055]]
    """
    p = _joint(joint)
    rows, columns = p.sum(axis=1, keepdims=True), p.sum(axis=0)
    policy = np.divide(p, rows, where=rows > 0, out=np.zeros(p.shape))
    found = np.log(policy, where=policy > 0, out=np.full(p.shape, -np.inf))
    found -= np.log(columns, where=columns > 0, out=np.zeros(columns.shape))
    return np.where((rows > 0) & (columns > 0), found, 0)


def mutual_information(joint):
    """I of (contrastive.4), in nats.

    Examples
    --------
    >>> print(round(mutual_information([[3, 1], [1, 3]]), 4))
    0.1308
    """
    return float(product(_joint(joint), pointwise_information(joint)).sum())


def chi_square(joint):
    """χ² of (contrastive.6): how far p(s, a) is from p(s) p(a).

    Examples
    --------
    >>> print(chi_square([[3, 1], [1, 3]]))
    0.25
    """
    return float(product(_joint(joint), np.expm1(pointwise_information(joint))).sum())


def chance_right(critic, joint, *, batch_size):
    """The chance that the partner has the highest f of K actions; of equal ones one by lot.

    Examples
    --------
    >>> joint = np.array([[3, 1], [1, 3]])
    >>> for critic in pointwise_information(joint), np.zeros((2, 2)):
    ...     print(chance_right(critic, joint, batch_size=2))
    0.625
    0.5
    """
    critic, p = _table(critic), _joint(joint)
    checks.shape("joint", p, critic.shape)
    K, marginal = float(checks.whole("batch_size", batch_size)), p.sum(axis=0)
    above, below, same = (compare(critic[:, None, :], critic[:, :, None]) @ marginal  # (S, A)
                          for compare in (np.greater, np.less, np.equal))
    least = np.where(same > 0, below + same, 1)
    # (below + same)^K − below^K, which is K same times the chance that a wins.
    wins = -np.exp(K * _log_rest(above, least)) * np.expm1(
        K * _log_rest(same / least, below / least))
    return float((p * np.divide(wins, K * same, where=same > 0, out=np.zeros(p.shape))).sum())


def _log_rest(less, rest):
    """log(1 − less), where `rest` is 1 − less up to rounding; 1e-300 stands for a rest of 0.

    A rest near 1 knows itself to 16 digits, but not how much less than 1 it is.
    """
    small = less.real < 0.9
    return np.where(small, np.log1p(-np.where(small, less, 0)),
                    np.log(np.where(rest == 0, 1e-300, rest)))


def _held_exp(x):
    """e^x, but no more than e^7: e^(−e^7) is 0."""
    return np.exp(np.where(x.real < 7, x, 7))


def _table(critic):
    critic = checks.floats("critic", critic)
    checks.finite("critic", critic)
    if critic.ndim != 2:
        raise ValueError(f"critic must be a table (S, A), got shape {critic.shape}")
    return critic


def _counts(counts, name="counts"):
    counts = checks.weights(name, counts, np.shape(counts))
    with np.errstate(over="ignore"):
        total = counts.sum()
    if counts.ndim != 2 or not 0 < total < np.inf:
        raise ValueError(
            f"{name} must be a table (S, A) and not all zero, with a finite sum, got {counts}")
    return counts


def _joint(joint, name="joint"):
    joint = _counts(joint, name)
    return joint / joint.sum()
