"""Prompts in words: captions to train on, a tokenizer that keeps numbers, an encoder, and exact readings."""

from __future__ import annotations
