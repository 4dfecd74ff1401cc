"""W7 and W8: learning from preferences between pairs of strings.

W7 is Bradley-Terry regression, (reward_model.1) and (reward_model.2), and its fit; W8 is DPO,
(dpo.2) and (dpo.3).

*plain* is `minirl.plain.reward_model` and `minirl.plain.dpo`: the formula as the papers write it, a
loop over pairs, and over the tokens of each string.  *book* takes products with one sparse matrix
of counts (counts.3), or, in the case "from strings", with two that lie on the strings.  In the
cases "matrix given" making it is not timed.

*numba* is one loop over pairs, the limit of the machine.  *jax* and *torch* look up and add up the
rectangles of pair indices, which strings of one length allow, laid out as each likes it best; in
the case "from strings" they lay them out while they are timed.  *torch_sparse* takes sparse
matrices of its own: the matrix with equal columns added up, and its transpose, sorted beforehand,
which costs as much as dozens of evaluations.  *torch_idiom* is what most people write: for W7 the
sum of each token's reward, differentiated automatically, and for W8 a softmax for each token.

The fit minimises the mean loss and a pull towards zero, until no entry of the gradient is larger
than 10⁻⁷.  *sklearn* is LogisticRegression without an intercept, with the same pull and the same
limit; it wants two classes, so that every second pair is turned round.
"""

from functools import cache, partial

import numpy as np

from benchmarks.peers import compiled, forms_of, in_jax, unsigned
from benchmarks.text import endless, strings_of
from benchmarks.timing import Case, equal
from minirl.kernel.counts import difference_matrix, select, two_matrices
from minirl.people.dpo import dpo_loss
from minirl.people.fitting import minimise_near
from minirl.people.pairs import Pairs
from minirl.people.reward_model import bradley_terry_loss, fit_reward_model
from minirl.kernel.softmax import backward, log_sigmoid, log_softmax
from minirl.plain import dpo, reward_model

SYMBOLS, LENGTH, BETA, PULL, TOL = 27, 64, 0.5, 2.0, 1e-7


def batch(pairs):
    """(logits, reference logits, chosen, rejected): a rater of temperature 1 has a reward table."""
    rng = np.random.default_rng(0)
    steps = endless(SYMBOLS, 2 * pairs, LENGTH, rng)
    logits, reference, rewards = 0.3 * rng.normal(size=(3, *steps.shape))
    first, second = np.arange(2 * pairs).reshape(2, pairs)
    margin = np.diff(rewards.ravel()[steps.index].reshape(2, pairs, LENGTH).sum(axis=2), axis=0)[0]
    turned = rng.random(pairs) < np.exp(log_sigmoid(margin))
    return (logits, reference, select(steps, np.where(turned, second, first)),
            select(steps, np.where(turned, first, second)))


def listed(chosen, rejected):
    """A function that lists the pairs of strings, as the plain forms read them."""
    return cache(lambda: list(zip(strings_of(chosen), strings_of(rejected))))


def numba_regression():
    """Loss and gradient from the matrix and from the strings, compiled."""

    def from_matrix(reward_table, signs, columns, starts):
        loss, grad, pairs = 0.0, np.zeros_like(reward_table), starts.size - 1
        for i in range(pairs):
            margin = 0.0
            row, sign = columns[starts[i]:starts[i + 1]], signs[starts[i]:starts[i + 1]]
            for j in range(row.size):
                margin += sign[j] * reward_table[row[j]]
            loss += np.log1p(np.exp(-abs(margin))) - min(margin, 0.0)
            force = 1 / (pairs * (1 + np.exp(margin)))
            for j in range(row.size):
                grad[row[j]] -= sign[j] * force
        return loss / pairs, grad

    def from_strings(reward_table, chosen, chosen_starts, rejected, rejected_starts):
        loss, grad, pairs = 0.0, np.zeros_like(reward_table), chosen_starts.size - 1
        for i in range(pairs):
            good = chosen[chosen_starts[i]:chosen_starts[i + 1]]
            bad = rejected[rejected_starts[i]:rejected_starts[i + 1]]
            margin = 0.0
            for n in good:
                margin += reward_table[n]
            for n in bad:
                margin -= reward_table[n]
            loss += np.log1p(np.exp(-abs(margin))) - min(margin, 0.0)
            force = 1 / (pairs * (1 + np.exp(margin)))
            for n in good:
                grad[n] -= force
            for n in bad:
                grad[n] += force
        return loss / pairs, grad

    return compiled(from_matrix), compiled(from_strings)


def numba_reward(reward_table, reference, chosen, rejected):
    """Bradley-Terry, from the matrix."""
    D, (from_matrix, _) = difference_matrix(chosen, rejected), numba_regression()

    def form():
        loss, grad = from_matrix(reward_table.ravel(), D.data, unsigned(D.indices), D.indptr)
        return loss, grad.reshape(reward_table.shape)

    return {"numba": form}


