"""Configs of ECG attention that no run can be made of are refused in one sentence."""

from pathlib import Path

import pytest

from medjax.main import main

CONFIG = Path(__file__).parents[3] / "configs" / "ecg_attention.py"


@pytest.mark.parametrize("horizons", ["-3", "0,12", "60,12", "12,12"])
def test_horizons_are_rising_times(
    horizons: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main([f"--config={CONFIG}", f"--config.evaluation.horizons={horizons}"])
    assert code == 2 and "config.evaluation.horizons is" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
