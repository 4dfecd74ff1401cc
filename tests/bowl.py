"""A loss whose minimum is known, for optimisers and fits."""

import numpy as np


def quadratic(x):
    """A convex bowl with coupled coordinates, unequal curvatures, and its minimum at `BOTTOM`."""
    z = (x - BOTTOM).ravel()
    return 0.5 * z @ CURVATURE @ z + 2.0, (CURVATURE @ z).reshape(x.shape)


BOTTOM = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]])
CURVATURE = np.diag([1.0, 10.0, 100.0, 1.0, 5.0, 0.5]) + 0.1