def numba_policy(logits, reference, chosen, rejected, build):
    """DPO, from the matrix or from the strings; the table's part is the book's."""
    D, (from_matrix, from_strings) = difference_matrix(chosen, rejected), numba_regression()

    def form():
        logp = log_softmax(logits)
        rewards = BETA * (logp - log_softmax(reference)).ravel()
        loss, grad = (from_strings(rewards, unsigned(chosen.index), chosen.starts,
                                   unsigned(rejected.index), rejected.starts) if build
                      else from_matrix(rewards, D.data, unsigned(D.indices), D.indptr))
        return loss, backward(logp, BETA * grad.reshape(logits.shape))

    return {"numba": form}


def rectangle(chosen, rejected):
    """(B, 2·LENGTH): the indices of both strings of a pair, the chosen one first."""
    return np.hstack([steps.index.reshape(-1, LENGTH) for steps in (chosen, rejected)])


def jax_regression(reward_table, both):
    """Loss and gradient of Bradley-Terry from a table and the rectangle of indices, time first.

    A loop over time, with all pairs at once, is twice as fast as the whole rectangle at once.
    """
    import jax
    import jax.numpy as jnp

    flat, trusted = reward_table.ravel(), "promise_in_bounds"

    def look_up(t, margin):
        return (margin + flat.at[both[t]].get(mode=trusted)
                - flat.at[both[t + LENGTH]].get(mode=trusted))

    def add_up(t, grad):
        grad = grad.at[both[t]].add(-force, mode=trusted)
        return grad.at[both[t + LENGTH]].add(force, mode=trusted)

    margin = jax.lax.fori_loop(0, LENGTH, look_up, jnp.zeros(both.shape[1]))
    force = jax.nn.sigmoid(-margin) / both.shape[1]
    grad = jax.lax.fori_loop(0, LENGTH, add_up, jnp.zeros_like(flat))
    return -jax.nn.log_sigmoid(margin).mean(), grad.reshape(reward_table.shape)


def jax_reward(reward_table, reference, chosen, rejected):
    """Bradley-Terry."""
    return {"jax": in_jax(jax_regression, reward_table, rectangle(chosen, rejected).T.copy())}


def jax_policy(logits, reference, chosen, rejected, build):
    """DPO; the table's part is differentiated by jax."""
    import jax

    def form(logits, reference, *strings):
        both = (jax.numpy.hstack([one.reshape(-1, LENGTH) for one in strings]).T if build
                else strings[0])
        rewards, back = jax.vjp(lambda logits: BETA * (jax.nn.log_softmax(logits)
                                                       - jax.nn.log_softmax(reference)), logits)
        loss, grad = jax_regression(rewards, both)
        return loss, back(grad)[0]

    given = ((chosen.index, rejected.index) if build
             else (rectangle(chosen, rejected).T.copy(),))
    return {"jax": in_jax(form, logits, reference, *given)}


def torch_products(chosen, rejected):
    """(D @ w, D.T @ x) by look-up and sum, from two tensors of indices (B, LENGTH)."""
    import torch

    both = torch.hstack([chosen, rejected]).view(-1)
    long = both.long()
    signs = torch.ones(2 * LENGTH, dtype=torch.float64)
    signs[LENGTH:] = -1

    def summed(x):
        sums = torch.zeros(SYMBOLS**2, dtype=torch.float64)
        return sums.scatter_add_(0, long, (x[:, None] * signs).view(-1))

    return lambda w: w.index_select(0, both).view(-1, 2 * LENGTH) @ signs, summed


def torch_sparse_products(chosen, rejected):
    """(D @ w, D.T @ x) by torch's sparse matrices."""
    import torch

    D = difference_matrix(chosen, rejected).tocsr()
    D.sum_duplicates()
    D, transpose = (torch.sparse_csr_tensor(*map(torch.from_numpy, (M.indptr, M.indices, M.data)),
                                            M.shape) for M in (D, D.T.tocsr()))
    return lambda w: D @ w, lambda x: transpose @ x


def torch_strings(*parts):
    """The pair indices of each `Steps` as a tensor (B, LENGTH)."""
    import torch

    return [torch.from_numpy(steps.index).view(-1, LENGTH) for steps in parts]


def torch_regression(reward_table, product, transposed):
    """Loss and gradient of Bradley-Terry, by hand."""
    import torch

    margin = product(reward_table)
    loss = -torch.nn.functional.logsigmoid(margin).mean()
    return loss, transposed(-torch.sigmoid(-margin) / len(margin))


def torch_reward(reward_table, reference, chosen, rejected):
    """Bradley-Terry on the rectangle, on sparse matrices, and with a graph."""
    import torch

    flat, both = torch.from_numpy(reward_table).view(-1), rectangle(chosen, rejected)
    leaf, both = flat.clone().requires_grad_(), torch.from_numpy(both).long()

    def form(products):
        loss, grad = torch_regression(flat, *products)
        return loss.item(), grad.numpy().reshape(reward_table.shape)

    def idiom():
        leaf.grad = None
        rewards = leaf[both]
        margin = rewards[:, :LENGTH].sum(1) - rewards[:, LENGTH:].sum(1)
        loss = -torch.nn.functional.logsigmoid(margin).mean()
        loss.backward()
        return loss.item(), leaf.grad.numpy().reshape(reward_table.shape)

    dense = torch_products(*torch_strings(chosen, rejected))
    sparse = torch_sparse_products(chosen, rejected)
    return {"torch": lambda: form(dense), "torch_sparse": lambda: form(sparse),
            "torch_idiom": idiom}


