"""An inspected run writes what it saw and goes on to the same numbers."""

import json
import types

from matplotlib.figure import Figure

from medjax.metrics.tables import Table
from medjax.run import stages
from medjax.run.system import Inspection
from tests.run import toy


def build(config, stage_name, data, artefacts):
    """The toy system with a picture and a table of its network."""

    def inspect():
        table = Table("layers", ("layer", "parameters"), (("hidden", 40),))
        return Inspection({"network": Figure(figsize=(1, 1))}, {"layers": table})

    return toy.build(config, stage_name, data, artefacts)._replace(inspect=inspect)


MODULE = types.SimpleNamespace(open_data=toy.open_data, build=build)


def test_inspection_writes_pictures_and_times_and_changes_nothing(tmp_path):
    plain, inspected = toy.config(), toy.config()
    inspected.inspect_model = True
    one = stages.run_stages(plain, tmp_path / "plain", "train", MODULE)
    other = stages.run_stages(inspected, tmp_path / "inspected", "train", MODULE)
    assert one == other
    found = json.loads((tmp_path / "inspected/only/inspection.json").read_text())
    assert found["parameters"] == 5 * 8 + 2 * 8 + 8 + 1 and found["batch"] == 16
    assert found["train_seconds_per_example"] > 0 and found["predict_seconds_per_example"] > 0
    assert (tmp_path / "inspected/plots/only-network.png").is_file()
    assert (tmp_path / "inspected/tables/only-layers.csv").is_file()
    assert not (tmp_path / "plain/only/inspection.json").exists()
