"""Captions made from data by rules: words that carry numbers, and what each number means."""

from __future__ import annotations

from .model import NUMBER_WORDS, Caption, Span, number_value, spans_from_json, spans_to_json

__all__ = ["NUMBER_WORDS", "Caption", "Span", "number_value", "spans_from_json", "spans_to_json"]
