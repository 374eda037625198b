from __future__ import annotations

from datetime import timedelta

import pytest

from dataflow_operator.settings import IdentityMode, Settings, SettingsError, parser, settings_of

EMULATOR = ["--dataflow-endpoint=grpc://127.0.0.1:1", "--identity-mode=emulator"]


def test_the_settle_time_outlasts_launch_credential_and_list() -> None:
    settings = settings_of(["--single-tenant=true"], {})
    assert settings.limits().settle == timedelta(seconds=3600 + 60 + 5)


def test_without_a_credential_the_launch_deadline_counts() -> None:
    assert settings_of([*EMULATOR, "--list-lag-seconds=2"], {}).settle == timedelta(seconds=5 + 30 + 2 + 5)


def test_a_shorter_settle_time_is_refused_with_the_inequality() -> None:
    with pytest.raises(
        SettingsError, match=r"--settle-seconds is 10, and a launch may still be on its way for 3665.*--credential-life-seconds"
    ):
        settings_of(["--single-tenant=true", "--settle-seconds=10"], {})


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
        ([*EMULATOR, "--dataflow-endpoint=http://h"], "must be `google` or grpc://"),
        ([*EMULATOR, "--poll-seconds=soon"], "--poll-seconds must be a number"),
        ([*EMULATOR, "--poll-seconds=0"], "--poll-seconds must be positive"),
        ([*EMULATOR, "--poll-seconds=20"], "--list-age-seconds must be at least twice"),
        ([*EMULATOR, "--single-tenant=yes"], "must be true or false"),
        (["--identity-mode=magic"], "one of emulator, ambient"),
    ],
)
def test_settings_that_do_not_go_together_say_which_and_why(arguments: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("(", r"\(")):
        settings_of(arguments, {})


def test_every_setting_has_a_flag_that_says_what_it_is() -> None:
    text = parser().format_help()
    assert "How often the jobs of a place are listed." in " ".join(text.split())
    assert Settings(identity_mode=IdentityMode.EMULATOR, dataflow_endpoint="grpc://a:1").emulator_address == "a:1"
