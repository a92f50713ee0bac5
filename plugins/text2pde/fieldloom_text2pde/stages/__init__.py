"""Stages of the room: parameters and data contracts; numerics are imported when they run."""
