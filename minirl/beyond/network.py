"""What if a table has so many rows that they must share what they learn?

*Part 5.  Previous: `harvest`.*

In a table a state that was never met keeps the row it began with.  Of the 27⁴ = 531,441 rows of a
memory of four letters the Unicode words meet 6,314.  A *network* computes the row of a state from
its *features*, numbers that describe it.  Its params belong to all states at once.

**The network.**  The features of state s are x[s], a row of the matrix x.

    h = tanh(x inner + shift),   θ = h outer + bias.                                     (network.1)

`inner`, `outer` are matrices, and `shift`, `bias` rows that are added to every row.  tanh bends a
number to one between −1 and 1.  The columns of h are *hidden units*, together a *hidden layer*.
Each is positive on one side of a line or plane.  *Linear* networks have none: θ = x outer + bias.

    x ──inner, shift──→ tanh ──→ h ──outer, bias──→ θ ──softmax──→ π ──→ L
    ∂L/∂x ←──inner── below ←──· (1 − h²)── ∂L/∂h ←──outer── ∂L/∂θ ←──(softmax.3)── G

**In numbers.**  One feature, one hidden unit, two actions: inner = log 2, shift = 0, outer = 1 −1
and bias = −0.6 0.6.  A state with x = 1 has h = tanh(log 2) = (2 − ½)/(2 + ½) = 0.6, so θ = 0 0 and
π = ½ ½.  A state with x = −1 has h = −0.6, and θ = −1.2 1.2.

**Backward.**  θ[s, a] = Σ_j h[s, j] outer[j, a] + bias[a], over hidden units j.  The chain rule
sums over all that an entry moves: outer[j, a] moves every state, by h[s, j] each, and h[s, j] every
action, by outer[j, a].  The slope of tanh is 1 − tanh².

    ∂L/∂outer = hᵀ ∂L/∂θ,    ∂L/∂bias = Σ_s ∂L/∂θ[s],
    below = ∂L/∂(x inner + shift) = (∂L/∂θ outerᵀ) (1 − h²), entry by entry,
    ∂L/∂inner = xᵀ below,    ∂L/∂shift = Σ_s below[s],    ∂L/∂x = below innerᵀ.          (network.2)

In the example let action 0 have been seen at x = 1.  By (sft.1) ∂L/∂θ = π − (1, 0) = (−½, ½), and
∂L/∂outer is 0.6 times it.  ∂L/∂h = −½ · 1 + ½ · (−1) = −1, and below = −1 · (1 − 0.36) = −0.64.

**Any loss.**  A loss of a policy is a function of θ that returns L and ∂L/∂θ.  So in one line

    θ → (L, ∂L/∂θ)   becomes   params → (L, backpropagate(∂L/∂θ)).                       (network.3)

>>> from minirl.people.sft import sft_loss
>>> loss = composed(lambda logits: sft_loss(logits, counts=[[1, 0]]), [[1]], hidden=1)
>>> print(loss(np.array([np.log(2), 0, 1, -1, -0.6, 0.6]))[1])  # inner, shift, outer, bias
[-0.64 -0.64 -0.3   0.3  -0.5   0.5 ]

With *one-hot* features, a 1 in the state's own place, else 0, a linear network is a table again:
θ[s] = outer[s] + bias.  Hidden units with the same numbers in inner, shift and outer have the same
gradient, and stay alike.  If all these are 0, so are h and below, and only the bias moves.  So
hidden units begin at random, and fits depend on that.  A linear network may begin at 0: its h is x.

**Words.**  Bengio's network learns its features: each symbol has a row of an *embedding*, and x[s]
holds the rows of the last k symbols, side by side.  So

    ∂L/∂embedding[symbol] = Σ of the pieces of ∂L/∂x at the symbol's places.             (network.4)

Nats per character of a tenth of the words, held out; of networks with 8 numbers per letter and 64
hidden units the median of five beginnings, 600 iterations each:

    letters remembered                   1       2       3       4
    n-grams, flat (`contexts`)       2.600   2.526   2.644   2.756
    n-grams, a tree of weight 30     2.601   2.458   2.402   2.390
    Kneser-Ney (`smoothing`)         2.597   2.470   2.433   2.384
    the network                      2.595   2.453   2.462   2.426

The weight and the pulls of the network, 3, 10, 30 and 30 for 1 to 4 letters, were chosen on a tenth
of the *training* items.  With a pull of 3 four letters cost 2.607, and 2.018 in training: the
network learns by heart.  With 30 they cost less than two, unlike in flat n-grams (pseudo-count
0.1): alike contexts have alike features, and so alike rows.  From three letters on the tree and
Kneser-Ney, which ask a shorter memory where a long one has seen little, cost less.

**Playing.**  By (planning.5) and the chain rule the policy gradient passes through the features:

    ∂J/∂params = Σ_{s,a} η(s) π(a|s) A(s, a) ∂θ[s, a]/∂params = backpropagate(∂J/∂θ).    (network.5)

`optimiser=network_optimiser(params, x, hidden=16)` does this in any trainer that starts from
`forward(params, x, hidden=16)[0]`.  The critic stays a table.  Features are row and column, from −1
to 1, and PPO's rate falls from 0.02 to 0.  The median share of J* in eight runs of 400 iterations:

    hidden units                 0        4       16
    slippery 4x4 lake         0.19     0.94     0.98
    cliff                    −6.16     1.00     1.00

The worst have 0.976 and 0.997 with 16 units.  With 4 one run has 0.30 on the lake, and two (on
some processors one or three) do not get past the cliff.  Nor do most linear runs.  Their −6.16 is a
walk without end: J = −1/(1 − 0.99) = −100, while J* = −12.25.  No linear network is right all over
the lake: ← is best in the cells (0, 0) and (2, 2), ↑ in (0, 2) and (2, 0).  θ of ← minus θ of ↑ is
linear in row and column.  So in (1, 1), the middle of both pairs, it would be above and below 0.
But one that errs in the first row alone holds 0.959.  PPO does not find it, nor the way past the
cliff, to which one can come as near as we like.  It first learns to go up from the edge, and the
row above follows, where → is best: after 40 iterations → has 0.04 there, and 0.64 with 16 units.

**Few pairs.**  Let DPO have 20,000 pairs of the running example, and the logits be those of the
reference plus a network of the one-hot last letter.  The pull draws params to 0.  The worst of four
beginnings gains this share of J* − J(π_ref):

    hidden units         table       0       1       2       4       8      16
    with a pull of 2     0.924   0.929   0.981   0.961   0.933   0.903   0.893
    with a pull of 16    0.830   0.850   0.976   0.978   0.974   0.970   0.968

A tenth of the pairs, held out, chooses 2 for the table and 0 units, and 16 for the others.  One
unit adds, with 82 params for 729, one product: a number for the last letter times one for the next.
Take the means of rows (softmax ignores them) and of columns (the bias) from log π* − log π_ref: of
the squares of the rest one product has 99.7 %.  Of what 16 units learn it has 79 % with a pull of
2, and 99.3 % with 16: a pull on both factors keeps products few.  *LoRA* moves matrices by few.

**Exercises.**  `from minirl.beyond.network import *; from functools import partial; from
minirl.people.sft import sft_loss; from minirl.people.fitting import minimise`
1. The example takes a step of 1 down its gradient.  Where does x = −1 go, which nobody met?
       params = np.array([np.log(2), 0, 1, -1, -0.6, 0.6])
       loss = composed(partial(sft_loss, counts=[[1, 0]]), [[1]], hidden=1)
       forward(params - loss(params)[1], [[-1]], hidden=1)[0].round(2)
2. Two hidden units begin alike, at inner = 1 and outer = 1 −1.  Does the gradient part them?
       loss = composed(partial(sft_loss, counts=[[1, 0]]), [[1]], hidden=2)
       loss(np.array([1, 1, 0, 0, 1, -1, 1, -1, 0, 0.0]))[1].round(3)
3. Action 0 has 0.9 in two opposite corners, 0.1 in the others.  The lowest loss by hidden units?
       corners, seen = [[-1, -1], [-1, 1], [1, -1], [1, 1]], [[9, 1], [1, 9], [1, 9], [9, 1]]
       [round(minimise(composed(partial(sft_loss, counts=seen), corners, hidden=hidden),
        random_params(2, hidden, 2, rng=0)).loss, 3) for hidden in (0, 1, 2)]

Read next: `compared`, all methods side by side.
Source: Rumelhart, Hinton and Williams 1986, on back-propagation; Bengio et al. 2003, on words;
Sutton et al. 2000, on policy gradients; Hu et al. 2021 (LoRA), arXiv:2106.09685.
"""

