"""Argo CD's Lua, as its API server runs it: which libraries a script has, and what is made of its answer.

Source: `argoproj/argo-cd : util/lua/lua.go, gitops-engine/pkg/health/health.go`. A script in `argocd-cm`, and every action, has the base and
table libraries, and of `os` the clock; a built-in health script has more, which ours do not use.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

from tests.tools.kstatus import Object

from dataflow_local.cache import ROOT

PACKAGE: Final = ROOT / "manifests" / "argocd" / "resource_customizations"
"""Our scripts, in the layout that Argo CD's own repository has."""

_LUA: Final[Any] = importlib.import_module("lupa.luajit21")

_SANDBOX: Final = """
local safe = { time = os.time, date = os.date }
local kept = {
  _G = true, _VERSION = true, assert = true, collectgarbage = true, error = true, getmetatable = true, ipairs = true, next = true,
  pairs = true, pcall = true, print = true, rawequal = true, rawget = true, rawset = true, require = true, select = true,
  setmetatable = true, table = true, tonumber = true, tostring = true, type = true, unpack = true, xpcall = true,
}
getmetatable("").__index = nil
for name in pairs(_G) do
  if not kept[name] then _G[name] = nil end
end
os = safe
require = function(name)
  if name == "os" then return safe end
  error("module " .. name .. " not found", 0)
end
"""
"""Takes away what Argo CD does not give, the methods of strings included."""


class Health(StrEnum):
    """What Argo CD says of a resource; a script that fails makes it Unknown."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    SUSPENDED = "Suspended"


class Told(NamedTuple):
    """A health, and the sentence beside it."""

    status: Health
    message: str


def health_of(document: Object) -> Told:
    """Return the health of an object as Argo CD with our package sees it: of one that is being deleted it asks no script."""
    if document["metadata"].get("deletionTimestamp"):
        return Told(Health.PROGRESSING, "Pending deletion")
    return run_health(script(document, "health.lua"), document)


def run_health(lua: str, document: Object) -> Told:
    """Return what a health script answers."""
    answer = _answer(lua, document, {})
    return Told(Health(answer["status"]), answer.get("message", ""))


def run_discovery(lua: str, document: Object) -> dict[str, dict[str, Any]]:
    """Return the actions that a script offers, by name."""
    return dict(_answer(lua, document, {}) or {})


def run_action(lua: str, document: Object, parameters: Mapping[str, str] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Return what an action asks for: an operation and the object that it is about, any number of times."""
    answer = _answer(lua, document, parameters or {})
    if _is_list(answer):
        return [(each["operation"], each["resource"]) for each in answer]
    return [("patch", _cleaned(answer, document))]


def script(document: Object, *path: str) -> str:
    """Return a script of our package for an object of that kind."""
    return folder_of(document).joinpath(*path).read_text()


def folder_of(document: Object) -> Path:
    """Return where our package keeps what is for an object of that kind."""
    group, _, _ = str(document["apiVersion"]).partition("/")
    return PACKAGE / group / str(document["kind"])


def _answer(lua: str, document: Object, parameters: Mapping[str, str]) -> Any:
    runtime = _LUA.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    world = runtime.globals()
    world["obj"], world["actionParams"] = _lua_of(runtime, document), _lua_of(runtime, parameters)
    held = world["obj"], world["actionParams"]
    runtime.execute(_SANDBOX)
    world["obj"], world["actionParams"] = held
    return _value_of(runtime.execute(lua))


def _lua_of(runtime: Any, value: Any) -> Any:
    """Return a value as Lua has it: every number is a float, and null is absent."""
    if _is_map(value):
        return runtime.table_from({key: _lua_of(runtime, each) for key, each in value.items() if each is not None})
    if _is_list(value):
        return runtime.table_from([_lua_of(runtime, each) for each in value])
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _value_of(value: Any) -> Any:
    """Return a Lua value as JSON has it; an empty table is a list, as Argo CD's encoder has it."""
    if _LUA.lua_type(value) == "table":
        keys = list(value.keys())
        if keys == list(range(1, len(keys) + 1)):
            return [_value_of(value[key]) for key in keys]
        return {str(key): _value_of(value[key]) for key in keys}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _cleaned(new: Any, old: Any) -> Any:
    """Return *new* with the empty maps that Lua made lists of, as Argo CD puts them right."""
    if _is_map(old) and new == []:
        return old
    if _is_map(old) and _is_map(new):
        return {key: _cleaned(value, old.get(key)) for key, value in new.items()}
    if _is_list(old) and _is_list(new) and len(old) == len(new):
        return [_cleaned(*pair) for pair in zip(new, old, strict=True)]
    return new


def _is_map(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