def torch_policy(logits, reference, chosen, rejected, build):
    """DPO on the rectangle, on sparse matrices if given, and with a softmax for each token."""
    import torch

    table, ref = torch.from_numpy(logits), torch.from_numpy(reference)
    leaf = table.clone().requires_grad_()
    both = torch.from_numpy(rectangle(chosen, rejected)).long()
    states, actions = both // SYMBOLS, both % SYMBOLS

    def form(products):
        logp = table.log_softmax(1)
        loss, slope = torch_regression(BETA * (logp - ref.log_softmax(1)).view(-1), *products)
        G = BETA * slope.view(logp.shape)
        return loss.item(), (G - logp.exp() * G.sum(1, keepdim=True)).numpy()

    def score(logits):
        return logits[states].log_softmax(2).gather(2, actions[..., None])[..., 0]

    def idiom():
        leaf.grad = None
        with torch.no_grad():
            ref_logp = score(ref)
        ratio = score(leaf) - ref_logp
        margin = BETA * (ratio[:, :LENGTH].sum(1) - ratio[:, LENGTH:].sum(1))
        loss = -torch.nn.functional.logsigmoid(margin).mean()
        loss.backward()
        return loss.item(), leaf.grad.numpy()

    strings = torch_strings(chosen, rejected)
    if build:
        return {"torch": lambda: form(torch_products(*strings)), "torch_idiom": idiom}
    dense, sparse = torch_products(*strings), torch_sparse_products(chosen, rejected)
    return {"torch": lambda: form(dense), "torch_sparse": lambda: form(sparse),
            "torch_idiom": idiom}


def prepare_regression(size, peers):
    """Bradley-Terry loss and gradient; `size` is the number of pairs."""
    reward_table, _, chosen, rejected = data = batch(size)
    D, strings = difference_matrix(chosen, rejected), listed(chosen, rejected)
    forms = {"plain": lambda: reward_model.loss(reward_table, strings()),
             "book": lambda: bradley_terry_loss(reward_table, D)}
    makers = {"numba": numba_reward, "jax": jax_reward, "torch": torch_reward}
    return forms | forms_of(peers, makers, data), size


def sklearn_fit(logits, reference, chosen, rejected):
    """Logistic regression on the matrix, every second row turned round, by its fastest solver."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    D = difference_matrix(chosen, rejected)
    label = np.arange(D.shape[0]) % 2 == 0
    X = sparse.csr_matrix(D.multiply(np.where(label, 1.0, -1.0)[:, None]))
    model = LogisticRegression(C=1 / PULL, fit_intercept=False, tol=TOL, max_iter=10_000)
    return {"sklearn": lambda: model.fit(X, label).coef_.reshape(logits.shape)}


def prepare_fit(size, peers):
    """The fitted weights; `size` is the number of pairs."""
    logits, _, chosen, rejected = data = batch(size)
    pairs, strings = Pairs(chosen, rejected), listed(chosen, rejected)
    _ = pairs.difference  # made beforehand, as for the others
    forms = {"plain": lambda: minimise_near(lambda w: reward_model.loss(w, strings()),
                                            np.zeros(logits.shape), pull=PULL, examples=size).x,
             "book": lambda: fit_reward_model(np.zeros(logits.shape), pairs, pull=PULL).x}
    return forms | forms_of(peers, {"sklearn": sklearn_fit}, data), size


def equal_fits(results):
    """Weights may differ by the limit of the gradient, 10⁻⁷, over the curvature, at least pull/B.

    On the small size that is 2.5·10⁻⁶ for each direction.
    """
    equal(results, tolerance=1e-5)


def prepare_dpo(size, peers, build):
    """DPO loss and gradient, from the matrix or from strings; `size` is the number of pairs."""
    logits, reference, chosen, rejected = data = batch(size)
    D, strings = difference_matrix(chosen, rejected), listed(chosen, rejected)

    def book():
        given = two_matrices(chosen, rejected) if build else D
        return dpo_loss(logits, reference, given, beta=BETA)

    forms = {"plain": lambda: dpo.loss(logits, reference, strings(), BETA), "book": book}
    makers = {name: partial(maker, build=build) for name, maker in
              (("numba", numba_policy), ("jax", jax_policy), ("torch", torch_policy))}
    return forms | forms_of(peers, makers, data), size


SIZES = (100, 5_000, 20_000)
CASES = [
    Case("W7", "Bradley-Terry, matrix given", "pair", prepare_regression, SIZES),
    Case("W7", "Bradley-Terry, fit", "pair", prepare_fit, (50, *SIZES[1:]), equal_fits),
    Case("W8", "DPO, matrix given", "pair",
         lambda size, peers: prepare_dpo(size, peers, build=False), SIZES),
    Case("W8", "DPO, from strings", "pair",
         lambda size, peers: prepare_dpo(size, peers, build=True), SIZES),
]