import numpy as np
from scipy import sparse

from minirl.kernel import checks
from minirl.kernel.sampling import generator
from minirl.play.optim import Optimiser, adam


def forward(params, x, *, hidden):
    """(network.1): the logits θ (S, A), and the activities h (S, hidden) below them.

    Parameters
    ----------
    params : (P,) float
        inner, shift, outer and bias, laid end to end: `pieces` cuts them, `random_params` draws
        some.
    x : (S, F) float
        The features, a row for each state.
    hidden : int ≥ 0
        The number of hidden units.  If it is 0, then `outer` reads the features, and h is x.

    Examples
    --------
    >>> logits, h = forward(np.array([np.log(2), 0, 1, -1, -0.6, 0.6]), [[1], [-1]], hidden=1)
    >>> print(logits.round(4).tolist(), h.round(4).tolist())
    [[0.0, 0.0], [-1.2, 1.2]] [[0.6], [-0.6]]
    """
    x = _features(x)
    inner, shift, outer, bias = pieces(params, features=x.shape[1], hidden=hidden)
    h = np.tanh(x @ inner + shift) if hidden else x
    return h @ outer + bias, h


def backpropagate(params, x, h, slope, *, hidden):
    """(network.2): ∂L/∂params (P,) and ∂L/∂x (S, F) from the slope ∂L/∂θ (S, A).

    `h` is what `forward` has found with the same params.

    Examples
    --------
    >>> params, x = np.array([np.log(2), 0, 1, -1, -0.6, 0.6]), [[1]]
    >>> _, h = forward(params, x, hidden=1)
    >>> grad, _ = backpropagate(params, x, h, np.array([[-0.5, 0.5]]), hidden=1)
    >>> print(grad.round(4))
    [-0.64 -0.64 -0.3   0.3  -0.5   0.5 ]
    """
    x = _features(x)
    inner, _, outer, _ = pieces(params, features=x.shape[1], hidden=hidden)
    h = checks.array("h", h, (len(x), len(outer)))
    slope = checks.array("slope", slope, (len(x), outer.shape[1]))
    above, below = [(h.T @ slope).ravel(), slope.sum(axis=0)], slope @ outer.T
    if not hidden:
        return np.concatenate(above), below
    below = below * (1 - h * h)
    return np.concatenate([(x.T @ below).ravel(), below.sum(axis=0), *above]), below @ inner.T


