"""Obstacles' outlines, and graded triangle meshes of a channel around one."""

from .channel import ChannelMesh, channel_mesh, reference_size
from .outline_files import read_outline
from .outlines import Outline, circle, ellipse, naca, polygon, square
from .triangulation import signed_area, triangle_angles

__all__ = [
    "ChannelMesh",
    "Outline",
    "channel_mesh",
    "circle",
    "ellipse",
    "naca",
    "polygon",
    "read_outline",
    "reference_size",
    "signed_area",
    "square",
    "triangle_angles",
]
