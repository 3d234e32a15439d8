"""MedKLIP's network as a stage's options ask for it, and its books."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import Initializer
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.run.converted import read_record
from medjax.run.init_from import Place, find_source, read_artefacts
from medjax.run.source_name import parse_source
from medjax.run.system import Batch, Variables
from medjax.systems.medklip.books import (
    Books,
    Texts,
    encode,
    make_books,
    text_options,
    unpack_books,
)
from medjax.systems.medklip.decoder import Decoder
from medjax.systems.medklip.encoder import ImageEncoder, standardise
from medjax.systems.medklip.model import MedKLIP


def make_encoder(
    config: ConfigDict, stage: ConfigDict, projection: str, kernel_init: Initializer | None = None
) -> ImageEncoder:
    """Return the image encoder of a stage; kernel_init: of its projection, None: PyTorch's."""
    options = stage.model
    return ImageEncoder(
        options.backbone,
        options.stages,
        options.width,
        config.data.image.size,
        options.dim,
        projection,
        options.groups if options.batch_statistics == "per_group" else 1,
        options.gradient_checkpointing,
        kernel_init=kernel_init,
        dtype=jnp.dtype(config.precision),
    )


def make_decoder(config: ConfigDict, stage: ConfigDict, **fields: Any) -> Decoder:
    """Return the query decoder of a stage."""
    options = stage.model
    return Decoder(
        options.dim,
        options.decoder_layers,
        options.heads,
        options.feedforward,
        options.dropout,
        options.decoder_norm,
        options.post_norm_self_attention,
        dtype=jnp.dtype(config.precision),
        **fields,
    )


def make_model(config: ConfigDict, stage: ConfigDict, books: Books) -> MedKLIP:
    """Return MedKLIP's network for books of this width."""
    normal = nn.initializers.normal(stage.model.init_std)
    return MedKLIP(
        make_encoder(config, stage, "two_layers", normal),
        make_decoder(config, stage, kernel_init=normal),
        books.entity.shape[1],
        dropout=stage.model.dropout,
        patch_positions=stage.model.patch_position_encoding,
        position_scale=stage.model.position_logit_scale,
        kernel_init=normal,
        dtype=jnp.dtype(config.precision),
    )


def init_model(model: MedKLIP, key: jax.Array, batch: Batch) -> Variables:
    """Return fresh variables for batches of this shape."""
    image = standardise(jnp.asarray(batch["image"]))
    return model.init({"params": key}, image, batch["entity_book"], train=False)


def stage_books(
    config: ConfigDict,
    stage: ConfigDict,
    texts: Texts,
    artefacts: Mapping[str, Any] | None,
    added: Sequence[tuple[str, str]] = (),
) -> Books:
    """Return the books of a stage: those of the weights that it starts from, else new ones.

    added: (name, description) of more queries than the weights were trained with.
    """
    packed = (artefacts or carried(stage.init_from)).get("books")
    if not packed:
        books = make_books(text_options(config, stage), texts, added)
        check_text_width(stage.init_from, books)
        return books
    books = unpack_books(packed)
    more = [pair for pair in added if pair[0] not in books.queries]
    if not more:
        return books
    options = text_options(config, stage)
    vectors, _, _ = encode(options, texts._replace(table=books.table), [text for _, text in more])
    if vectors.shape[1] != books.entity.shape[1]:
        raise UserError(
            f"the weights read texts of {books.entity.shape[1]} numbers ({books.method}), "
            f"text.encoder={options.encoder} gives {vectors.shape[1]}: name the encoder that they "
            "were trained with"
        )
    return books._replace(
        queries=(*books.queries, *(name for name, _ in more)),
        entity=np.concatenate([books.entity, vectors]),
    )


def check_text_width(init_from: Any, books: Books) -> None:
    """Raise UserError where converted weights read texts of another width than the books."""
    folder = Path(parse_source(init_from).name) if isinstance(init_from, str) else None
    record = read_record(folder) if folder else None
    width = record["model"].get("text_dim") if record else None
    if width not in (None, books.entity.shape[1]):
        raise UserError(
            f"the weights in {init_from} read texts of {width} numbers, and {books.method} gives "
            f"{books.entity.shape[1]}: name the BERT that they were trained with "
            "(--config.text.encoder=bert --config.text.bert_dir=FOLDER) or a table of such vectors "
            "(--config.text.table)"
        )


def carried(init_from: Any) -> dict[str, Any]:
    """Return what stands beside the weights of another run, {} for a stage of this one."""
    if not isinstance(init_from, str) or not Path(parse_source(init_from).name).is_dir():
        return {}
    name = Path(parse_source(init_from).name).name
    return read_artefacts(find_source(init_from, Place(Path(), (), name)))
