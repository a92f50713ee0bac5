"""Pictures as files: PNG, GIF, MP4."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Picture = np.ndarray[Any, Any]


def check_colours(cmaps: Sequence[str]) -> None:
    """Refuse names that matplotlib does not know.

    Raises
    ------
    ValueError
        With close matches.
    """
    from fieldloom.errors import did_you_mean
    from matplotlib import colormaps

    for name in cmaps:
        if name not in colormaps:
            raise ValueError(f"there is no colour map {name!r}; {did_you_mean(name, list(colormaps))}")


def encode_png(picture: Picture) -> bytes:
    """Encode one picture (height, width, 3) as PNG."""
    import imageio.v3 as iio

    return bytes(iio.imwrite("<bytes>", picture, extension=".png"))


def encode_gif(pictures: Sequence[Picture], fps: float, cmaps: Sequence[str]) -> bytes:
    """Encode pictures as a GIF that loops.

    All frames share one palette, made of the colour maps and of greys for text and edges: no flicker, no noise.
    """
    from PIL import Image

    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette(cmaps))
    indexed = [Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    out = io.BytesIO()
    indexed[0].save(out, format="GIF", save_all=True, append_images=indexed[1:], duration=round(1000 / fps), loop=0)
    return out.getvalue()


def _palette(cmaps: Sequence[str]) -> bytes:
    from matplotlib import colormaps

    names = list(dict.fromkeys(cmaps))
    colours = [colormaps[name](np.linspace(0, 1, 224 // len(names)))[:, :3] for name in names]
    ink = np.array([0x1D, 0x27, 0x33]) / 255
    greys = ink + np.linspace(0, 1, 32)[:, None] * (1 - ink)
    palette: Picture = (np.vstack([*colours, greys]) * 255).round().astype(np.uint8)
    return palette.tobytes()


def encode_mp4(pictures: Sequence[Picture], fps: float) -> bytes:
    """Encode pictures as an H.264 film; odd sizes lose a row or column of pixels.

    Raises
    ------
    RuntimeError
        If the encoder is not installed.
    """
    import imageio.v2 as iio

    height, width = (side - side % 2 for side in pictures[0].shape[:2])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        try:
            with iio.get_writer(path, format="FFMPEG", fps=fps, quality=8, macro_block_size=2) as writer:
                for picture in pictures:
                    writer.append_data(picture[:height, :width])
        except (ImportError, ValueError) as error:
            raise RuntimeError("films need one more package: pip install 'fieldloom-mesh[video]'") from error
        return path.read_bytes()
