"""Train, evaluate or predict: ``python -m medjax.main --config=configs/X.py[:words] [flags]``.

Without arguments it lists what there is. JAX is imported only when the command line is in order,
so that a mistyped one is answered at once and before anything is written.
"""

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

import medjax.data
import medjax.systems
from medjax.errors import UsageError, UserError, nearest
from medjax.prepare import find_sources
from medjax.run import usage, words, workdir
from medjax.run.arguments import Arguments, parse_arguments
from medjax.run.check import check_values
from medjax.run.signals import Interrupted, stop_on_signals

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def main(argv: Sequence[str]) -> int:
    """Run the command line and return its exit code.

    0 done; 1 a fault outside the program; 2 a wrong command line, nothing written; 143 and 130
    after SIGTERM and SIGINT, with the state saved; 141 when nobody reads the output any more. A
    fault inside the program keeps its traceback.
    """
    os.umask(0o077)  # Everything written may tell of patients.
    try:
        with stop_on_signals():
            command(parse_arguments(argv), bare=not argv)
            sys.stdout.flush()
    except UserError as error:
        return _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except Interrupted as interrupted:
        return _fail(f"stopped by {interrupted}; the same command continues", interrupted.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); Python must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        return _fail(f"cannot use {error.filename}: {error.strerror}", 1)
    return 0


def _fail(sentence: str, code: int) -> int:
    print(f"medjax: {sentence}", file=sys.stderr)
    return code


def command(arguments: Arguments, bare: bool = False) -> None:
    """Do what `arguments` ask for; `bare` says that there were none."""
    if arguments.config is None:
        if not (bare or arguments.help):
            raise UsageError("--config=PATH is missing; run without arguments for a list")
        folder = Path(medjax.data.__path__[0])
        sources = find_sources(folder, medjax.data.__name__)
        print(usage.overview({name: source.summary for name, source in sources.items()}))
        return
    recipe = words.open_recipe(arguments.config)
    loaded = words.load(recipe, arguments.words, arguments.overrides, draft=arguments.help)
    if arguments.help:
        print(usage.config_help(recipe, loaded))
        return
    _check_system(loaded.config, recipe.path)
    of_training = loaded.training_warnings if arguments.mode == "train" else ()
    for warning in (*loaded.warnings, *of_training):
        print(f"medjax: {warning}", file=sys.stderr)
    check_values(loaded.config)
    if arguments.workdir is None:
        folder = workdir.default_workdir(recipe.path, loaded.words, loaded.changed, arguments.mode)
    else:
        folder = Path(arguments.workdir)
    workdir.check_workdir(folder, loaded.config, arguments.mode, arguments.allow_optimizer_changes)
    run(loaded.config, folder, arguments.mode)


def _check_system(config: ConfigDict, path: Path) -> None:
    """Raise UsageError unless `config.system` is a folder of `medjax.systems`."""
    name = str(config.get("system", ""))
    folders = sorted(Path(medjax.systems.__path__[0]).glob("*/__init__.py"))
    known = [folder.parent.name for folder in folders]
    if name not in known:
        hint = nearest(name, known) or f"; one of {', '.join(known)}"
        raise UsageError(f"{path}: no system {name!r}{hint}")


def run(config: ConfigDict, folder: Path, mode: str) -> None:
    """Run the stages of `config` in `folder`, or print again what a finished run gave."""
    jax = _import_jax(folder)
    from medjax.run import stages
    from medjax.run.compilation import compile_quickly
    from medjax.run.memory import keep_freed_memory

    results = workdir.finished_results(folder, config) if mode == "train" else None
    if results is not None:
        print(f"workdir {folder}: finished, these are its results", flush=True)
        stages.print_results(results)
        return
    if config.get("distributed", False):
        _join_processes(jax)
    first = jax.process_index() == 0
    with ExitStack() as held:
        if first:
            held.enter_context(workdir.open_workdir(folder, config, mode))
        _check_devices(config, announce=first)
        if first:
            print(f"workdir {folder}", flush=True)
        held.enter_context(compile_quickly(config.get("fast_compilation", False)))
        keep_freed_memory()
        stages.run_stages(config, folder.absolute(), mode)


def _import_jax(folder: Path) -> ModuleType:
    """Import JAX quietly, with every cache inside `folder`."""
    cache = folder.absolute() / ".cache"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MPLCONFIGDIR", str(cache / "matplotlib"))
    import logging as standard_logging

    from absl import flags, logging

    # Warnings, such as a damaged checkpoint, in the form of every other sentence.
    standard_logging.basicConfig(format="medjax: %(message)s", level=standard_logging.WARNING)

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain's worker processes ask for it.
    logging.set_verbosity(logging.ERROR)
    jax = importlib.import_module("jax")
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(cache / "jax"))
    if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return jax


def _join_processes(jax: ModuleType) -> None:
    """Join the other processes of this run, as the cluster or the environment describes them.

    JAX knows Slurm, Kubernetes, Open MPI and Cloud TPU; elsewhere JAX_COORDINATOR_ADDRESS,
    JAX_NUM_PROCESSES and JAX_PROCESS_ID say it.
    """
    count, index = (os.environ.get(f"JAX_{name}") for name in ("NUM_PROCESSES", "PROCESS_ID"))
    try:
        jax.distributed.initialize(
            num_processes=int(count) if count else None, process_id=int(index) if index else None
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"config.distributed is set but JAX found no cluster: {reason}") from error


def _check_devices(config: ConfigDict, announce: bool) -> None:
    """Print the devices; say so, or refuse, when an accelerator lies idle."""
    from medjax.run import devices

    if config.get("require_accelerator", False):
        devices.require_accelerator()
    if announce:
        print(devices.describe_devices(), flush=True)
        idle = devices.missing_accelerator()
        if idle is not None:
            print(f"medjax: {idle}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
