"""Published weights <-> ours: python -m medjax.convert SYSTEM --from=FILE --to=FOLDER [--back]

A system is a folder of `medjax/systems` with a `convert.py` that defines `CONVERTER` (see
`medjax.weights.converter`); "torchvision" is known besides. The folder serves as a stage's
`init_from`, whole or in parts; `--back` writes the weights of such a folder, or of a run, as a file
for PyTorch. No PyTorch is needed, and nothing that a file says is run.
"""

import argparse
import ast
import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import medjax
import medjax.systems
from medjax.command_line import Defaults, Parser, refuse_unknown, run_command
from medjax.errors import UsageError, UserError, nearest

PROGRAM = "python -m medjax.convert"
EXAMPLE = f"{PROGRAM} medfuse --from=best_checkpoint.pth.tar --to=weights/medfuse"


def find_converters() -> dict[str, tuple[str, str]]:
    """Return {system: (module, summary)}; nothing is imported."""
    package = Path(medjax.__path__[0])
    found = {"torchvision": package / "weights" / "torchvision.py"}
    found |= {p.parent.name: p for p in sorted(package.glob("systems/*/convert.py"))}
    known = {}
    for name, path in sorted(found.items()):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = ".".join(("medjax", *path.relative_to(package).with_suffix("").parts))
        known[name] = (module, (ast.get_docstring(tree) or "").split("\n")[0])
    return known


def overview() -> str:
    """The text shown without arguments: the systems and one example."""
    converters = find_converters()
    width = max(map(len, converters))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in converters.items()]
    return "\n".join(
        [str(__doc__).split("\n")[0], "", "Systems:", *lines, "", "Example:", f"  {EXAMPLE}", ""]
        + [f"Options: {PROGRAM} SYSTEM --help"]
    )


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options, with the system's name as `system`.

    Raises:
        UsageError: unknown system or option, missing or stray argument, a wrong source or target.
    """
    converters, name = find_converters(), argv[0]
    if name.startswith("-"):
        raise UsageError(
            f"the first argument is the system, not {name}; run `{PROGRAM}` for a list"
        )
    if name not in converters:
        known = ", ".join(converters)
        raise UsageError(f"unknown system {name!r}{nearest(name, converters)} (systems: {known})")
    parser = Parser(
        prog=f"{PROGRAM} {name}",
        description=converters[name][1],
        allow_abbrev=False,
        formatter_class=Defaults,
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        required=True,
        metavar="PATH",
        help="file of weights (.pth .pth.tar .pt .ckpt .bin .safetensors .h5 .keras); with --back "
        "a folder of converted weights, a run, or a stage of a run",
    )
    parser.add_argument(
        "--to",
        dest="target",
        type=Path,
        required=True,
        metavar="PATH",
        help="folder for the converted weights; with --back a file, its format by its suffix",
    )
    parser.add_argument("--back", action="store_true", help="from ours to a file for PyTorch")
    parser.add_argument(
        "--partial", action="store_true", help="take what fits when names or shapes do not agree"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what stands at --to")
    options = [option for action in parser._actions for option in action.option_strings]
    refuse_unknown(argv[1:], options)
    args = parser.parse_args(argv[1:])
    args.system = name
    _check_paths(args)
    return args


def _check_paths(args: argparse.Namespace) -> None:
    """Refuse a source that is missing or of the other kind, and a target that would be lost."""
    source, target = args.source, args.target
    if not source.exists():
        raise UsageError(f"--from={source}: no such file or folder")
    if args.back != source.is_dir():
        wrong = "a file" if args.back else "a folder"
        raise UsageError(
            f"--from={source} is {wrong}: with --back give a folder of weights, without it a file"
        )
    if args.back and args.partial:
        raise UsageError("--partial goes from a file to a folder, not with --back")
    if target.is_dir() if args.back else target.is_file():
        kind = "folder" if args.back else "file"
        raise UsageError(f"--to={target} is a {kind}; name a {'file' if args.back else 'folder'}")
    if target.exists() and (args.back or any(target.iterdir())):
        if not args.overwrite:
            raise UsageError(f"--to={target} exists; name another, or replace it with --overwrite")
        if not args.back and not (target / "converted.json").is_file():
            raise UsageError(f"--to={target} holds no converted weights; name another folder")


def load_converter(system: str) -> Any:
    """Import a system's converter."""
    return importlib.import_module(find_converters()[system][0]).CONVERTER


