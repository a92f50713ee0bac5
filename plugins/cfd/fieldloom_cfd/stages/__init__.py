"""The stages of the room: parameters and data contracts. The numerics are in modules without fieldloom."""
