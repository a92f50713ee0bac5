"""Stages of the room; what they need of fieldloom and xarray is here, the numerics are above."""
