"""What if the policy's own log-probability is the reward, and there is no reference?

*Part 4.  Previous: `kto`.  Next: `orpo`.*

DPO, IPO and KTO compare π with a reference.  That costs a second table, or in a large model a
second network.  Besides, they rank strings by π/π_ref, while what is written is up to π alone.
*Simple preference optimisation*, SimPO, leaves the reference out.  First see what the reference did
in `dpo`, where the margin is a difference of log-ratios h = log π − log π_ref:

    the reference                                in its place, in SimPO
    takes the length out: a long string is       the mean log-probability per step,
    unlikely for π and for π_ref alike           in the place of the sum
    says where zero is: at the start h = 0,      a *lead* by which the chosen string is to be
    and the chosen string is to do better        ahead, in the place of a better h
    holds π where no pair says anything          nothing

So the reward of a string is β times the mean of log π over its |y| steps, the end included, and a
`lead` is subtracted from the margin (γ in the paper, `simpo_gamma` in code):

    L = −(1/B) Σ_i log σ(m_i − lead),   m_i = β [log π(y⁺_i)/|y⁺_i| − log π(y⁻_i)/|y⁻_i|]. (simpo.1)

The lead stands beside β, not inside it: it is in units of reward, and lead/β is in nats per step.

**Two strings.**  "abab" was preferred to "ab".  The policy is that of `counts`: start→a, a→b and
b→end have the chance ½, and b→a has ¼.  So "abab" has −log 64 = −4.159 nats in five steps and "ab"
has −log 8 = −2.079 in three.  With β = 2 and a lead of 1,

    means      −4.159/5 = −0.832   and   −2.079/3 = −0.693
    margin     m = 2 (−0.832 + 0.693) = −0.277
    loss       −log σ(−0.277 − 1) = log(1 + e^1.277) = 1.523

>>> import numpy as np
>>> from minirl.kernel import counts
>>> from minirl.people.pairs import Pairs
>>> pairs = Pairs(counts.steps([0, 1, 2, 1, 2], [1, 2, 1, 2, 0], [0, 5], (3, 3)),
...               counts.steps([0, 1, 2], [1, 2, 0], [0, 3], (3, 3)))
>>> logits = np.log([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]])
>>> loss, grad = simpo_loss(logits, *pairs.means, beta=2.0, simpo_gamma=1.0)
>>> print(round(loss, 3))
1.523

**The gradient.**  With M⁺ and M⁻, the rows of (counts.4), the margins are m = β (M⁺ − M⁻) log π.
The derivative of −log σ(m − lead) in m is −σ(lead − m), as in (reward_model.2).  That of m in log π
is β times the row of M⁺ − M⁻.  So

    G = ∂L/∂log π = −(β/B) (M⁺ − M⁻)ᵀ σ(lead − m).                                         (simpo.2)

In the example β σ(lead − m) = 2 σ(1.277) = 1.564.  What it multiplies is

    step              start→a           a→b               b→a        b→end
    M⁺ − M⁻           ⅕ − ⅓ = −2/15     ⅖ − ⅓ = 1/15      ⅕          ⅕ − ⅓ = −2/15
    wanted, −G        −0.209            0.104             0.313      −0.209

Each row of M sums to 1, so the entries of −G sum to 0.  A step that both strings take is wanted if
it is a larger *share* of the chosen one.  The end is one step of every string, and so a smaller
share of the longer one.  Wherever the longer string was preferred, ends are pushed down on the
whole.  A step of gradient descent does this to the row of b, for end, a and b:

>>> print(np.exp(log_softmax(logits - grad))[2].round(3))
[0.401 0.346 0.253]

**What the lead does.**  Take two strings of one step.  The better one wins a share `wins` of the
comparisons.  The mean loss is −wins log σ(m − lead) − (1 − wins) log σ(−m − lead), and it is least
where its derivative is 0:

    wins σ(lead − m) = (1 − wins) σ(lead + m).

Without a lead this is e^−m = (1 − wins)/wins, so that m is log(wins/(1 − wins)), the log-odds of
winning.  With wins = ⅔ that is log 2 = 0.693, and with a lead of 1 it is 1.2: ⅔ σ(−0.2) = ⅓ σ(2.2)
= 0.3.  So a lead makes the policy surer than the raters are.  Where wins = ½ it changes nothing:
m = 0 is best, at a higher loss.

>>> from minirl.people.pairs import choices
>>> raters = choices([1, 1, 0], [0, 0, 1], 2)
>>> fits = [fit_simpo(np.zeros((1, 2)), raters, beta=2.0, simpo_gamma=lead, pull=0).x
...         for lead in (0.0, 1.0)]
>>> print([round(2.0 * float(x[0, 1] - x[0, 0]), 3) for x in fits])
[0.693, 1.2]

**What it finds.**  If the raters follow the law of `reward_model` and the lead is 0, the mean
log-probabilities of strings become their rewards over β plus a constant, as far as a policy can do
that.  Nothing else holds it.  Two strings with the same mean are worth the same whatever their
length.  Many likely steps raise the mean, and the one end, however unlikely, hardly lowers it.  So
long strings can have a high reward, although they are unlikely.  On the running example, with β = 2
and a lead of 1, which are among the paper's, 3,000 pairs make a policy that hardly ever ends a
string.  So do 20,000 as a rule, but some samples make one that ends before the first letter.  A
pull towards the reference, as in `dpo`, holds it after all.  Then 100,000 pairs give less than a
fifth of what there is to gain, and may give less than nothing: the reward is above that of the
optimum, and a KL of more than 2 nats, of which SimPO knows nothing, eats it up.

**Exercises.**  `from minirl.people.simpo import *; import numpy as np;
from minirl.people.pairs import choices`
1. Two strings win equally often, and each winner should lead by 1.  Where does a fit end?
       fit = fit_simpo(np.zeros((1, 2)), choices([0, 1], [1, 0], 2), beta=2.0, simpo_gamma=1.0,
                       pull=0)
       np.exp(log_softmax(fit.x)).round(4), round(fit.loss, 4)
2. Two of three raters preferred action 1.  One fit starts at a reference that is nearly sure of
   action 0, and one at a fair coin.  How far apart do they end?
       ends = [fit_simpo(np.array([[x, 0.0]]), choices([1, 1, 0], [0, 0, 1], 2), beta=2.0,
                         simpo_gamma=0.0, pull=0).x for x in (5.0, 0.0)]
       np.exp(log_softmax(np.concatenate(ends))).round(4)
3. Tail once was preferred to ten heads, and a coin throws head with 0.6.  Which string is likelier,
   and which one has the larger reward of SimPO?
       tail, heads = float(np.log(0.4)), float(10 * np.log(0.6))
       [round(tail, 2), round(heads, 2)], [round(tail / 1, 2), round(heads / 10, 2)]

Read next: `orpo`, which puts the likelihood in the place of the reference.
Source: Meng et al. 2024, "SimPO: simple preference optimization with a reference-free reward",
arXiv:2405.14734, eq. 6.
"""

