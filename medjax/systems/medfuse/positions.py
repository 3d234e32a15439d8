"""Where the blocks of MMTM and DAFT stand in the image network."""

from medjax.errors import UsageError

LAST = 4
"""The last position: after the stem (0) or after a stage (1 to 4)."""
EVERYWHERE = -1


def positions(layer_after: int, count: int = LAST + 1) -> tuple[int, ...]:
    """Return the positions of the blocks: one, or all of a network with `count` of them.

    Raises:
        UsageError: there is no such position.
    """
    if layer_after == EVERYWHERE:
        return tuple(range(count))
    if not 0 <= layer_after < count:
        raise UsageError(
            f"layer_after {layer_after} is none of -1 (everywhere), 0 (after the stem) to "
            f"{count - 1} (after the last stage of this image network)"
        )
    return (layer_after,)
