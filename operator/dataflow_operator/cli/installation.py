"""What the cluster's admin told the operator, as far as a person may read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dataflow_operator.adapters.kubernetes.fields import mapping, texts
from dataflow_operator.cli.tenant import OPERATOR
from dataflow_operator.cli.terminal import UndoneError

if TYPE_CHECKING:
    from dataflow_operator.cli.server import Server

SETTINGS: Final = "dataflow-operator-settings"
"""Name of the ConfigMap that the operator's Deployment reads its settings from. Source: manifests."""

PREFIX: Final = "DATAFLOW_OPERATOR_"
"""What begins the name of each setting in the ConfigMap, as in the operator's environment."""

AMBIENT: Final = "ambient"
"""The mode of an operator that is not told another: its own pod's identity for all."""


class SettingError(UndoneError):
    """A setting is given in another form than KEY=VALUE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The operator's settings, as the ConfigMap and `--setting` have them."""

    namespace: str = OPERATOR
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """By name without prefix, e.g. `IDENTITY_MODE`."""
    overridden: tuple[str, ...] = ()
    """Names of those that `--setting` gave."""

    def setting(self, name: str) -> str:
        """Return a setting, empty if it is not given."""
        return self.settings.get(name, "").strip()

    def is_on(self, name: str) -> bool:
        """Return whether a setting that is true or false is true."""
        return self.setting(name).lower() in {"true", "1", "yes", "on"}

    @property
    def mode(self) -> str:
        """Who calls Dataflow."""
        return self.setting("IDENTITY_MODE") or AMBIENT

    @property
    def default_account(self) -> str | None:
        """Name of the ServiceAccount of a pipeline that names none."""
        return self.setting("DEFAULT_SERVICE_ACCOUNT") or None


def settings_path(namespace: str) -> str:
    """Return where the API server has the ConfigMap."""
    return f"/api/v1/namespaces/{namespace}/configmaps/{SETTINGS}"


def installation_of(server: Server, namespace: str, overrides: Sequence[str] = ()) -> Installation | None:
    """Return the operator's settings; None: there is no such ConfigMap and no override. ServerError: it may not be read."""
    given = overrides_of(overrides)
    found = None if "IDENTITY_MODE" in given else server.read(settings_path(namespace))
    if found is None and not given:
        return None
    stored = {key.removeprefix(PREFIX): value for key, value in texts(mapping(found).get("data")).items() if key.startswith(PREFIX)}
    return Installation(namespace=namespace, settings={**stored, **given}, overridden=tuple(sorted(given)))


def overrides_of(pairs: Sequence[str]) -> dict[str, str]:
    """Return settings by name from KEY=VALUE, with or without the prefix. SettingError: another form."""
    found = dict[str, str]()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise SettingError(f"--setting {pair!r} must be KEY=VALUE, such as {PREFIX}IDENTITY_MODE=gke")
        found[key.removeprefix(PREFIX)] = value
    return found
