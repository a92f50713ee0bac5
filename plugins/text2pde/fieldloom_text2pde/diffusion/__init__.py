"""Diffusion: corrupt data with noise, and sample by undoing it; any shape of data, any network."""

from __future__ import annotations

from .process import FlowMatching, Process, VariancePreserving
from .samplers import SAMPLERS, sample

__all__ = ["SAMPLERS", "FlowMatching", "Process", "VariancePreserving", "sample"]
