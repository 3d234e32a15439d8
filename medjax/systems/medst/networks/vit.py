"""The vision transformer with an expert a view: frontal and lateral films share their attention."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from medjax.nn.vit import Block, Mlp, ViT, layer_norm, perceive


class ViewBlock(Block):
    """A block with a second norm and perceptron, for the tokens of lateral films."""

    def setup(self) -> None:
        super().setup()
        config = self.config
        self.lateral_norm = layer_norm(self.dtype)
        self.lateral_mlp = Mlp(round(config.width * config.mlp_ratio), config.dropout, self.dtype)

    def perceive(self, x: jax.Array, frontal: int, *, train: bool) -> jax.Array:
        """Send the first `frontal` tokens through one expert, the others through the other."""
        first, lateral = x[:, :frontal], x[:, frontal:]
        parts = []
        if first.shape[1]:
            parts.append(perceive(self.mlp_norm, self.mlp, first, train=train))
        if lateral.shape[1]:
            parts.append(perceive(self.lateral_norm, self.lateral_mlp, lateral, train=train))
        return jnp.concatenate(parts, 1)

    def __call__(
        self,
        x: jax.Array,
        allowed: jax.Array | None = None,
        frontal: int = 1 << 30,
        *,
        train: bool,
    ) -> tuple[jax.Array, jax.Array]:
        """x [batch, token, width] -> the same, attention [batch, head, token, token].

        allowed: bool, broadcast to the attention's shape; frontal: number of leading tokens that
        are of the frontal film.
        """
        x, attention = self.attend(x, allowed, train=train)
        return self.add(x, self.perceive(x, frontal, train=train), train=train), attention


class Views(NamedTuple):
    """Tokens of a batch of films after the last norm."""

    frontal: jax.Array
    """[batch, 1 + patch, width], the class token first."""
    lateral: jax.Array | None
    """[lateral, patch, width], of the rows that lateral films stand for."""


class ViewViT(ViT):
    """A vision transformer of two views.

    The tokens of a row are those of the frontal film and, where there is a lateral one, its
    patches with the same positions; a lateral film has no class token.
    """

    experts: bool = True
    """Whether lateral tokens have a perceptron of their own in every block (MoVE)."""

    def make_block(self, drop_path: float) -> Block:
        if self.experts:
            return ViewBlock(self.config, drop_path, self.dtype)
        return super().make_block(drop_path)

    def run(
        self, x: jax.Array, frontal: int, allowed: jax.Array | None = None, *, train: bool
    ) -> tuple[jax.Array, list[jax.Array]]:
        """Send tokens [batch, token, width] through the blocks and the last norm.

        Args:
            x: what `embed` gives, of one view or two.
            frontal: number of leading tokens of the frontal film.
            allowed: bool [batch, token], which may be attended to; None: all.
            train: apply dropout.

        Returns:
            The tokens, and what the class token of every block attends to [batch, head, token].
        """
        seen = []
        keys = None if allowed is None else allowed[:, None, None, :]
        for block in self.blocks:
            if isinstance(block, ViewBlock):
                x, attention = block(x, keys, frontal, train=train)
            else:
                x, attention = block(x, keys, train=train)
            seen.append(attention[:, :, 0])
        return self.norm(x), seen

    def one_view(
        self, images: jax.Array, view: str = "frontal", *, train: bool
    ) -> tuple[jax.Array, list[jax.Array]]:
        """Encode films [batch, height, width, 3] of one view, as `run` does."""
        tokens = self.embed(images, train=train)
        return self.run(tokens, tokens.shape[1] if view == "frontal" else 0, train=train)

    def two_views(
        self, frontal: jax.Array, lateral: jax.Array, has_lateral: jax.Array, *, train: bool
    ) -> tuple[jax.Array, list[jax.Array]]:
        """Encode films of two views [batch, height, width, 3], as `run` does.

        has_lateral: bool [batch]; nobody attends to the lateral tokens of other rows.
        """
        first = self.embed(frontal, train=train)
        second = self.embed(lateral, train=train)[:, 1:]
        there = jnp.ones(first.shape[:2], bool)
        allowed = jnp.broadcast_to(has_lateral.astype(bool)[:, None], second.shape[:2])
        return self.run(
            jnp.concatenate([first, second], 1),
            first.shape[1],
            jnp.concatenate([there, allowed], 1),
            train=train,
        )

    def views(
        self,
        frontal: jax.Array,
        lateral: jax.Array | None,
        has_lateral: jax.Array | None,
        parts: int = 1,
        *,
        train: bool,
    ) -> Views:
        """Encode a batch in which only some rows have a lateral film; the others cost one view.

        Args:
            frontal: [batch, height, width, 3].
            lateral: [lateral, height, width, 3], of as many leading rows of each part as there are
                lateral films a part; None: of no row.
            has_lateral: bool [lateral], False where a film only fills a place up.
            parts: number of consecutive equal parts of the batch, one a device, say.
            train: apply dropout.
        """
        if lateral is None or has_lateral is None or not len(lateral):
            return Views(self.one_view(frontal, train=train)[0], None)
        patches = self.config.patches
        with_lateral, without = split_rows(frontal, len(lateral), parts)
        both, _ = self.two_views(with_lateral, lateral, has_lateral, train=train)
        if not len(without):
            return Views(both[:, :-patches], both[:, -patches:])
        alone, _ = self.one_view(without, train=train)
        return Views(join_rows(both[:, :-patches], alone, parts), both[:, -patches:])

    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Return the tokens of frontal films alone."""
        return self.one_view(images, train=train)[0]


def split_rows(x: jax.Array, leading: int, parts: int = 1) -> tuple[jax.Array, jax.Array]:
    """Cut x [batch, ...] into the `leading` first rows, as many in each part, and the others."""
    grouped = x.reshape(parts, -1, *x.shape[1:])
    first, rest = grouped[:, : leading // parts], grouped[:, leading // parts :]
    return first.reshape(-1, *x.shape[1:]), rest.reshape(-1, *x.shape[1:])


def join_rows(first: jax.Array, rest: jax.Array, parts: int = 1) -> jax.Array:
    """Undo `split_rows`."""
    grouped = [x.reshape(parts, -1, *x.shape[1:]) for x in (first, rest)]
    return jnp.concatenate(grouped, 1).reshape(-1, *first.shape[1:])