from minirl.kernel import checks
from minirl.kernel.softmax import log_softmax
from minirl.people.dpo import logistic
from minirl.people.fitting import Fit, minimise_near
from minirl.people.pairs import check_means, check_pairs, over_pairs


def simpo_loss(logits, chosen, rejected, *, beta, simpo_gamma, pair_weights=None):
    """The loss (simpo.1), to be minimised, and its gradient.

    Parameters
    ----------
    logits : (S, A) float
        Policy table θ.
    chosen, rejected : (B, S·A) sparse float
        M⁺ and M⁻: `Pairs.means`.
    beta : float > 0
        Reward per nat of mean log-probability.
    simpo_gamma : float ≥ 0
        The lead, in units of reward.
    pair_weights : (B,) float ≥ 0, optional
        By default all pairs count the same.

    Returns
    -------
    loss : float
        Mean over pairs, in nats.
    grad : (S, A) float

    Examples
    --------
    >>> import numpy as np
    >>> from minirl.people.pairs import choices
    >>> loss, grad = simpo_loss(np.zeros((1, 2)), *choices([1], [0], 2).means, beta=2.0,
    ...                         simpo_gamma=1.0)
    >>> print(round(loss, 4), grad.round(4))
    1.3133 [[ 1.4621 -1.4621]]
    """
    checks.positive("beta", beta)
    checks.not_negative("simpo_gamma", simpo_gamma)
    logp = log_softmax(logits)
    means = check_means(chosen, rejected, logp)

    def phi(plus, minus):
        return logistic(plus, minus + simpo_gamma / beta, beta=beta)

    return over_pairs(logp, logp, means, phi, pair_weights)


def fit_simpo(ref_logits, pairs, *, beta, simpo_gamma, pull) -> Fit:
    """Fit the policy to `Pairs` by (simpo.1): a `fitting.Fit` of logits.

    The fit begins at `ref_logits`, and `pull` leads there, as in `dpo.fit_dpo`.  The loss itself
    knows no reference.

    Examples
    --------
    Two of three raters preferred action 1.  Without a lead its log-probability is larger by
    log 2 / β:

    >>> import numpy as np
    >>> from minirl.people.pairs import choices
    >>> pairs = choices([1, 1, 0], [0, 0, 1], 2)
    >>> logits = fit_simpo(np.zeros((1, 2)), pairs, beta=2.0, simpo_gamma=0.0, pull=0).x
    >>> print((logits[0, 1] - logits[0, 0]).round(4))
    0.3466
    """
    check_pairs(pairs, log_softmax(ref_logits, "ref_logits"))
    return minimise_near(lambda logits: simpo_loss(logits, *pairs.means, beta=beta,
                                                   simpo_gamma=simpo_gamma),
                         ref_logits, pull=pull, examples=len(pairs))
