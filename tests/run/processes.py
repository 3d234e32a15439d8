"""Toy runs in processes of their own, forked by a server that has imported everything once."""

import multiprocessing
import os
import sys
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.run.run_toy"])


class ToyProcess:
    """A toy run that has started; see `tests.run.run_toy` for the options."""

    def __init__(self, workdir: Path, *options: str, devices: int = 1) -> None:
        self._log = workdir.with_name(f"{workdir.name}.log")
        arguments = (devices, str(self._log), str(workdir), *options)
        self._process = _FORKS.Process(target=_run, args=arguments)
        self._process.start()

    def is_running(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._process.exitcode is None

    def send_signal(self, signum: int) -> None:
        """Send it a signal, if it is running."""
        if self.is_running():
            os.kill(self._process.pid, signum)

    def kill(self) -> None:
        """End it at once and wait until it has ended."""
        self._process.kill()
        self._process.join()

    def finish(self, timeout: float = 120) -> int:
        """Wait for its end and return the exit code; print what it wrote, for a test that fails."""
        self._process.join(timeout)
        print(self._log.read_text())
        assert not self.is_running(), f"not finished after {timeout} s"
        return self._process.exitcode


def _run(devices: int, log: str, workdir: str, *options: str) -> None:
    """Run in the forked process; JAX looks for its devices only now."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    with open(log, "a") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    from tests.run.run_toy import main

    sys.exit(main(workdir, *options))
