"""Annotations by the package radgraph, whose weights lie in a folder of the user's.

Every annotated text is kept in a file, one JSON object a line, so that a stopped run goes on and a
second one costs nothing.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from medjax.data.radgraph.annotation import Annotation, annotation_of
from medjax.errors import UserError

MODELS = ("radgraph", "radgraph-xl", "modern-radgraph-xl")
WEIGHTS = "weights.th"
BATCH = 32
"""Reports between two writes of the file."""


def open_model(folder: Path) -> Callable[[list[str]], Mapping[str, Mapping[str, Any]]]:
    """Load the model whose weights lie in a folder named as one of MODELS.

    Raises:
        UserError: the package or the weights are not there, or cannot be loaded.
    """
    if folder.name not in MODELS or not (folder / WEIGHTS).is_file():
        raise UserError(
            f"--weights={folder}: name a folder {', '.join(MODELS)} that holds {WEIGHTS}, "
            "config.json and vocabulary, as the archives of these names unpack to"
        )
    try:
        from radgraph import RadGraph
    except ImportError:
        raise UserError(
            "--extractor=radgraph needs the package: pip install 'medjax[radgraph]'; or give "
            "--extractor=rules"
        ) from None
    try:
        return RadGraph(model_type=folder.name, model_cache_dir=str(folder.parent))
    except Exception as e:
        raise UserError(f"--weights={folder}: radgraph cannot load it ({e})") from e


def annotate(
    texts: Mapping[str, str],
    cache: Path,
    model_name: str,
    open_annotator: Callable[[], Callable[[list[str]], Mapping[str, Mapping[str, Any]]]],
) -> Iterable[Annotation]:
    """Yield the annotation of every text, by its key; empty texts have none.

    Args:
        texts: key -> report.
        cache: the file of what was annotated before, which grows.
        model_name: of the annotator; another model's lines are passed over.
        open_annotator: called when a text is not in the cache; gives a function of reports to the
            package's output.

    Raises:
        UserError: a damaged file, or as `open_annotator` says.
    """
    known = read_cache(cache, model_name)
    digests = {key: _digest(text) for key, text in texts.items() if text.strip()}
    missing = list(dict.fromkeys(d for d in digests.values() if d not in known))
    if missing:
        text_of = {digest: texts[key] for key, digest in digests.items()}
        annotator = open_annotator()
        cache.parent.mkdir(parents=True, exist_ok=True)
        with open(cache, "a", encoding="utf-8") as file:
            for start in tqdm(range(0, len(missing), BATCH), desc="radgraph", disable=None):
                batch = missing[start : start + BATCH]
                known |= _annotate_batch(annotator, batch, text_of)
                for digest in batch:
                    line = {"model": model_name, "text": digest, "report": known[digest]}
                    file.write(json.dumps(line) + "\n")
                file.flush()
    for key, digest in digests.items():
        yield annotation_of(key, known[digest])


def _annotate_batch(
    annotator: Callable[[list[str]], Mapping[str, Mapping[str, Any]]],
    digests: Sequence[str],
    text_of: Mapping[str, str],
) -> dict[str, Mapping[str, Any]]:
    """A report that the package leaves out, after an error of its own, has no entities."""
    found = annotator([text_of[digest] for digest in digests])
    empty: Mapping[str, Any] = {"text": "", "entities": {}}
    return {digest: found.get(str(i), empty) for i, digest in enumerate(digests)}


def read_cache(path: Path, model_name: str) -> dict[str, Mapping[str, Any]]:
    """Return digest of a text -> report; a last line that was cut off is dropped from the file.

    Raises:
        UserError: another line that is no JSON object.
    """
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[-1]:
        path.write_text("".join(line + "\n" for line in lines[:-1]), encoding="utf-8")
    known = {}
    for number, line in enumerate(lines[:-1], start=1):
        try:
            entry = json.loads(line)
            if entry["model"] == model_name:
                known[entry["text"]] = entry["report"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}, line {number}: damaged; remove the file") from None
    return known


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
