"""The command line as typed."""

import pytest

from medjax.errors import UsageError
from medjax.run.arguments import parse_arguments, split_words
from medjax.run.overrides import Override


def test_both_spellings_of_a_value():
    equals = parse_arguments(["--config=a.py:smoke,early", "--workdir=w", "--mode=predict"])
    spaced = parse_arguments(
        ["--config", "a.py:smoke,early", "--workdir", "w", "--mode", "predict"]
    )
    assert equals == spaced
    assert equals.config == "a.py" and equals.words == ("smoke", "early")
    assert equals.workdir == "w" and equals.mode == "predict"


def test_overrides_keep_their_form():
    arguments = parse_arguments(
        ["--config.a=1=2", "--config.b", "-3", "--config.c", "--noconfig.d", "--config.e="]
    )
    assert arguments.overrides == (
        Override("a", "1=2", "equals"),
        Override("b", "-3", "space"),
        Override("c", None, "bare"),
        Override("d", None, "no"),
        Override("e", "", "equals"),
    )


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("a/b.py", "a/b.py", ()),
        ("a/b.py:x", "a/b.py", ("x",)),
        ("a/b.py:x, y", "a/b.py", ("x", "y")),
        ("/a:b/c.py", "/a:b/c.py", ()),
        ("/a:b/c.py:x", "/a:b/c.py", ("x",)),
    ],
)
def test_words_follow_the_last_colon(text, path, words):
    assert split_words(text) == (path, words)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["stray"], "stray argument 'stray'"),
        (["--config=a.py", "smoke"], "stray argument 'smoke'"),
        (["--config", "a.py", "smoke"], "stray argument 'smoke'"),
        (["--help", "me"], "stray argument 'me' after --help"),
        (["--"], "stray argument '--'"),
        (["--confg=a.py"], "unknown flag --confg; did you mean --config"),
        (["--xyzzy"], "unknown flag --xyzzy; --help lists"),
        (["--config=a.py", "--config=b.py"], "--config is given twice"),
        (["--workdir"], "--workdir needs a value: --workdir=FOLDER"),
        (["--workdir="], "--workdir needs a value"),
        (["--help=yes"], "--help takes no value"),
        (["--mode=eval"], "unknown mode 'eval'; did you mean 'evaluate'"),
        (["--mode=x"], "unknown mode 'x'; train, evaluate, predict"),
        (["--noconfig.a=1"], "--noconfig.a takes no value"),
        (["--config=a.py:"], "an empty word"),
        (["--config=a.py:x,,y"], "an empty word"),
    ],
)
def test_wrong_command_lines_are_one_sentence(argv, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        parse_arguments(argv)
    assert "\n" not in str(caught.value)
