"""The whole generator: autoencoder, text, and what draws latents; from a prompt, numbers or a first frame to fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import weights
from ..autoencoders.grid import GridAutoencoder, GridAutoencoderConfig, frames_of, points_of
from ..autoencoders.mesh import MeshAutoencoder, MeshAutoencoderConfig
from ..domains import Domain, MeshDomain
from ..geometry import geometry_of
from ..text.encoder import TextEncoder
from ..text.hugging_face import PretrainedText
from ..text.tokenizer import Tokenizer
from .field_mean import FIELD_MEANS, FieldMean
from .setting import Design, Setting
from .two_part import Conditions, Sizes, TwoPart

if TYPE_CHECKING:
    import xarray as xr

Autoencoder = MeshAutoencoder | GridAutoencoder
Array = NDArray[np.floating[Any]]
OVERSAMPLING, ROUNDS = 4, 8
"""First frames that are drawn at once for each that is kept, where they can be checked, and how often at most."""


class Generator(nn.Module):
    """Draw trajectories on any mesh in the model's box, or on its grid.

    Parameters
    ----------
    setting : Setting
    design : Design
    autoencoder : MeshAutoencoder or GridAutoencoder
    text : TextEncoder, optional
    tokenizer : Tokenizer, optional

    Notes
    -----
    ``opening`` draws the first frame from prompt and numbers, ``continuation`` the trajectory from its first frame.
    """

    latent_shift: Tensor
    latent_scale: Tensor

    def __init__(
        self,
        setting: Setting,
        design: Design,
        autoencoder: Autoencoder,
        text: TextEncoder | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        super().__init__()
        self.setting, self.design, self.tokenizer = setting, design, tokenizer
        self.autoencoder, self.text = autoencoder, text
        config = autoencoder.config
        ny, nx = config.latent_shape
        frames = len(setting.times) // config.block
        self.wall_channels = autoencoder_walls(autoencoder)
        self.pretrained = _pretrained(setting.text_model)
        self.text_width = self.pretrained[0].width if self.pretrained else text.width if text is not None else 0
        numbers = len(setting.numbers.names)

        def sizes(count: int, framed: bool) -> Sizes:
            return Sizes(count, config.latents, ny, nx, self.wall_channels, numbers, self.text_width, framed)

        latent_mean = design.mean_backbone if design.mean == "latent" else None
        process = design.make_process()
        self.opening = TwoPart(
            sizes(1, False), design.opening_backbone, design.opening_backbone, process, design.condition
        )
        self.continuation = TwoPart(
            sizes(frames, True), latent_mean, design.residual_backbone, process, design.condition
        )
        self.field_mean: FieldMean | None = None
        if design.mean in FIELD_MEANS:
            fields = config.fields
            self.field_mean = FieldMean(
                design.mean,
                fields,
                len(setting.times),
                self.wall_channels,
                numbers,
                design.field_widths,
                design.field_blocks,
            )
        self.register_buffer("latent_shift", torch.zeros(config.latents, 1, 1))
        self.register_buffer("latent_scale", torch.ones(config.latents, 1, 1))

    # ------------------------------------------------------------------ domains and latents

    def mesh_domain(self, points: NDArray[np.float64], triangles: NDArray[np.int64]) -> MeshDomain:
        """Tie a mesh to the latent grid.

        Raises
        ------
        ValueError
            If the model was trained on a grid, or the mesh leaves the model's box by more than a hundredth.
        """
        if not isinstance(self.autoencoder, MeshAutoencoder):
            raise ValueError("the model was trained on a grid; it cannot draw on a mesh")
        box = self.autoencoder.config.box
        beyond = np.maximum(box.low - points.min(axis=0), points.max(axis=0) - box.high).max()
        if beyond > 0.01 * float(box.size.max()):
            low, high = points.min(axis=0).round(4).tolist(), points.max(axis=0).round(4).tolist()
            raise ValueError(
                f"the mesh reaches from {low} to {high} m, {beyond:.3g} m beyond the box of the model, "
                f"{list(box.low)} to {list(box.high)} m; move it there, or train on such meshes"
            )
        return self.autoencoder.domain(points, geometry_of(points, triangles, self.setting.walls, box))

    def latent_walls(self, domains: Sequence[Domain]) -> Tensor:
        """What the latent grid knows of the walls, (batch, walls, ny, nx)."""
        walls = torch.stack([d.walls for d in domains]).to(self.latent_scale)
        return nn.functional.adaptive_avg_pool2d(walls, self.autoencoder.config.latent_shape)

    def encode(self, fields: Sequence[Tensor], domains: Sequence[Domain]) -> Tensor:
        """Standardised latents (batch, time', latents, ny', nx') of physical fields (time, n_i, channels)."""
        scaled = [self.setting.scaling.apply(f) for f in fields]
        return (self.autoencoder.encode(scaled, domains)[0] - self.latent_shift) / self.latent_scale

    def decode(self, latents: Tensor, domains: Sequence[Domain]) -> list[Tensor]:
        """Undo :meth:`encode`."""
        found = self.autoencoder.decode(latents * self.latent_scale + self.latent_shift, domains)
        return [self.setting.scaling.undo(f) for f in found]

    @torch.no_grad()
    def encode_frame(self, frames: Sequence[Tensor], domains: Sequence[Domain]) -> Tensor:
        """Latents (batch, latents, ny', nx') of frames (n_i, channels); where latents share frames, of stills."""
        block = self.autoencoder.config.block
        return self.encode([f[None].expand(block, -1, -1) for f in frames], domains)[:, 0]

    # ------------------------------------------------------------------ conditions

    def conditions(
        self, domain: Domain, numbers: Mapping[str, float], prompt: str | None, frame: Tensor | None
    ) -> Conditions:
        """What is known of one trajectory: a batch of one.

        Parameters
        ----------
        numbers : mapping of str to float
            SI units; those that are missing stay unknown.
        frame : Tensor, shape (1, latents, ny', nx'), optional
        """
        values, known = (x[None].to(self.latent_scale) for x in self.setting.numbers.standardise(numbers))
        pooled, tokens, mask = self.embed_prompt(prompt)
        return Conditions(self.latent_walls([domain]), values, known, pooled, frame, tokens, mask)

    def embed_prompt(self, prompt: str | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Embedding (1, width), tokens and mask of a prompt; zeros without one."""
        if not self.text_width:
            return self.latent_scale.new_zeros(1, 0), None, None
        if not prompt:
            zero = self.latent_scale.new_zeros(1, self.text_width)
            return zero, zero[:, None], torch.ones(1, 1, dtype=torch.bool, device=zero.device)
        return self.embed([prompt])

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Pooled embeddings (batch, width), tokens (batch, length, width) and mask of prompts."""
        if self.pretrained:
            found = self.pretrained[0].to(self.latent_scale.device)(prompts)
            return found.pooled, found.tokens, found.mask
        assert self.text is not None
        assert self.tokenizer is not None
        encoded = self.text(self.tokenizer.batch(prompts).to(self.latent_scale.device))
        return encoded.pooled, encoded.tokens, encoded.mask

    # ------------------------------------------------------------------ drawing

    @torch.no_grad()
    def draw_frame(
        self, domain: Domain, given: Conditions, members: int, draw: Draw, wanted: Callable[[Array], bool] | None = None
    ) -> Tensor:
        """Latents of first frames (members, latents, ny', nx') from prompt and numbers.

        Parameters
        ----------
        wanted : callable, optional
            Says of a first frame (n, channels) whether it shows what was asked for. Frames are drawn until enough of
            them do, ``ROUNDS`` times ``OVERSAMPLING`` as many at most; where these are too few, others fill up.
        """
        if wanted is None:
            return self._frames(given, members, draw, 0)
        kept, others = [], []
        for round_ in range(ROUNDS):
            found = self._frames(given, OVERSAMPLING * members, draw, round_)
            for frame, shown in zip(found.split(1), self.decode(found[:, None], [domain] * len(found)), strict=True):
                (kept if wanted(shown[0].cpu().numpy()) else others).append(frame)
            if len(kept) >= members:
                break
        return torch.cat([*kept, *others][:members])

    def _frames(self, given: Conditions, count: int, draw: Draw, round_: int) -> Tensor:
        """Latents of first frames (count, latents, ny', nx')."""
        given = given.rows(torch.zeros(count, dtype=torch.int64))
        mean = self.opening.expected(given)
        noise, steps = draw.noise(mean.shape, round_).to(mean), max(draw.steps, draw.opening_steps)
        return self.opening.draw(mean, given, noise, sampler=draw.sampler, steps=steps, guidance=draw.guidance)[:, 0]

    def continued(
        self,
        domain: Domain,
        frame: Array,
        numbers: Mapping[str, float],
        members: int,
        draw: Draw,
        prompt: str | None = None,
    ) -> Array:
        """An ensemble (members, time, n, channels) from a first frame (n, channels), physical units."""
        first = torch.from_numpy(frame).to(self.latent_scale)
        given = self.conditions(domain, numbers, prompt, self.encode_frame([first], [domain]))
        rows = given.rows(torch.zeros(members, dtype=torch.int64))
        return np.asarray(self.draw_trajectories(domain, rows, draw, first.expand(members, -1, -1)).cpu())

    def imagined(
        self,
        domain: Domain,
        numbers: Mapping[str, float],
        members: int,
        draw: Draw,
        prompt: str | None = None,
        wanted: Callable[[Array], bool] | None = None,
    ) -> Array:
        """An ensemble (members, time, n, channels) from numbers and a prompt alone, physical units."""
        alone = self.conditions(domain, numbers, prompt, None)
        start = self.draw_frame(domain, alone, members, draw, wanted)
        given = replace(alone.rows(torch.zeros(members, dtype=torch.int64)), frame=start)
        return np.asarray(self.draw_trajectories(domain, given, draw).cpu())

    @torch.no_grad()
    def expected(self, domain: Domain, given: Conditions, first: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Mean latents and, if the mean lives in physical space, mean fields (batch, time, n, channels).

        Parameters
        ----------
        first : Tensor, shape (batch, n, channels), optional
            The first frame in physical units; decoded from the conditions' unless given.
        """
        if self.field_mean is None:
            return self.continuation.expected(given), None
        assert given.frame is not None
        if first is None:
            first = torch.stack(self.decode(given.frame[:, None], [domain] * len(given.frame)))[:, 0]
        shape = self.autoencoder.config.shape
        start = frames_of(self.setting.scaling.apply(first), shape)
        walls = domain.walls.to(start).expand(len(start), -1, -1, -1)
        frames = self.field_mean(start, walls, given.numbers * given.known)
        fields = self.setting.scaling.undo(points_of(frames))
        return self.encode(list(fields), [domain] * len(fields)), fields

    @torch.no_grad()
    def draw_trajectories(self, domain: Domain, given: Conditions, draw: Draw, first: Tensor | None = None) -> Tensor:
        """Trajectories (batch, time, n, channels) in physical units, one for each row of the conditions.

        Parameters
        ----------
        given : Conditions
            With first frames.
        first : Tensor, shape (batch, n, channels), optional
            The first frames themselves; they are returned as they are.
        """
        mean, fields = self.expected(domain, given, first)
        batch = len(mean)
        if draw.members_share_mean:  # deterministic
            latents = mean
        else:
            noise = draw.noise(mean.shape).to(mean)
            latents = self.continuation.draw(
                mean, given, noise, sampler=draw.sampler, steps=draw.steps, guidance=draw.guidance
            )
        out = torch.stack(self.decode(latents, [domain] * batch))
        if fields is not None:  # what the autoencoder loses of the mean is kept
            out = fields + out - torch.stack(self.decode(mean, [domain] * batch))
        if first is not None:
            out[:, 0] = first
        return out

    # ------------------------------------------------------------------ storage

    def to_dataset(self, attrs: Mapping[str, Any] | None = None) -> xr.Dataset:
        """Everything, as arrays and JSON."""
        kind = "mesh" if isinstance(self.autoencoder, MeshAutoencoder) else "grid"
        about = {
            "kind": kind,
            "setting": self.setting.to_json(),
            "design": asdict(self.design),
            "autoencoder": self.autoencoder.config.to_json(),
            "text": None if self.text is None else self.text.config(),
            "tokenizer": None if self.tokenizer is None else self.tokenizer.config(),
        }
        return weights.to_dataset(self.state_dict(), {**about, **(attrs or {})})

    @classmethod
    def from_dataset(cls, data: xr.Dataset) -> Generator:
        """Undo :meth:`to_dataset`."""
        config = weights.attribute(data, "autoencoder")
        text, tokenizer = (weights.attribute(data, name) for name in ("text", "tokenizer"))
        model = cls(
            Setting.from_json(weights.attribute(data, "setting")),
            Design.from_json(weights.attribute(data, "design")),
            make_autoencoder(weights.attribute(data, "kind"), config),
            text and TextEncoder.from_config(text),
            tokenizer and Tokenizer.from_config(tokenizer),
        )
        weights.load(model, weights.from_dataset(data))
        return model.eval()


@dataclass(frozen=True, slots=True)
class Draw:
    """How to sample.

    Attributes
    ----------
    seed : int
    sampler : str
        See :data:`fieldloom_text2pde.diffusion.samplers.SAMPLERS`.
    steps, opening_steps : int
        Of the trajectory, and at least so many of the first frame.
    guidance : float
    antithetic : bool
        Let noise come in pairs of opposite sign, which halves what chance adds to an ensemble's mean.
    members_share_mean : bool
        Return the mean alone, without drawing.
    """

    seed: int = 0
    sampler: str = "flow-euler"
    steps: int = 2
    opening_steps: int = 8
    guidance: float = 1.0
    antithetic: bool = True
    members_share_mean: bool = False

    def noise(self, shape: torch.Size, round_: int = 0) -> Tensor:
        """Standard normal numbers; with ``antithetic`` the second half of the batch is the first, negated."""
        generator = torch.Generator().manual_seed(self.seed + round_ * 1_000_003)
        if not self.antithetic or shape[0] < 2:
            return torch.randn(shape, generator=generator)
        half = torch.randn((shape[0] - shape[0] // 2, *shape[1:]), generator=generator)
        return torch.cat([half, -half])[: shape[0]]


def _pretrained(name: str) -> tuple[PretrainedText, ...]:
    """The encoder of that name, in a tuple: its weights are not the model's own, and not stored with it."""
    return (PretrainedText(name),) if name else ()


def make_autoencoder(kind: str, config: dict[str, Any]) -> Autoencoder:
    """Build the autoencoder of a kind (``"mesh"``, ``"grid"``) and configuration."""
    if kind == "mesh":
        return MeshAutoencoder(MeshAutoencoderConfig.from_json(config))
    return GridAutoencoder(GridAutoencoderConfig.from_json(config))


def autoencoder_walls(autoencoder: Autoencoder) -> int:
    """Channels of the walls that it knows."""
    from ..autoencoders.grid import WALLS
    from ..geometry import FEATURES

    return FEATURES if isinstance(autoencoder, MeshAutoencoder) else WALLS
