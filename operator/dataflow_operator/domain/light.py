"""Frozen dataclasses that are made as cheaply as others: a pass makes dozens, and a status has nineteen fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, Final, TypeVar

C = TypeVar("C")

_SET_CLASS: Final[Callable[[object, type], None]] = object.__dict__["__class__"].__set__


def light(cls: type[C]) -> type[C]:
    """Return the frozen dataclass *cls*, of keywords and slots only, with a constructor that takes a third of the time, and nothing else changed.

    What `dataclass` makes sets each field of a frozen class by a call of `object.__setattr__`. This one fills the value while it is still of a
    twin class that is not frozen and has the same slots, and gives it its own class last.
    """
    known: dict[str, Any] = {"set_class": _SET_CLASS, "cls": cls, "MISSING": MISSING}
    known["twin"] = type(cls.__name__, (), {"__slots__": tuple(one.name for one in fields(cls))})  # type: ignore[arg-type]
    taken, lines = list[str](), list[str]()
    for one in fields(cls):  # type: ignore[arg-type]
        known[f"default_{one.name}"] = one.default if one.default_factory is MISSING else one.default_factory
        if one.default_factory is not MISSING:
            taken.append(f"{one.name}=MISSING")
            lines.append(f"self.{one.name} = default_{one.name}() if {one.name} is MISSING else {one.name}")
        else:
            taken.append(one.name if one.default is MISSING else f"{one.name}=default_{one.name}")
            lines.append(f"self.{one.name} = {one.name}")
    body = "\n    ".join(("set_class(self, twin)", *lines, "set_class(self, cls)"))
    exec(f"def __init__(self, *, {', '.join(taken)}):\n    {body}", known)  # noqa: S102 # as dataclasses makes its own: from names of fields
    cls.__init__ = known["__init__"]  # type: ignore[method-assign]
    return cls
