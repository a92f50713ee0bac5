"""The operator of a Krylov method on tensors: for GPUs, where Numba's kernels do not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .components import find_components
from .directions.learned_multigrid import learned_parameters
from .directions.multigrid import relative_faces
from .directions.torch_multigrid import TorchMultigrid, faces_of
from .kernels import torch_grid
from .krylov import Outcome, Tolerance, pcg
from .problem import Poisson, without_rim


class TorchOperator:
    """A :class:`Poisson` system on tensors of shape (1, *grid), in double precision.

    Every scalar product waits for the device; what they cost on a GPU has not been measured.
    """

    def __init__(self, faces: Sequence[Tensor], labels: Tensor | None = None) -> None:
        self._faces = faces
        self._labels = labels
        self._sizes = None if labels is None else torch.bincount(labels).to(faces[0].dtype)

    def zeros(self) -> Tensor:
        shape = [n - (k == 0) for k, n in enumerate(self._faces[0].shape[1:])]
        return self._faces[0].new_zeros((1, *shape))

    def apply(self, p: Tensor, q: Tensor) -> float:
        q.copy_(torch_grid.apply(self._faces, p))
        return self.dot(p, q)

    def step(self, alpha: float, p: Tensor, q: Tensor, x: Tensor, r: Tensor) -> float:
        x.add_(p, alpha=alpha)
        r.sub_(q, alpha=alpha)
        return self.dot(r, r)

    def combine(self, alpha: float, z: Tensor, beta: float, p: Tensor) -> None:
        p.mul_(beta).add_(z, alpha=alpha)

    def dot(self, a: Tensor, b: Tensor) -> float:
        return float((a * b).sum())

    def project(self, v: Tensor) -> None:
        if self._labels is not None and self._sizes is not None:
            sums = torch.zeros_like(self._sizes).index_add_(0, self._labels, v.flatten())
            means = sums / self._sizes
            means[0] = 0.0
            v -= means[self._labels].reshape(v.shape)


def solve_on_device(problem: Poisson, b: Tensor, rtol: float, maxiter: int = 1000) -> tuple[Tensor, Outcome]:
    """Solve for one right-hand side of shape (*grid) on the device of ``b``, by the learned cycle in torch.

    Returns
    -------
    x : Tensor
    outcome : Outcome
    """
    device = b.device
    operator = TorchOperator(
        [w.to(device) for w in faces_of(problem.conductances(), torch.float64)], _labels(problem, device)
    )
    faces, _ = relative_faces(problem)
    model = TorchMultigrid.of(
        [w.to(device) for w in faces_of(without_rim(faces))], learned_parameters(problem), problem.spacing
    )
    r = b.detach().to(torch.float64)[None].clone()
    r *= torch.from_numpy(problem.mask).to(device)
    operator.project(r)
    x = operator.zeros()
    outcome = pcg(operator, model, x, r, Tolerance(rtol * float(r.norm()), maxiter))
    operator.project(x)
    return (x[0] * torch.from_numpy(problem.mask).to(device)).to(b.dtype), outcome


def _labels(problem: Poisson, device: torch.device) -> Tensor | None:
    labels = find_components(problem).labels
    if labels is None:
        return None
    padded: np.ndarray[Any, Any] = labels.reshape([n + 2 for n in problem.shape])
    inner = np.ascontiguousarray(padded[(slice(1, -1),) * problem.ndim])
    return torch.from_numpy(inner.ravel().astype(np.int64)).to(device)
