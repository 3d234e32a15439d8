"""An interpreter of pickle streams that imports nothing and calls nothing that a stream names.

The opcodes that build data (numbers, text, lists, tuples, dictionaries) are carried out. A stream
names classes and functions only as texts: the few that a caller's table knows are answered by the
caller's own constructors, everything else becomes an inert `Opaque`. A call of a function of
Python's standard library that is no plain container, the usual way of an attack, is refused with
its name; nothing of it would run in any case.

Format: the opcodes as documented in Python's `pickletools`, which takes the stream apart.
"""

import pickletools
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from medjax.weights.errors import MalformedError

MOST_OPERATIONS = 10_000_000
"""Of one stream; a checkpoint of thousands of weights with its optimiser needs some 100,000."""

LARGEST_KEY = 2**31


class Stream(Protocol):
    """What `pickletools` reads from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes."""

    def readline(self) -> bytes:
        """Return the bytes up to a line's end."""

    def tell(self) -> int:
        """Return the position."""


class Global(NamedTuple):
    """A class or function by name, as the stream names it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Opaque(NamedTuple):
    """What stands for an object of a class that is not known here; it holds nothing but a name."""

    name: str


class Stateful:
    """A value of a constructor that a stream completes after it is made."""

    def set_state(self, state: Any) -> None:
        """Take the state that the stream gives; may raise MalformedError."""
        raise NotImplementedError


Constructor = Callable[[tuple[Any, ...]], Any]
"""Makes a value of the positional arguments that a stream gives; may raise MalformedError."""

OLD_STANDARD_LIBRARY = {"__builtin__", "commands", "copy_reg", "popen2"}

_BUILT_IN = (
    "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"
)
HARMLESS = {
    "__builtin__": f"{_BUILT_IN} unicode",
    "_codecs": "encode",
    "argparse": "Namespace",
    "builtins": _BUILT_IN,
    "collections": "Counter OrderedDict defaultdict deque",
    "copy_reg": "_reconstructor",
    "copyreg": "_reconstructor",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "functools": "partial",
    "pathlib": "Path PosixPath PurePath PurePosixPath WindowsPath",
    "types": "SimpleNamespace",
    "uuid": "UUID",
}
"""Of the standard library, what training scripts leave in a checkpoint: read as Opaque."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NEW = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list}
_LITERALS = frozenset(
    ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
    + ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE")
    + ("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
)


def read_pickle(
    stream: Stream,
    constructors: Mapping[Global, Constructor],
    persistent: Callable[[Any], Any],
) -> Any:
    """Return the value that one pickle of a stream describes; the stream then stands behind it.

    Args:
        stream: positioned at the pickle's start.
        constructors: what answers the calls of names that are known.
        persistent: gives the value of a persistent id (a tensor's storage).

    Raises:
        MalformedError: the stream is broken, too long, or calls what no weights file needs.
    """
    machine = _Machine(constructors, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):  # type: ignore[arg-type]
            if opcode.name == "STOP":
                return machine.pop()
            if count > MOST_OPERATIONS:
                raise MalformedError(f"its pickle has more than {MOST_OPERATIONS:,} operations")
            machine.step(opcode.name, argument)
    except (ValueError, OverflowError) as error:  # of pickletools: no such opcode, an early end
        raise MalformedError(f"its pickle is broken ({error})") from None
    raise MalformedError("its pickle has no end")


class _Machine:
    """The stack, the marks in it and the memo of one pickle."""

    def __init__(
        self, constructors: Mapping[Global, Constructor], persistent: Callable[[Any], Any]
    ):
        self._constructors, self._persistent = constructors, persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._steps: dict[str, Callable[[Any], None]] = {
            "PROTO": self._nothing,
            "FRAME": self._nothing,
            "MARK": lambda _: self._marks.append(len(self._stack)),
            "POP": self._drop,
            "POP_MARK": self._drop_marked,
            "DUP": lambda _: self._push(self._top()),
            "LIST": lambda _: self._push(self._since_mark()),
            "TUPLE": lambda _: self._push(tuple(self._since_mark())),
            "DICT": lambda _: self._push(_pairs({}, self._since_mark())),
            "FROZENSET": lambda _: self._push(self._since_mark()),
            "TUPLE1": lambda _: self._push(tuple(self._pop_many(1))),
            "TUPLE2": lambda _: self._push(tuple(self._pop_many(2))),
            "TUPLE3": lambda _: self._push(tuple(self._pop_many(3))),
            "APPEND": lambda _: self._extend(self._pop_many(1)),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "ADDITEMS": lambda _: self._extend(self._since_mark()),
            "SETITEM": lambda _: self._set_items(self._pop_many(2)),
            "SETITEMS": lambda _: self._set_items(self._since_mark()),
            "MEMOIZE": lambda _: self._memorise(len(self._memo)),
            "GLOBAL": lambda text: self._push(_global(text)),
            "STACK_GLOBAL": lambda _: self._push(self._named(*self._pop_many(2))),
            "REDUCE": lambda _: self._push(self._call(*self._pop_many(2))),
            "NEWOBJ": lambda _: self._push(self._call(*self._pop_many(2))),
            "NEWOBJ_EX": lambda _: self._push(self._call(*self._pop_many(3)[:2])),
            "OBJ": lambda _: self._make(self._since_mark()),
            "INST": lambda text: self._make([_global(text), *self._since_mark()]),
            "BUILD": self._build,
            "BINPERSID": lambda _: self._push(self._persistent(self.pop())),
            "PERSID": lambda text: self._push(self._persistent(text)),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._memorise),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), self._recall),
            **dict.fromkeys(_LITERALS, self._push),
        }

    def step(self, name: str, argument: Any) -> None:
        """Carry out one operation."""
        if name in _CONSTANTS:
            self._push(_CONSTANTS[name])
        elif name in _NEW:
            self._push(_NEW[name]())
        elif name in self._steps:
            self._steps[name](argument)
        else:  # registered extensions, buffers outside the stream
            raise MalformedError(f"its pickle uses {name}, which no weights file needs")

    def pop(self) -> Any:
        """Take the top of the stack."""
        self._top()
        return self._stack.pop()

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _top(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise MalformedError("its pickle is broken (it takes from an empty stack)")
        return self._stack[-1]

    def _pop_many(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def _since_mark(self) -> list[Any]:
        if not self._marks:
            raise MalformedError("its pickle is broken (a mark is missing)")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _nothing(self, argument: Any) -> None:
        """An operation without effect on the value."""

    def _drop(self, argument: Any) -> None:
        del argument
        self.pop()

    def _drop_marked(self, argument: Any) -> None:
        del argument
        self._since_mark()

    def _build(self, argument: Any) -> None:
        """Give an object its state; one that takes none has attributes of no use here."""
        del argument
        state = self.pop()
        target = self._top()
        if isinstance(target, Stateful):
            target.set_state(state)

    def _memorise(self, index: Any) -> None:
        self._memo[index] = self._top()

    def _recall(self, index: Any) -> None:
        if index not in self._memo:
            raise MalformedError(f"its pickle is broken (nothing was kept as {index})")
        self._push(self._memo[index])

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Opaque):
            raise MalformedError("its pickle is broken (it appends to what is no list)")

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        if isinstance(target, dict):
            _pairs(target, values)
        elif not isinstance(target, Opaque):
            raise MalformedError("its pickle is broken (it sets items of what is no dictionary)")

    def _named(self, module: Any, name: Any) -> Global:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise MalformedError("its pickle is broken (a class without a name)")
        return Global(module, name)

    def _make(self, parts: list[Any]) -> None:
        if not parts:
            raise MalformedError("its pickle is broken (an object without a class)")
        self._push(self._call(parts[0], tuple(parts[1:])))

    def _call(self, function: Any, arguments: Any) -> Any:
        if isinstance(function, Opaque):
            return function
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise MalformedError("its pickle is broken (it calls what is no function)")
        if function in self._constructors:
            return self._constructors[function](arguments)
        if _may_do_harm(function):
            raise MalformedError(
                f"it asks to call {str(function)[:80]!r} when it is loaded, which weights never "
                "need; nothing was run: get them as safetensors, or from a source that you trust"
            )
        return Opaque(str(function)[:80])


def _may_do_harm(function: Global) -> bool:
    """Tell whether a name is of the standard library and not known to be harmless."""
    package = function.module.partition(".")[0]
    standard = package in sys.stdlib_module_names or package in OLD_STANDARD_LIBRARY
    return standard and function.name not in HARMLESS.get(function.module, "").split()


def _global(text: str) -> Global:
    """Return the name that `pickletools` gives as "module name"."""
    module, _, name = text.partition(" ")
    return Global(module, name)


def _pairs(target: dict[Any, Any], values: list[Any]) -> dict[Any, Any]:
    """Set keys and values in turn; entries whose key is neither text nor a small number go."""
    if len(values) % 2:
        raise MalformedError("its pickle is broken (a key without a value)")
    for key, value in zip(values[::2], values[1::2]):
        if isinstance(key, str) or (isinstance(key, int) and abs(key) < LARGEST_KEY):
            target[key] = value
    return target
