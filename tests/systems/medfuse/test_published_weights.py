"""A checkpoint with published names, converted: the original's outputs, the same file again."""

from pathlib import Path

import pytest
from ml_collections import ConfigDict

from medjax.convert import main as convert
from medjax.errors import UserError
from medjax.main import main
from medjax.run.init_from import Source, read_variables
from medjax.run.overrides import Override
from medjax.run.words import load, open_recipe
from medjax.systems.medfuse.checks import check_targets
from medjax.systems.medfuse.data import Data
from medjax.weights.files import write_weights
from tests.parity.handlers import medfuse_models
from tests.parity.harness import Case, check, find_cases

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "medfuse.py"
KINDS = ("fusion", "fusion_reversed", "token_fusion", "mmtm", "daft")
CASES = [c for c in find_cases(ROOT / "tests/parity/cases", "medfuse") if c.key[1] in KINDS]


def there_and_back(case: Case, folder: Path) -> None:
    """Write the case's weights as a checkpoint, convert it to `folder`/ours and back."""
    file, back = folder / "best_checkpoint.pth.tar", folder / "back.pth.tar"
    parallel = {f"module.{name}": value for name, value in case.weights.items()}
    write_weights(file, parallel, {"epoch": 31}, "state_dict")
    assert convert(["medfuse", f"--from={file}", f"--to={folder / 'ours'}"]) == 0
    assert convert(["medfuse", "--back", f"--from={folder / 'ours'}", f"--to={back}"]) == 0
    assert back.read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=c.folder.name, marks=[pytest.mark.slow] if i else [])
        for i, c in enumerate(CASES)
    ],
)
def test_a_converted_checkpoint_gives_the_originals_outputs(case, tmp_path, monkeypatch):
    there_and_back(case, tmp_path)
    variables = read_variables(Source(tmp_path / "ours", "best"))
    monkeypatch.setattr(medfuse_models, "from_published", lambda weights, **options: variables)
    check(case)


def test_a_trained_run_goes_to_pytorch_and_back_with_its_results(finish_smoke, tmp_path):
    """Weights, normaliser, labels and fields: evaluated without a training run, equal bytes."""
    run = finish_smoke(CONFIG)
    prepared = run / "demo" / "prepared"
    file, ours = tmp_path / "fusion.safetensors", tmp_path / "ours"
    assert convert(["medfuse", "--back", f"--from={run}", f"--to={file}"]) == 0
    assert convert(["medfuse", f"--from={file}", f"--to={ours}"]) == 0
    argv = [f"--config={CONFIG}:smoke", "--mode=evaluate", f"--workdir={tmp_path / 'evaluated'}"]
    argv += [f"--config.fusion.init_from={ours}", f"--config.data.dir={prepared / 'mimic_iv'}"]
    assert main([*argv, f"--config.data.xray_dir={prepared / 'mimic_cxr'}"]) == 0
    trained = (run / "fusion" / "results.json").read_bytes()
    assert (tmp_path / "evaluated" / "fusion" / "results.json").read_bytes() == trained


def test_the_papers_film_stage_says_when_it_starts_from_nothing(tmp_path):
    recipe = open_recipe(CONFIG)
    (warning,) = load(recipe, ("published", "radiology")).training_warnings
    assert "medjax.convert torchvision --from=resnet34.pth" in warning
    start = Override("cxr.init_from", f"cxr:{tmp_path}")
    loaded = load(recipe, ("published", "radiology"), [start])
    assert loaded.config.cxr.init_from == (("cxr", str(tmp_path)),) and not loaded.training_warnings


def test_weights_of_another_task_are_refused():
    data = Data({}, {}, ("In-hospital mortality",), (), {})
    stage = ConfigDict({"data": {"labels": "task"}})
    check_targets("fusion", stage, data, ("Death",))
    with pytest.raises(UserError, match=r"predict 2 labels \(Shock, \.\.\.\) and the data have 1"):
        check_targets("fusion", stage, data, ("Shock", "Sepsis"))