def convert(args: argparse.Namespace) -> None:
    """Turn a file into a folder that `init_from` takes."""
    from medjax.data.manifest import file_digest
    from medjax.run.converted import FORMAT
    from medjax.weights import converter as conversions
    from medjax.weights import own_files
    from medjax.weights.files import read_weights

    converter = load_converter(args.system)
    weights = read_weights(args.source, converter.sets)
    ours = own_files.own_record(weights, args.system)
    parts = ours["parts"] if ours else None
    found = conversions.convert(
        weights, converter, str(args.source), parts=parts, partial=args.partial
    )
    fields = converter.fields(found.model)
    record = {
        "format": FORMAT,
        "medjax": medjax.__version__,
        "system": args.system,
        "compat": ours["compat"] if ours else "published",
        "source": {"name": args.source.name, "format": weights.format, **file_digest(args.source)},
        "is_network": converter.is_network,
        "bearing": dict(converter.bearing(found.model)),
        "model": dict(found.model),
        "settings": dict(converter.settings(found.model)),
        "fields": ours["fields"] if ours else {"model": fields.model, "data": fields.data},
        "container": weights.container,
        "extra": {k: v for k, v in weights.extra.items() if k != own_files.KEY},
        "names": found.names,
        "left_out": found.left_out,
        "missing": found.missing,
    }
    artefacts = ours["artefacts"] if ours else converter.artefacts(found.model)
    state = {"variables": found.variables}
    if found.counters:
        state["counters"] = found.counters
    write_folder(args.target, state, record, artefacts)
    print(_summary(args, record, weights.tensors))


def write_folder(
    folder: Path, state: Mapping[str, Any], record: Mapping[str, Any], artefacts: Mapping[str, Any]
) -> None:
    """Write a folder of converted weights, which appears under its name when it is whole."""
    from medjax.files import write_json
    from medjax.run.checkpoint import Checkpoints
    from medjax.run.converted import RECORD

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        Checkpoints(temporary / "checkpoints").save(0, state, {}, best=True)
        write_json(temporary / "artefacts.json", artefacts)
        write_json(temporary / RECORD, record)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _summary(args: argparse.Namespace, record: Mapping[str, Any], tensors: Mapping) -> str:
    """What was converted, what was not, and how to use it."""
    model = ", ".join(f"{name} {value}" for name, value in record["settings"].items())
    lines = [f"{args.system}: {len(record['names'])} tensors ({model.replace('model.', '')})"]
    small = sorted({str(t.dtype) for t in tensors.values()} & {"float16", "bfloat16", "float64"})
    if small:
        lines.append(f"  some are {', '.join(small)}: they are computed with as float32")
    for word, key in (("left out", "left_out"), ("missing", "missing")):
        names = record[key]
        if names:
            more = f", and {len(names) - 20} more" if len(names) > 20 else ""
            lines.append(f"  {len(names)} {word}: {', '.join(names[:20])}{more}")
    use = f"cxr:{args.target}" if record["is_network"] else str(args.target)
    parts = [part for part in record["bearing"] if "/" not in part]
    if parts:
        use += f" (or {','.join(f'{part}:{args.target}' for part in parts)})"
    lines.append(f"written to {args.target}; use it as --config.STAGE.init_from={use}")
    return "\n".join(lines)


def convert_back(args: argparse.Namespace) -> None:
    """Turn a folder of converted weights, or a trained stage, into a file for PyTorch."""
    from medjax.run.checkpoint import Checkpoints
    from medjax.run.converted import read_record
    from medjax.run.init_from import Place, find_source
    from medjax.weights import converter as conversions
    from medjax.weights import own_files
    from medjax.weights.files import H5_SUFFIX, check_writable, write_weights

    check_writable(args.target)
    converter = load_converter(args.system)
    try:
        source = find_source(str(args.source), Place(Path(), (), ""))
    except UserError:
        raise UserError(
            f"--from={args.source} holds no checkpoints: name a folder of converted weights, a "
            "run, or a stage of one"
        ) from None
    restored = Checkpoints(source.folder / "checkpoints").restore(None, source.which)
    if restored is None:
        raise UserError(f"{args.source} holds no checkpoint")
    state = restored[1]
    record = read_record(source.folder)
    if record is not None:
        if record["system"] != args.system:
            raise UserError(f"{args.source} holds weights of {record['system']}: name that system")
        tensors = conversions.convert_back(
            state["variables"], converter, record["model"], record["names"], state.get("counters")
        )
        extra, container = record["extra"], record["container"]
    else:
        stage, config = _stage_of(source.folder)
        if config["system"] != args.system:
            raise UserError(f"{args.source} is a run of {config['system']}: name that system")
        model = converter.of_stage(config[stage])
        tensors = conversions.convert_back(state["variables"], converter, model)
        artefacts = json.loads((source.folder / "artefacts.json").read_text(encoding="utf-8"))
        parts = state["variables"]["params"]
        own = own_files.describe_run(converter, config, stage, artefacts, parts)
        extra, container = {"step": restored[0], own_files.KEY: own}, "state_dict"
    if args.target.suffix.lower() == H5_SUFFIX:
        tensors = dict(converter.outward(tensors))
    write_weights(args.target, tensors, extra, container)
    print(f"{args.system}: {len(tensors)} tensors written to {args.target}")


def _stage_of(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the name of a stage's folder and the config of its run."""
    for parent in (folder.parent, folder.parent.parent):
        path = parent / "config.json"
        if path.is_file():
            config = json.loads(path.read_text(encoding="utf-8"))
            return folder.relative_to(parent).parts[0], config
    raise UserError(f"{folder} is neither converted weights nor a stage of a run: no config.json")


def _command(argv: Sequence[str]) -> None:
    if not argv or argv[0] in ("--help", "-h"):
        print(overview())
        return
    args = parse(argv)
    convert_back(args) if args.back else convert(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 bad data, 2 bad command line, 130 interrupted."""
    return run_command(_command, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
