"""What stages start from, as far as a config tells: weights of other methods, a BERT's folder."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from medjax.errors import UsageError, UserError
from medjax.run.converted import read_record
from medjax.run.source_name import parse_source

SHARED = ("image_encoder", "text_encoder")
"""Parts of the model that MedST and MGCA have in common, with their heads."""
SAME = {"hidden_size": "width", "num_attention_heads": "heads", "intermediate_size": "feedforward"}
"""Size of a BERT -> the field of `model.text` that must be equal."""
MOST = {"num_hidden_layers": "layers", "max_position_embeddings": "max_positions"}
"""Size of a BERT -> the field of `model.text` that must not be larger."""
FIXED: dict[str, Any] = {"hidden_act": "gelu", "layer_norm_eps": 1e-12}
"""How a text encoder computes."""


def source_of(stage: ConfigDict) -> str:
    """Return the first source that a stage starts from, "" without one."""
    given = stage.init_from
    if not given:
        return ""
    return parse_source(given if isinstance(given, str) else given[0][1]).name


def text_source(init_from: Any) -> str:
    """Return the source that brings the text encoder, "" where none does."""
    if isinstance(init_from, str):
        return init_from
    found = ""
    for part, source, *_ in init_from or ():
        if part.split("/")[0] in ("", "text_encoder"):
            found = source
    return found


def reads_bert(config: ConfigDict, stage: ConfigDict) -> bool:
    """Whether a stage's text encoder starts from the weights of `text.bert_dir`."""
    named = config.text.bert_dir is not None and config.text.init == "bert"
    return named and not text_source(stage.init_from)


def start_across_methods(stage: ConfigDict) -> None:
    """Take of converted weights of the other method the encoders, with their heads.

    Weights of MGCA start MedST so, and the other way round.
    """
    given = stage.init_from
    record = read_record(Path(parse_source(given).name)) if isinstance(given, str) else None
    if record and record["settings"].get("model.method", stage.model.method) != stage.model.method:
        stage.init_from = tuple((part, given) for part in SHARED)


def check_bert(config: ConfigDict, name: str) -> None:
    """Raise UsageError where a stage cannot start from the weights of `text.bert_dir`."""
    from medjax.weights.bert import CONFIG_FILE, WEIGHT_FILES, read_config  # these import JAX

    folder, text = Path(config.text.bert_dir), config[name].model.text
    if not any((folder / file).is_file() for file in WEIGHT_FILES):
        raise UsageError(
            f"config.text.bert_dir: {folder} holds no weights ({' or '.join(WEIGHT_FILES)}); with "
            "--config.text.init=random its word pieces alone are used"
        )
    try:
        bert = read_config(folder / CONFIG_FILE)
    except UserError as error:
        raise UsageError(f"config.text.bert_dir: {error}") from None
    wrong = [(size, field) for size, field in SAME.items() if getattr(bert, size) != text[field]]
    wrong += [(size, field) for size, field in MOST.items() if getattr(bert, size) < text[field]]
    if wrong:
        fields = [f"--config.{name}.model.text.{field}={getattr(bert, n)}" for n, field in wrong]
        raise UsageError(
            f"config.text.bert_dir: the BERT in {folder} is of other sizes than the text encoder; "
            f"give {' '.join(fields)}, or --config.text.init=random for its word pieces alone"
        )
    for field, value in FIXED.items():
        if getattr(bert, field) != value:
            raise UsageError(
                f"config.text.bert_dir: the BERT in {folder} has {field} {getattr(bert, field)}, "
                f"and the text encoder {value}: it cannot start from it"
            )
