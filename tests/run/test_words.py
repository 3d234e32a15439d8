"""Words, their order and groups, and what goes wrong in a config file."""

import itertools
import os
import stat
from pathlib import Path

import pytest

from medjax.errors import UsageError
from medjax.run.config import flatten
from medjax.run.overrides import Override
from medjax.run.words import load, load_config, open_recipe

TOY = Path(__file__).with_name("toy_config.py")


def write_config(folder: Path, body: str) -> Path:
    path = folder / "own.py"
    path.write_text("from ml_collections import ConfigDict\n" + body, encoding="utf-8")
    return path


def test_a_source_may_take_the_place_of_parts_and_parts_that_of_a_source(tmp_path):
    body = "\n".join(
        (
            "def get_config():",
            "    config = ConfigDict({'system': 'toy', 'stages': ('a', 'b', 'c')})",
            "    config.a = ConfigDict({'init_from': None})",
            "    config.b = ConfigDict({'init_from': (('part', 'a'),)})",
            "    config.c = ConfigDict({'init_from': 'a'})",
            "    return config",
            "WORDS = {}",
        )
    )
    path = write_config(tmp_path, body)
    config = load_config(path, (), {"b.init_from": "a", "c.init_from": "part:a,other:b"})
    assert config.b.init_from == "a"
    assert config.c.init_from == (("part", "a"), ("other", "b"))


def test_the_order_of_words_does_not_matter():
    words = ("smoke", "phenotyping", "early")
    configs = [flatten(load_config(TOY, order)) for order in itertools.permutations(words)]
    assert all(config == configs[0] for config in configs)
    assert configs[0]["data.limit"] == 50  # smoke, then the task, then the run that doubles
    assert load(open_recipe(TOY), ("early", "phenotyping", "smoke")).words == words


def test_demo_is_the_default_size():
    assert load(open_recipe(TOY), ("joint",)).words == ("demo", "joint")
    assert load_config(TOY).size == "demo"
    assert load_config(TOY, ("smoke",)).size == "smoke"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("smok",), "unknown word 'smok' for .*did you mean 'smoke'"),
        (("xyzzy",), "unknown word 'xyzzy'.*knows smoke, demo, published, phenotyping"),
        (("smoke", "published"), "choose one size: smoke or published"),
        (("early", "joint"), "choose one run: early or joint"),
        (("early", "early"), "'early' is given twice"),
        (("published",), "needs --config.data.dir"),
    ],
)
def test_wrong_words(words, sentence):
    with pytest.raises(UsageError, match=sentence):
        load_config(TOY, words)


def test_finish_sees_which_fields_were_named():
    assert load_config(TOY, (), {"compat": "published"}).fused.order == "published"
    kept = load_config(TOY, (), {"compat": "published", "fused.order": "fixed"})
    assert kept.fused.order == "fixed"


def test_only_real_changes_count_as_changed():
    same = [Override("seed", "0"), Override("fused.optimizer.learning_rate", "0.001")]
    assert load(open_recipe(TOY), (), same).changed == {}
    other = [Override("seed", "0"), Override("fused.optimizer.learning_rate", "1e-4")]
    assert load(open_recipe(TOY), (), other).changed == {"fused.optimizer.learning_rate": 1e-4}


def test_wrong_choices_stages_and_folders(tmp_path):
    with pytest.raises(UsageError, match="no stage 'fusde'; did you mean 'fused'"):
        load_config(TOY, (), {"stages": "encoder,fusde"})
    with pytest.raises(UsageError, match=r"fused.fusion has no choice 'earlier'.*mean 'early'"):
        load_config(TOY, (), {"fused.fusion": "earlier"})
    with pytest.raises(UsageError, match=r"config.data.dir: no folder"):
        load_config(TOY, (), {"data.dir": str(tmp_path / "absent")})
    assert load_config(TOY, (), {"data.dir": str(tmp_path)}).data.dir == str(tmp_path)
    with pytest.raises(UsageError, match=r"encoder.init_from.*neither.*mean 'fused'"):
        load_config(TOY, (), {"encoder.init_from": "fusd"})
    with pytest.raises(UsageError, match=r"encoder.init_from.*'fusd' is neither"):
        load_config(TOY, (), {"encoder.init_from": "(('part', 'fusd'),)"})
    for text in ("('part', 'fused')", "3"):
        with pytest.raises(UsageError, match="neither one source nor pairs"):
            load_config(TOY, (), {"encoder.init_from": text})
    for source in ("fused", f"{tmp_path}", f"{tmp_path}@20"):
        assert load_config(TOY, (), {"encoder.init_from": source}).encoder.init_from == source


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("def get_config(:\n", "own.py, line 2: "),
        ("x = 1\n\ny = nosuch + 1\n", "own.py, line 4: NameError: .*nosuch"),
        ("x = 1\n", r"own.py defines no get_config\(\)"),
        ("def get_config():\n    return ConfigDict({'a': [1]})\n", "config.a is of type list;"),
        (
            "def get_config():\n    return ConfigDict({'a': 1}).b\n",
            "own.py, line 3: AttributeError",
        ),
        (
            "def get_config():\n    return ConfigDict({'a': 1})\n"
            "def demo(config):\n    config.b = 2\nWORDS = {'demo': demo}\n",
            "own.py, line 5: AttributeError.*locked",
        ),
        (
            "def get_config():\n    return ConfigDict({'a': 1})\nGROUPS = {'run': ('x',)}\n",
            "GROUPS.*'run'.*'x'",
        ),
    ],
)
def test_faults_of_a_config_file_name_it_and_the_line(tmp_path, body, sentence):
    path = write_config(tmp_path, body)
    with pytest.raises(UsageError, match=sentence) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["own.py"]  # no byte code either


def test_a_missing_config_file_names_the_nearest(tmp_path):
    path = write_config(tmp_path, "")
    with pytest.raises(UsageError, match=r"no config file .*owm.py'; did you mean '.*own.py'"):
        load_config(path.with_name("owm.py"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_config_file(tmp_path):
    path = write_config(tmp_path, "")
    path.chmod(stat.S_IWUSR)
    with pytest.raises(UsageError, match=r"PermissionError"):
        load_config(path)


def test_a_loaded_config_is_locked():
    config = load_config(TOY)
    with pytest.raises(AttributeError):
        config.seeed = 1
