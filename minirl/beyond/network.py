"""What if a table has so many rows that they must share what they learn?

*Part 5.  Previous: `harvest`.*

In a table each state has a row of its own.  A state that was never met keeps the row it began with,
whatever was learned about its neighbours.  Of the 27⁴ = 531,441 rows of a memory of four letters
the Unicode words meet 5,843.  A *network* computes the row of a state from its *features*, numbers
that describe it.  Its params belong to all states at once.  The one of this chapter has a single
*hidden layer*, and its gradient is worked out by hand.

**The network.**  The features of state s are x[s], a row of the matrix x.

    h = tanh(x inner + shift),   θ = h outer + bias.                                     (network.1)

`inner`, `outer` are matrices, and `shift`, `bias` rows that are added to every row.  tanh bends a
number to one between −1 and 1: tanh(log 2) = (2 − ½)/(2 + ½).  A column of h is a *hidden unit*,
which says on which side of a line a state lies.  *Linear* networks have none: θ = x outer + bias.

    x ──inner, shift──→ tanh ──→ h ──outer, bias──→ θ ──softmax──→ π ──→ L
    ∂L/∂x ←──inner── · (1 − h²) ←──outer── ∂L/∂θ ←──(softmax.3)── G

**In numbers.**  One feature, one hidden unit, two actions: inner = log 2, shift = 0, outer = 1 −1
and bias = −0.6 0.6.  A state with x = 1 has h = 0.6, so that θ = 0 0 and π = ½ ½.  A state with x =
−1 has h = −0.6, and θ = −1.2 1.2.

**Backward.**  θ[s, a] = Σ_j h[s, j] outer[j, a] + bias[a].  So ∂θ[s, a]/∂outer[j, a] = h[s, j], and
∂θ[s, a]/∂h[s, j] = outer[j, a].  The slope of tanh is 1 − tanh².  The chain rule sums over what an
entry moves: that of `outer` moves all states, that of h moves all actions.

    ∂L/∂outer = hᵀ ∂L/∂θ,    ∂L/∂bias = its columns' sums, Σ_s ∂L/∂θ[s],
    below = (∂L/∂θ outerᵀ) (1 − h²), entry by entry,
    ∂L/∂inner = xᵀ below,    ∂L/∂shift = Σ_s below[s],    ∂L/∂x = below innerᵀ.          (network.2)

In the example let action 0 have been seen at x = 1.  Then ∂L/∂θ = π − (1, 0) = (−½, ½), and that in
`outer` is 0.6 times it.  Further down −½ · 1 + ½ · (−1) = −1, and below = −1 · (1 − 0.36) = −0.64.

**Any loss.**  Each loss of this book is a function of θ that returns L and ∂L/∂θ.  So in one line

    θ → (L, ∂L/∂θ)   becomes   params → (L, backpropagate(∂L/∂θ)).                       (network.3)

>>> from functools import partial
>>> from minirl.people.sft import sft_loss
>>> loss = composed(partial(sft_loss, counts=[[1, 0]]), [[1]], hidden=1)
>>> print(loss(np.array([np.log(2), 0, 1, -1, -0.6, 0.6]))[1])  # inner, shift, outer, bias
[-0.64 -0.64 -0.3   0.3  -0.5   0.5 ]

With *one-hot* features, a 1 at the state's own place and zeros elsewhere, a linear network has θ[s]
= outer[s] + bias, a table again.  With the bias held at 0 a trainer does what it does with a table.

**Where it begins.**  Hidden units that are alike have the same gradient, and stay alike.  Where
`inner`, `shift` and `outer` are 0, so are h and below, and nothing but the bias moves.  So params
begin at random.  What a fit finds depends on that, and on when it is stopped.

**Words.**  Letters have no features.  Bengio's network learns them: each symbol has a row of an
*embedding*, and x[s] is the rows of the last symbols, side by side.  So by the chain rule

    ∂L/∂embedding[symbol] = Σ of the pieces of ∂L/∂x that stand where the symbol does.   (network.4)

With 8 numbers per letter and 64 hidden units, the median of five beginnings, nats per character:

    letters remembered                   1       2       3       4
    n-grams, flat (`contexts`)       2.600   2.526   2.644   2.756
    n-grams, a tree of weight 30     2.601   2.458   2.402   2.390
    Kneser-Ney (`smoothing`)         2.597   2.470   2.433   2.384
    the network                      2.595   2.453   2.462   2.426

These words were held out.  The weight, and the pulls 3, 10, 30 and 30, were chosen on a tenth of
the *training* items.  With a pull of 3 four letters cost 2.607, and 2.018 in training: it learns by
heart.  With 30 they do not hurt, as they hurt flat n-grams: contexts that are alike share params.
But from three letters on the tree and Kneser-Ney, which ask a shorter memory, are better.

**Playing.**  By (planning.5) and the chain rule the policy gradient passes through the features:

    ∂J/∂params = Σ_{s,a} η(s) π(a|s) A(s, a) ∂θ[s, a]/∂params = backpropagate(∂J/∂θ).    (network.5)

A trainer hands gradients in θ to its optimiser.  `network_optimiser` passes them on to params, and
returns the new θ.  So PPO needs no new line.  The critic stays a table.  Let the row and the column
of a cell, from −1 to 1, be its only features.  The median share of eight runs of 400 iterations is

    hidden units                 0        4       16
    slippery 4x4 lake         0.19     0.94     0.98
    cliff                    −6.16     1.00     1.00

and the worst of the eight with 16 units has 0.976 and 0.997.  On the lake the best move is ← in the
cells (0, 0) and (2, 2), and ↑ in (0, 2) and (2, 0).  Take θ of ← minus θ of ↑ in a linear network.
It should be positive in the first two cells, hence in their middle (1, 1), and negative in the
others, which have the same middle.  So no linear network is right in all four.  On the cliff one
can come as near to J* as we like.  But PPO learns to keep away from the edge, which moves all cells
at once, and hardly sees the goal again.

**Few pairs.**  Let DPO have 20,000 pairs of the running example, and let the logits be those of the
reference plus a network of the one-hot last letter.  The worst of four beginnings gains, at a pull
of 1 for the network and of 2 for the table, this share of what there is to gain:

    hidden units         table       0       1       2       4       8      16
    share                0.924   0.916   0.980   0.958   0.925   0.886   0.862

One unit adds a number for the last letter times one for the next.  The best policy nearly does: one
such product has 99.7 % of the squares of log π* − log π_ref, less means of rows and columns.  What
can say little else is not misled by few pairs.  *LoRA* moves large matrices by such products.

**Exercises.**  `from minirl.beyond.network import *; from functools import partial; from
minirl.people.sft import sft_loss; from minirl.people.fitting import minimise`
1. The example takes a step of 1 down its gradient.  Where does x = −1 go, which nobody met?
       params = np.array([np.log(2), 0, 1, -1, -0.6, 0.6])
       loss = composed(partial(sft_loss, counts=[[1, 0]]), [[1]], hidden=1)
       forward(params - loss(params)[1], [[-1]], hidden=1)[0].round(2)
2. Two hidden units begin alike, at inner = 1 and outer = 1 −1.  Does the gradient part them?
       loss = composed(partial(sft_loss, counts=[[1, 0]]), [[1]], hidden=2)
       loss(np.array([1, 1, 0, 0, 1, -1, 1, -1, 0, 0.0]))[1].round(3)
3. Action 0 is right in two opposite corners, with 0.9, action 1 in the others.  What is the lowest
   loss with no, one and two hidden units?  (The entropy of 0.9 and 0.1 is 0.325.)
       corners, seen = [[-1, -1], [-1, 1], [1, -1], [1, 1]], [[9, 1], [1, 9], [1, 9], [9, 1]]
       [round(minimise(composed(partial(sft_loss, counts=seen), corners, hidden=hidden),
        random_params(2, hidden, 2, rng=0)).loss, 3) for hidden in (0, 1, 2)]

Read next: `compared`, all methods side by side.
Source: Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating errors";
Bengio et al. 2003, "A neural probabilistic language model"; Sutton et al. 2000, on policy gradients
with function approximation; Hu et al. 2021 (LoRA), arXiv:2106.09685.
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
    above, below = [(h.T @ slope).ravel(), slope.sum(axis=0)], slope @ outer.T
    if not hidden:
        return np.concatenate(above), below
    below = below * (1 - h * h)
    return np.concatenate([(x.T @ below).ravel(), below.sum(axis=0), *above]), below @ inner.T


def composed(loss, x, *, hidden):
    """(network.3): a loss of a table of logits, made a loss of params.

    `loss(logits) -> (value, gradient)` is any loss of this book, its other arguments held by
    `partial` or in a `lambda`.  The result takes params (P,), and returns the same pair.

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
        embedding, rest = np.split(params, [symbols * width])
        x = (picks @ embedding.reshape(symbols, width)).reshape(len(contexts), -1)
        logits, h = forward(rest, x, hidden=hidden)
        value, slope = loss(logits)
        grad, back = backpropagate(rest, x, h, slope, hidden=hidden)
        return value, np.concatenate([(picks.T @ back.reshape(-1, width)).ravel(), grad])

    return of_params


