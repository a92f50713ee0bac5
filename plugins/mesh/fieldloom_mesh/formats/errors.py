"""What can go wrong with mesh files, grouped by what the reader of the message would do."""

from __future__ import annotations

from pathlib import Path


class MeshFileWarning(UserWarning):
    """The file was read, but not everything in it could be kept; the message names what."""


class UnreadableMesh(ValueError):
    """A mesh file cannot be read: broken, of another kind than its name says, or too large.

    Attributes
    ----------
    path : Path
    reason : str
        What was found.
    advice : str
        What to do.
    kind : str
        ``empty``, ``content``, ``missing``, ``format``, ``reader``, ``crash``, ``timeout``, ``memory``, ``invalid``.
    """

    def __init__(self, path: Path, reason: str, advice: str, kind: str = "reader") -> None:
        super().__init__(f"cannot read the mesh {str(path)!r}: {reason}; {advice}")
        self.path, self.reason, self.advice, self.kind = path, reason, advice, kind


class UnwritableMesh(ValueError):
    """A format cannot keep a mesh as it is; the message names the cells and the fields that would be lost."""
