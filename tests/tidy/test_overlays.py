"""The settings that the overlays show are settings that the operator takes, and what is left unedited stops it with a message."""

from __future__ import annotations

from dataclasses import fields

import pytest
import yaml

from dataflow_local.cache import ROOT
from dataflow_operator.adapters.identity.modes import Federation, Gke, ModeError
from dataflow_operator.adapters.identity.profile_file import read_profiles
from dataflow_operator.settings import PREFIX, IdentityMode, Settings, settings_of

MODES = {
    "gke": IdentityMode.GKE,
    "federation": IdentityMode.FEDERATION,
    "profile": IdentityMode.PROFILE,
    "single-tenant": IdentityMode.AMBIENT,
}


def shown(overlay: str) -> dict[str, str]:
    """Return the environment that an overlay's ConfigMap gives to the pod."""
    document = yaml.safe_load((ROOT / "manifests" / overlay / "settings.yaml").read_text())
    return dict(document["data"])


def told(overlay: str, name: str) -> str:
    return shown(overlay)[PREFIX + name]


@pytest.mark.parametrize("overlay", [*MODES, "namespaced", "local"])
def test_an_overlay_shows_only_settings_that_there_are(overlay: str) -> None:
    assert set(shown(overlay)) <= {PREFIX + field.name.upper() for field in fields(Settings)}


@pytest.mark.parametrize("overlay", MODES)
def test_the_operator_takes_what_an_overlay_shows_with_and_without_named_namespaces(overlay: str) -> None:
    for environment in (shown(overlay), shown(overlay) | shown("namespaced")):
        settings = settings_of([], environment)
        assert settings.identity_mode is MODES[overlay]
        assert not settings.direct_access
        assert settings.default_service_account is None
    assert settings_of([], shown("single-tenant") | shown("namespaced")).served_namespaces == ("team-a", "team-b")


def test_what_nobody_edited_is_refused() -> None:
    with pytest.raises(ModeError, match=r"PROJECT_ID\.svc\.id\.goog"):
        Gke(pool=told("gke", "GKE_POOL"), cluster="projects/acme-prod/locations/europe-west1/clusters/main")
    with pytest.raises(ModeError, match="PROJECT_NUMBER"):
        Federation(provider=told("federation", "WORKLOAD_IDENTITY_PROVIDER"))
    with pytest.raises(ModeError, match=r"profiles\.team-a"):
        read_profiles(ROOT / "manifests" / "profile" / "profiles.yaml")


def test_the_profiles_are_mounted_where_the_settings_look_for_them() -> None:
    pod = yaml.safe_load((ROOT / "manifests" / "profile" / "volumes.yaml").read_text())["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert told("profile", "PROFILES") == f"{mounts['profiles']}/profiles.yaml"
    example = yaml.safe_load((ROOT / "manifests" / "profile" / "profiles.yaml").read_text())
    assert example["profiles"]["team-a"]["oidc"]["clientSecretFile"].startswith(f"{mounts['oidc']}/")
