"""Structural similarity of two pictures.

Z. Wang, A.C. Bovik, H.R. Sheikh, E.P. Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE Trans. Image Processing 13(4), 600-612, 2004, eq. 13, with a 7 x 7 window.
"""

import numpy as np
from scipy.ndimage import uniform_filter


def similarity(one, other):
    """Mean over the picture, 1 for equal ones; pictures are (height, width, 3) uint8."""
    a, b = (np.asarray(p, np.float64).mean(axis=-1) for p in (one, other))
    assert a.shape == b.shape
    mean_a, mean_b = uniform_filter(a, 7), uniform_filter(b, 7)
    var_a, var_b = uniform_filter(a * a, 7) - mean_a**2, uniform_filter(b * b, 7) - mean_b**2
    cov = uniform_filter(a * b, 7) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(index.mean())
