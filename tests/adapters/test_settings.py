from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflow_operator.domain.identity import LAUNCH_TOKEN_SLACK, Tenancy
from dataflow_operator.settings import IdentityMode, Settings, SettingsError, parser, settings_of

EMULATOR = ["--dataflow-endpoint=grpc://127.0.0.1:1", "--identity-mode=emulator"]


def test_the_settle_time_outlasts_launch_credential_and_list() -> None:
    settings = settings_of(["--single-tenant=true"], {})
    assert settings.limits().settle == timedelta(seconds=5 + 30 + 3600 + 60 + 5)


def test_a_credential_that_lives_as_long_as_its_launch_may_take_costs_no_wait() -> None:
    settings = settings_of([*EMULATOR, "--list-lag-seconds=2"], {})
    assert settings.credential_life == timedelta(seconds=30)
    assert settings.settle == timedelta(seconds=5 + 30 + 2 + 5)
    assert settings_of([*EMULATOR, "--launch-credential-seconds=300"], {}).settle == timedelta(seconds=5 + 300 + 60 + 5)


seconds = st.floats(min_value=0.1, max_value=10_000)


@given(claim=seconds, launch=seconds, credential=st.none() | seconds, lag=seconds, margin=seconds)
def test_the_settle_time_outlasts_the_last_moment_at_which_a_launch_can_arrive_and_the_list_that_shows_it(
    claim: float, launch: float, credential: float | None, lag: float, margin: float
) -> None:
    settings = Settings(
        identity_mode=IdentityMode.EMULATOR,
        claim_life_seconds=claim,
        launch_seconds=launch,
        launch_credential_seconds=credential,
        list_lag_seconds=lag,
        margin_seconds=margin,
    )
    sent_last = settings.claim_life
    arrives_last = sent_last + settings.credential_life
    assert settings.settle > arrives_last + timedelta(seconds=lag)
    assert settings.settle > sent_last + timedelta(seconds=launch + lag)


@given(claim=seconds, launch=seconds, lag=seconds, margin=seconds)
def test_the_settle_time_outlasts_a_credential_that_took_all_of_the_launchs_time_to_be_had(
    claim: float, launch: float, lag: float, margin: float
) -> None:
    for mode in (IdentityMode.FEDERATION, IdentityMode.GKE, IdentityMode.PROFILE, IdentityMode.AMBIENT):
        settings = Settings(
            identity_mode=mode, claim_life_seconds=claim, launch_seconds=launch, list_lag_seconds=lag, margin_seconds=margin
        )
        made_last = settings.claim_life + timedelta(seconds=launch)
        assert settings.settle > made_last + settings.credential_life + timedelta(seconds=lag)


def test_a_shorter_settle_time_is_refused_with_the_inequality() -> None:
    with pytest.raises(
        SettingsError, match=r"--settle-seconds is 10, and a launch may still be on its way for 3700.*--launch-credential-seconds"
    ):
        settings_of(["--single-tenant=true", "--settle-seconds=10"], {})


PROVIDER = "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster"
FEDERATION = ["--identity-mode=federation", f"--workload-identity-provider={PROVIDER}"]


def test_a_tenants_launch_token_lives_for_five_minutes_and_the_settle_time_outlasts_it() -> None:
    settings = settings_of(FEDERATION, {})
    assert settings.tenancy.each_as_itself
    assert settings.settle == timedelta(seconds=5 + 30 + 300 + 60 + 5) + LAUNCH_TOKEN_SLACK
    assert settings_of([*FEDERATION, "--direct-access=true"], {}).settle == timedelta(seconds=5 + 30 + 3600 + 60 + 5) + LAUNCH_TOKEN_SLACK


def test_a_default_account_is_each_namespaces_own() -> None:
    assert settings_of([*FEDERATION, "--default-service-account=dataflow"], {}).tenancy.account_of(None) == "dataflow"
    assert settings_of([*EMULATOR], {}).tenancy == Tenancy()


def test_a_longer_settle_time_is_taken() -> None:
    assert settings_of([*EMULATOR, "--settle-seconds=1000"], {}).settle == timedelta(seconds=1000)


def test_the_environment_speaks_where_no_flag_does() -> None:
    environment = {"DATAFLOW_OPERATOR_POLL_SECONDS": "3", "DATAFLOW_OPERATOR_WORKERS": "7"}
    settings = settings_of([*EMULATOR, "--workers=2"], environment)
    assert (settings.poll_seconds, settings.workers) == (3.0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--single-tenant=true"),
        (["--identity-mode=emulator"], "grpc://host:port only"),
        (["--single-tenant=true", "--dataflow-endpoint=grpc://h:1"], "without TLS"),
        (["--single-tenant=true", "--launch-credential-seconds=300"], "may live for 3600: leave it out"),
        ([*EMULATOR, "--dataflow-endpoint=http://h"], "must be `google` or grpc://"),
        ([*EMULATOR, "--poll-seconds=soon"], "--poll-seconds must be a number"),
        ([*EMULATOR, "--poll-seconds=0"], "--poll-seconds must be positive"),
        ([*EMULATOR, "--poll-seconds=20"], "--list-age-seconds must be at least twice"),
        ([*EMULATOR, "--single-tenant=yes"], "must be true or false"),
        (FEDERATION[:1], "--workload-identity-provider goes with --identity-mode=federation"),
        ([*EMULATOR, FEDERATION[1]], "--workload-identity-provider goes with --identity-mode=federation"),
        (["--identity-mode=profile"], "--profiles goes with --identity-mode=profile"),
        ([*FEDERATION, "--dataflow-endpoint=grpc://127.0.0.1:1"], "must both be Google's or both an emulator's"),
        ([*FEDERATION, "--launch-credential-seconds=100"], "must be more than 120"),
        ([*FEDERATION, "--launch-seconds=200"], "--launch-seconds must be at most 120"),
        ([*FEDERATION, "--direct-access=true", "--launch-credential-seconds=600"], "may live for 3600: leave it out"),
        (["--identity-mode=magic"], "one of gke, federation, profile, emulator, ambient"),
    ],
)
def test_settings_that_do_not_go_together_say_which_and_why(arguments: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("(", r"\(")):
        settings_of(arguments, {})


def test_every_setting_has_a_flag_that_says_what_it_is() -> None:
    text = parser().format_help()
    assert "How often the jobs of a place are listed." in " ".join(text.split())
    assert Settings(identity_mode=IdentityMode.EMULATOR, dataflow_endpoint="grpc://a:1").emulator_address == "a:1"


@pytest.mark.parametrize("names", ["team-a,", "Team-A", "team-a,team-b,team-a", "*", ","])
def test_namespaces_are_named_one_by_one(names: str) -> None:
    with pytest.raises(SettingsError, match="--namespaces"):
        settings_of([*EMULATOR, f"--namespaces={names}"], {})
    assert settings_of([*EMULATOR, "--namespaces=team-a, team-b"], {}).served_namespaces == ("team-a", "team-b")
    assert settings_of(EMULATOR, {}).served_namespaces == ()


def test_an_empty_variable_of_the_environment_is_an_absent_one() -> None:
    environment = {"DATAFLOW_OPERATOR_NAMESPACES": "", "DATAFLOW_OPERATOR_POLL_SECONDS": ""}
    assert settings_of(EMULATOR, environment) == settings_of(EMULATOR, {})
