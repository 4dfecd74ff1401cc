"""The gradient checker of the tests.  `test_gradcheck.py` proves that it can fail.

A gradient written by hand is compared with two numerical ones, entry by entry.  Central differences
[f(x + h) − f(x − h)] / 2h are the definition of a derivative, but they subtract two nearly equal
numbers: in float64 they are good to about 1e-9 of the largest entry.  The complex step Im f(x + ih)
/ h subtracts nothing.  With h = 1e-30 it is good to about 1e-15, and it needs a loss made of
functions that are differentiable in the complex plane.  A point is special where a loss has a kink
or a gradient that vanishes by symmetry; a check there proves little, so take random points
elsewhere.
"""

import numpy as np

CENTRAL, COMPLEX = 1e-7, 1e-12  # largest errors allowed, relative to the largest entry


def gradient_errors(loss, x, *, h=1e-5):
    """Largest errors of an analytic gradient against central differences and complex step.

    `loss(x) -> (float, array shaped like x)`.  Returns two floats, relative to the largest entry of
    the central difference.
    """
    x = np.array(x, dtype=np.float64)
    _, analytic = loss(x)
    assert analytic.shape == x.shape, f"gradient {analytic.shape} for parameter {x.shape}"
    central, exact = np.empty_like(x), np.empty_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1.0
        central[i] = (loss(x + h * step)[0] - loss(x - h * step)[0]) / (2 * h)
        exact[i] = loss(x + 1e-30j * step)[0].imag / 1e-30
    scale = np.abs(central).max()
    assert scale > 1e-4, "gradient too small here for a pass to mean anything"
    return np.abs(analytic - central).max() / scale, np.abs(analytic - exact).max() / scale


def assert_gradient(loss, x):
    """Fail unless the gradient of `loss` at `x` passes both comparisons.  Returns both errors."""
    central, exact = gradient_errors(loss, x)
    assert central <= CENTRAL, f"central differences disagree: {central:.1e} > {CENTRAL:.0e}"
    assert exact <= COMPLEX, f"complex step disagrees: {exact:.1e} > {COMPLEX:.0e}"
    return central, exact
