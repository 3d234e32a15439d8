"""The first signal is remembered, the second interrupts; elsewhere the first interrupts."""

import os
import signal
import subprocess
import sys

import pytest

from medjax.run.signals import Interrupted, catch_signals, stop_on_signals


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_first_signal_is_remembered_and_the_second_stops(signum, code):
    with pytest.raises(Interrupted) as caught, catch_signals() as signals:
        assert signals.requested(0) is None
        os.kill(os.getpid(), signum)
        assert signals.requested(1) == signum
        os.kill(os.getpid(), signum)
        pytest.fail("the second signal was ignored")
    assert caught.value.exit_code == code


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_outside_the_loop_the_first_signal_stops(signum):
    with pytest.raises(Interrupted) as caught, stop_on_signals():
        os.kill(os.getpid(), signum)
    assert caught.value.signum == signum


def test_the_handlers_of_before_come_back():
    before = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]
    with stop_on_signals(), catch_signals():
        pass
    assert before == [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]


def test_an_interruption_is_no_ordinary_exception():
    assert not issubclass(Interrupted, Exception)


FORK = """
import os, signal
from medjax.run.signals import stop_on_signals
with stop_on_signals():
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
"""


def test_a_forked_child_dies_of_the_signal():
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)
