"""The flow spec: YAML with places, validated, substituted; pure and light."""

from .load import Spec, load, mask, parse_overrides
from .model import FlowSpec, StepSpec

__all__ = ["FlowSpec", "Spec", "StepSpec", "load", "mask", "parse_overrides"]
