"""The moving average against NumPy's convolution alone: CPU seconds, and their ratio, in one run."""

import time

import numpy as np
from fieldloom_template.smoothing import moving_average


def cpu(function, repeats=20):
    start = time.process_time()
    for _ in range(repeats):
        function()
    return (time.process_time() - start) / repeats


if __name__ == "__main__":
    values, window = np.random.default_rng(0).standard_normal(1_000_000), np.ones(9)
    ours = cpu(lambda: moving_average(values, 9))
    peer = cpu(lambda: np.convolve(values, window))
    print(f"moving_average {ours:.4f} s, numpy.convolve {peer:.4f} s, ratio {ours / peer:.2f}")