def composed(loss, x, *, hidden):
    """(network.3): a loss of a table of logits, made a loss of params.

    `loss(logits) -> (value, gradient)` is any loss of this book, its other arguments held by
    `partial` or in a `lambda`.  The result takes params (P,), and returns the same pair.
    A loss of a table of rewards is composed in the same way.

    Examples
    --------
    >>> from functools import partial
    >>> from minirl.people.sft import sft_loss
    >>> loss = composed(partial(sft_loss, counts=[[1, 0]]), [[1]], hidden=1)
    >>> value, grad = loss(np.array([np.log(2), 0, 1, -1, -0.6, 0.6]))
    >>> print(round(value, 4), grad.round(4))
    0.6931 [-0.64 -0.64 -0.3   0.3  -0.5   0.5 ]
    """
    x = _features(x)

    def of_params(params):
        logits, h = forward(params, x, hidden=hidden)
        value, slope = loss(logits)
        return value, backpropagate(params, x, h, slope, hidden=hidden)[0]

    return of_params


def embedded(loss, contexts, *, symbols, width, hidden):
    """(network.4): the same where the features are learned too, `width` numbers for each symbol.

    Parameters
    ----------
    loss : callable
        As for `composed`; its table has a row for each context.
    contexts : (S, k) int
        The numbers of the symbols that each state remembers, in [0, symbols).

    Returns
    -------
    callable
        The loss of params (symbols · width + P,), which begin with the embedding, row by row.

    Examples
    --------
    Two symbols are embedded as 5 and 1.  The only state remembers the second one:

    >>> from functools import partial
    >>> from minirl.people.sft import sft_loss
    >>> loss = embedded(partial(sft_loss, counts=[[1, 0]]), [[1]], symbols=2, width=1, hidden=1)
    >>> print(loss(np.array([5, 1, np.log(2), 0, 1, -1, -0.6, 0.6]))[1].round(4))
    [ 0.     -0.4436 -0.64   -0.64   -0.3     0.3    -0.5     0.5   ]
    """
    contexts = np.asarray(contexts)
    if contexts.ndim != 2:
        raise ValueError(f"contexts must have shape (S, k), got {contexts.shape}")
    symbols, width = checks.whole("symbols", symbols), checks.whole("width", width)
    places = checks.numbers("contexts", contexts.ravel(), symbols)
    # A row for each place of each context, with a one where its symbol is.
    picks = sparse.csr_array((np.ones(places.size), places, np.arange(places.size + 1)),
                             shape=(places.size, symbols))

    def of_params(params):
        params = np.asarray(params)
        if params.ndim != 1 or params.size <= symbols * width:
            raise ValueError(f"params must be a vector of {symbols * width} numbers of the "
                             f"embedding and more, got shape {params.shape}")
        embedding, rest = np.split(params, [symbols * width])
        x = (picks @ embedding.reshape(symbols, width)).reshape(len(contexts), -1)
        logits, h = forward(rest, x, hidden=hidden)
        value, slope = loss(logits)
        grad, back = backpropagate(rest, x, h, slope, hidden=hidden)
        return value, np.concatenate([(picks.T @ back.reshape(-1, width)).ravel(), grad])

    return of_params


