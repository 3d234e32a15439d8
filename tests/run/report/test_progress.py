"""Progress is a bar on a terminal and a rare line elsewhere."""

import io

from medjax.run.report.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_a_line_comes_every_half_minute():
    now = 0.0
    stream = io.StringIO()
    with Progress("ehr epoch 1/2", 100, 20, 16, stream=stream, clock=lambda: now) as progress:
        for step in range(21, 101):
            now += 1.0
            progress.update(step, 0.25)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "  ehr epoch 1/2: step 50/100, loss 0.2500, 1.00 steps/s, 16 examples/s, 00:50 left",
        "  ehr epoch 1/2: step 80/100, loss 0.2500, 1.00 steps/s, 16 examples/s, 00:20 left",
    ]


def test_a_terminal_has_a_bar_with_loss_and_rates():
    stream = Terminal()
    with Progress("ehr epoch 1/2", 4, 1, 8, stream=stream) as progress:
        for step in range(2, 5):
            progress.update(step, 1.5)
            progress._bar.refresh()
    shown = stream.getvalue()
    assert "ehr epoch 1/2" in shown and "4/4" in shown
    assert "examples/s, loss 1.5000" in shown
