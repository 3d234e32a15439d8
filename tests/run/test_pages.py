"""Pages of single examples: drawn with the trained weights after training and for predictions."""

import types

import numpy as np
from matplotlib.figure import Figure

from medjax.run import stages
from tests.run import toy

CALLS = []


def build(config, stage_name, data, artefacts):
    """The toy system, with a page for the first example of the test split."""

    def pages(variables, split, outputs):
        if split == "test":
            weights = np.asarray(variables["params"]["hidden"]["kernel"])
            CALLS.append((weights, float(outputs["probability"][0])))
            yield f"example{outputs['position'][0]}", Figure(figsize=(1, 1))

    return toy.build(config, stage_name, data, artefacts)._replace(pages=pages)


MODULE = types.SimpleNamespace(open_data=toy.open_data, build=build)


def test_pages_are_drawn_after_training_and_again_with_predictions(tmp_path):
    CALLS.clear()
    config = toy.config()
    stages.run_stages(config, tmp_path, "train", MODULE)
    page = tmp_path / "only" / "pages" / "test-example0.png"
    assert page.is_file()
    page.unlink()
    stages.run_stages(config, tmp_path, "predict", MODULE)
    assert [p.name for p in page.parent.iterdir()] == ["test-example0.png"]
    (trained, one), (read, other) = CALLS
    np.testing.assert_array_equal(trained, read)
    assert one == other