def network_optimiser(params, x, *, hidden, optimiser=adam()) -> Optimiser:
    """(network.5): an `optim.Optimiser` for any trainer, which moves params in the table's place.

    The trainer must start from the logits of these params.  It hands out gradients in the logits,
    and gets the logits of the new params.  A logit of −∞ stays.  The params are the first thing
    in the state, `record.optimiser[0]`.

    Examples
    --------
    >>> from minirl.kernel.mdp import coin_game
    >>> from minirl.play.ppo import ppo
    >>> from minirl.play.training import after, start
    >>> params = random_params(1, 2, 2, rng=0)
    >>> record = start(forward(params, [[1]], hidden=2)[0], rng=0)
    >>> moving = network_optimiser(params, [[1]], hidden=2)
    >>> record = after(ppo(coin_game(gamma=0.5), record, optimiser=moving), 9)
    >>> print(record.policy.round(1))
    [[1. 0.]]
    """
    x = _features(x)

    def init(logits):
        own, _ = forward(params, x, hidden=hidden)
        if np.shape(logits) == own.shape:
            own = np.where(np.isneginf(logits), -np.inf, own)
        if not np.array_equal(own, logits):
            raise ValueError("logits must be those of params where training begins: start from "
                             "forward(params, x, hidden=hidden)[0]")
        return params, optimiser.init(params)

    def step(logits, grad, state, learning_rate):
        old, inside = state
        _, h = forward(old, x, hidden=hidden)
        new, inside = optimiser.step(old, backpropagate(old, x, h, grad, hidden=hidden)[0], inside,
                                     learning_rate)
        found, _ = forward(new, x, hidden=hidden)
        return np.where(np.isneginf(logits), -np.inf, found), (new, inside)

    return Optimiser(init, step)


def random_params(features, hidden, actions, *, rng, scale=1.0):
    """Params to begin with, (P,): at random, because hidden units that are alike stay alike.

    The sums inside of tanh have a standard deviation of about √2 · scale for features of size 1.
    The logits begin near 0.  Without hidden units they begin at 0:
    h is x then, and the slope in `outer` is not 0.

    Examples
    --------
    >>> print(random_params(1, 2, 2, rng=0).round(2))
    [ 0.13 -0.13  0.64  0.1  -0.04  0.03  0.09  0.07  0.    0.  ]
    """
    rng, hidden = generator(rng), checks.whole("hidden", hidden, least=0)
    features, actions = checks.whole("features", features), checks.whole("actions", actions)
    checks.positive("scale", scale)
    if not hidden:
        return np.zeros((features + 1) * actions)
    inner, shift, outer = (rng.normal(size=size) for size in (
        features * hidden, hidden, hidden * actions))
    return np.concatenate([scale * inner / features**0.5, scale * shift, 0.1 * outer / hidden**0.5,
                           np.zeros(actions)])


def pieces(params, *, features, hidden):
    """inner (F, hidden), shift (hidden,), outer (hidden, A) and bias (A,), cut from params (P,).

    Without hidden units `inner` and `shift` are empty, and `outer` is (F, A).

    Examples
    --------
    >>> [part.tolist() for part in pieces(np.arange(7), features=2, hidden=1)]
    [[[0.0], [1.0]], [2.0], [[3.0, 4.0]], [5.0, 6.0]]
    """
    params, hidden = checks.floats("params", params), checks.whole("hidden", hidden, least=0)
    checks.finite("params", params)
    features = checks.whole("features", features)
    height = hidden or features  # the numbers that `outer` reads
    actions, left = divmod(params.size - hidden * (features + 1), height + 1)
    if params.ndim != 1 or left or actions < 1:
        raise ValueError(f"params must be a vector of {hidden * (features + 1)} + "
                         f"{height + 1} · actions numbers, got shape {params.shape}")
    inner, shift, outer, bias = np.split(
        params, np.cumsum([features * hidden, hidden, height * actions]))
    return inner.reshape(features, hidden), shift, outer.reshape(height, actions), bias


def _features(x):
    x = checks.floats("x", x)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError(f"x must be a finite table (S, F), got {x}")
    return x
