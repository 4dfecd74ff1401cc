"""How a peer gets the book's inputs, and how the book's tests of equality get the peer's results.

A peer is imported where it is asked for and nowhere else.  It gets the book's inputs, number for
number and with as many bits, as arrays of its own, before it is timed.  What it wants in another
type or another order it makes itself, while it is timed.  Its results are NumPy arrays.
"""

import numpy as np


def forms_of(peers, makers, data):
    """The forms of those peers that were asked for: each maker turns the data into forms by name.

    Parameters
    ----------
    peers : frozenset of str
        Names of modules.
    makers : dict
        Name of a module to a function of the data that imports it and returns a dict of forms.
    data : tuple

    Returns
    -------
    dict
        Name to a function without arguments.

    Examples
    --------
    >>> makers = {"numba": lambda x: {"numba": lambda: x}, "jax": lambda x: {"jax": lambda: -x}}
    >>> list(forms_of(frozenset({"jax"}), makers, (3,)))
    ['jax']
    """
    return {name: form for peer, make in makers.items() if peer in peers
            for name, form in make(*data).items()}


def compiled(function):
    """`function`, a plain loop over arrays, compiled by numba: the limit of the machine.

    Sums may be added up in any order, as NumPy does it too.
    """
    import numba

    return numba.njit(function, fastmath=True)


def loop_softmax():
    """The softmax of a table's rows, as a compiled loop."""

    def softmax(logits):
        policy = np.empty_like(logits)
        for s in range(len(logits)):
            policy[s] = np.exp(logits[s] - logits[s].max())
            policy[s] /= policy[s].sum()
        return policy

    return compiled(softmax)


def unsigned(index):
    """The same numbers, of which numba need not ask whether they are negative."""
    return index.view(np.uint32)


def in_jax(function, *arrays, dtype="float64"):
    """`function` of `arrays`, compiled by jax, as a form without arguments.

    Floating-point arrays are converted to `dtype`.  64-bit numbers are switched on here only, not
    for the whole process.
    """
    import jax

    wide = dtype == "float64"
    with jax.enable_x64(wide):
        given = [jax.numpy.asarray(x.astype(dtype) if x.dtype.kind == "f" else x) for x in arrays]
    fast = jax.jit(function)

    def form():
        with jax.enable_x64(wide):
            return jax.tree.map(np.asarray, fast(*given))

    return form
