"""Lin's concordance correlation coefficient as a measure of the SAI.

It is Pearson's correlation times a factor that falls if the two matrices differ in
mean or spread. Source: Lin, Biometrics 45 (1989), 255-268.
"""

import numpy as np


def concordance(x: np.ndarray, y: np.ndarray) -> float:
    """Return the coefficient, in [-1, 1]: 1 for equal values.

    ``x`` and ``y`` (n,) are the values of both matrices next to the diagonal, each
    scaled to [0, 1]. Higher values of a measure mean more similar, and 1 means equal,
    so that dsi can compute the excess over chance.
    """
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    distance = (x.mean() - y.mean()) ** 2
    return float(2 * covariance / (x.var() + y.var() + distance))
