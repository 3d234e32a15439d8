"""The network of every stage: an encoder and a decoder a modality, and what joins them.

Parameters stand under `encoder_<modality>`, `decoder_<modality>`, `merger_<modality>` (the dense
layers between the two, where there are any), `pair` (the temperature of the contrastive loss) and
`merger` (the dense layer of the Kronecker merge).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.initializers import glorot_uniform
from medjax.nn.linear import Linear
from medjax.systems.crossmodal.architecture import Architecture
from medjax.systems.crossmodal.blocks import Decoder, Encoder, Merger
from medjax.systems.crossmodal.merge import merge_latents

LOG_SCALE = ("pair", "log_scale")
"""Path of the temperature among the parameters."""


class Temperature(nn.Module):
    """The logarithm of the factor on the cosines of the contrastive loss, trained: [1]."""

    start: float

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("log_scale", nn.initializers.constant(self.start), (1,), jnp.float32)


class FixedMask(nn.Module):
    """Which modality each coordinate is taken from, int32 [width], drawn with the weights."""

    width: int
    modalities: int

    @nn.compact
    def __call__(self) -> jax.Array:
        def draw() -> jax.Array:
            key = self.make_rng("params")
            return jax.random.randint(key, (self.width,), 0, self.modalities)

        return self.variable("fixed", "coordinate_index", draw).value


class CrossModal(nn.Module):
    """Autoencoders of one modality or several that share a latent space."""

    modalities: tuple[tuple[str, Architecture], ...]
    """(name, architecture), in the order of the merge: the first is index 0."""
    merge: str = ""
    """How latents are joined (`choices.MERGES`); "" for one modality."""
    mergers: tuple[str, ...] = ()
    """Modalities with dense layers between the latent vector and their decoder."""
    temperature: float | None = None
    """Where the logarithm of the contrastive factor starts; None: no such parameter."""
    decoders: bool = True
    """False: encoders alone, for latents of weights that came without decoders."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """Make the parts."""
        parts: dict[str, nn.Module] = {}
        for name, options in self.modalities:
            parts[f"encoder_{name}"] = Encoder(options, self.dtype, name=f"encoder_{name}")
            if self.decoders:
                parts[f"decoder_{name}"] = Decoder(options, self.dtype, name=f"decoder_{name}")
            if name in self.mergers:
                parts[f"merger_{name}"] = Merger(options, name=f"merger_{name}")
        if self.temperature is not None:
            parts["pair"] = Temperature(self.temperature, name="pair")
        if self.merge == "kronecker":
            parts["merger"] = Linear(
                self.width, glorot_uniform, nn.initializers.zeros, self.dtype, name="merger"
            )
        if self.merge == "coordinate_fixed":
            parts["mask"] = FixedMask(self.width, len(self.modalities), name="mask")
        self.parts = parts

    @property
    def width(self) -> int:
        """Width of a latent vector."""
        return self.modalities[0][1].latent

    def encode(
        self, name: str, x: jax.Array, valid: jax.Array | None = None, *, train: bool = False
    ) -> jax.Array:
        """Return the latent [batch, width] of signals [batch, *shape] of a modality."""
        return self.parts[f"encoder_{name}"](x, valid, train=train)[-1]

    def merged(
        self,
        latents: Sequence[jax.Array],
        index: jax.Array | None = None,
        present: jax.Array | None = None,
    ) -> jax.Array:
        """Join the latents of all modalities (`merge_latents`); the fixed mask is the model's."""
        if self.merge == "coordinate_fixed":
            index = self.parts["mask"]()
        joined = merge_latents(latents, self.merge, index, present)
        return self.parts["merger"](joined) if self.merge == "kronecker" else joined

    def decode(
        self, name: str, z: jax.Array, valid: jax.Array | None = None, *, train: bool = False
    ) -> jax.Array:
        """Return signals [batch, *shape] of a modality from latents [batch, width]."""
        if name in self.mergers:
            z = self.parts[f"merger_{name}"](z, valid, train=train)
        return self.parts[f"decoder_{name}"](z, valid, train=train)[-1]

    def log_scale(self) -> jax.Array:
        """Return the temperature's parameter, [1]."""
        return self.parts["pair"]()

    def __call__(self) -> None:
        """Run every part once, on a row of zeros: what `init` needs."""
        rows = {n: jnp.zeros((1, *o.shape), self.dtype) for n, o in self.modalities}
        latents = [self.encode(name, x) for name, x in rows.items()]
        if not self.decoders:
            return
        index = jnp.zeros(1, jnp.int32)
        z = self.merged(latents, index) if self.merge else latents[0]
        for name in rows:
            self.decode(name, z)
        if self.temperature is not None:
            self.log_scale()


def make_init(model: CrossModal) -> Callable[[jax.Array], dict[str, Any]]:
    """Return key -> fresh variables."""
    return lambda key: dict(model.init({"params": key}))


def clip_log_scale(variables: Mapping[str, Any], highest: float) -> dict[str, Any]:
    """Return variables whose contrastive temperature's logarithm is at most `highest`."""
    params = dict(variables["params"])
    part, name = LOG_SCALE
    params[part] = {name: jnp.minimum(params[part][name], highest)}
    return {**variables, "params": params}
