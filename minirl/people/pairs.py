"""Preferences: pairs of strings of which one was preferred."""

import numpy as np


def check_rows(name, rows, table):
    """Refuse a matrix of counts that is empty or does not fit the table.

    Raises ValueError by name.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> check_rows("pairs", csr_array([[-1., 1.]]), np.zeros((1, 2)))
    """
    if rows.shape[0] == 0 or rows.shape[1] != table.size:
        raise ValueError(f"{name} must be (B, {table.size}) with B > 0 for a table of shape "
                         f"{table.shape}, got {rows.shape}")


def shares(pair_weights, pairs):
    """q/Σq of (reward_model.3): what each of B pairs counts, (B,).

    Parameters
    ----------
    pair_weights : (B,) float ≥ 0, or None
        By default all pairs count the same.
    pairs : int ≥ 1
        B.

    Raises
    ------
    ValueError
        If the weights do not fit, or are not finite, negative or all zero.

    Examples
    --------
    >>> print(shares(None, 2), shares(np.array([3.0, 1.0]), 2))
    [0.5 0.5] [0.75 0.25]
    """
    if pair_weights is None:
        return np.full(pairs, 1 / pairs)
    q = pair_weights
    if q.shape != (pairs,) or not (np.isfinite(q).all() and (q >= 0).all() and q.any()):
        raise ValueError(f"pair_weights must be {pairs} finite numbers, not negative and not all "
                         f"zero, got {q}")
    return q / q.sum()
