"""Run the toy system in a process of its own: ``python -m tests.run.run_toy WORKDIR [name=value]``.

Options: any field of the stage's `train` section, `poison`, `seed`, `parameters` (how they lie on
the devices), `slow` (seconds a batch), `resident` (features live on the device),
`replicas` (that section of the config), and `join`: (address, processes, process) of a larger run.
"""

import ast
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.run import stages
from medjax.run.signals import Interrupted
from tests.run import toy
from tests.run.toy_resident import build as build_resident


def main(workdir: str, *options: str) -> int:
    """Train; return the exit code that the command would give."""
    config, slow, builder = toy.config(), 0.0, toy.build
    for option in options:
        name, _, text = option.partition("=")
        value = ast.literal_eval(text)
        if name == "slow":
            slow = value
        elif name == "resident":
            builder = build_resident
        elif name in ("poison", "seed"):
            config[name] = value
        elif name == "replicas":
            config.replicas = ConfigDict(value)
        elif name == "parameters":
            config.sharding.parameters = value
        elif name == "join":
            jax.distributed.initialize(*value)
        else:
            config.only.train[name] = value

    def build(*arguments):
        system = builder(*arguments)

        def collate(*inner):
            time.sleep(slow)
            return system.collate(*inner)

        return system._replace(collate=collate)

    module = SimpleNamespace(open_data=toy.open_data, build=build)
    try:
        stages.run_stages(config, Path(workdir), "train", module)
    except UserError as error:
        print(f"medjax: {error}", file=sys.stderr)
        return 1
    except Interrupted as error:
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