def network_optimiser(params, x, *, hidden, optimiser=adam()):
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
        own = np.where(np.isneginf(logits), -np.inf, forward(params, x, hidden=hidden)[0])
        if not np.array_equal(own, logits):
            raise ValueError("logits must be those of params where training begins: start from "
                             "forward(params, x, hidden=hidden)[0]")
        return params, optimiser.init(params)

    def step(logits, grad, state, learning_rate):
        old, below = state
        _, h = forward(old, x, hidden=hidden)
        new, below = optimiser.step(old, backpropagate(old, x, h, grad, hidden=hidden)[0], below,
                                    learning_rate)
        found, _ = forward(new, x, hidden=hidden)
        return np.where(np.isneginf(logits), -np.inf, found), (new, below)

    return Optimiser(init, step)


def random_params(features, hidden, actions, *, rng, scale=1.0):
    """Params to begin with, (P,): at random, because hidden units that are alike stay alike.

    The sums inside of tanh have a standard deviation of about √2 · scale for features of size 1.
    The logits begin near 0.  Without hidden units they begin at 0.

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
    [[[0], [1]], [2], [[3, 4]], [5, 6]]
    """
    params, hidden = np.asarray(params), checks.whole("hidden", hidden, least=0)
    below = hidden or features  # what `outer` reads
    actions, left = divmod(params.size - hidden * (features + 1), below + 1)
    if params.ndim != 1 or left or actions < 1:
        raise ValueError(f"params must be a vector of {hidden * (features + 1)} + "
                         f"{below + 1} · actions numbers, got shape {params.shape}")
    inner, shift, outer, bias = np.split(
        params, np.cumsum([features * hidden, hidden, below * actions]))
    return inner.reshape(features, hidden), shift, outer.reshape(below, actions), bias


def _features(x):
    x = checks.floats("x", x)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError(f"x must be a finite table (S, F), got {x}")
    return x
