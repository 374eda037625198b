"""Any value of the domain that may stand in an object, for properties."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from dataflow_operator.domain.conditions import Condition, Truth
from dataflow_operator.domain.errors import Failure, FailureClass, Reason
from dataflow_operator.domain.job import JobId, JobState, PipelineType
from dataflow_operator.domain.ledger import Attempt, Cause, Claim, End, Entry, Knowledge, Result, StopMode, Strategy
from dataflow_operator.domain.message import Importance, JobMessage
from dataflow_operator.domain.pipeline.model import (
    BeamYamlTemplate,
    ClassicTemplate,
    Drift,
    FlexTemplate,
    LastRun,
    PipelineStatus,
    ResolvedSpec,
)
from dataflow_operator.domain.run import RunStatus

words = st.text(min_size=1, max_size=20)
numbers = st.integers(min_value=1, max_value=2**31)
times = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)).map(  # noqa: DTZ001 # hypothesis adds the zone itself
    lambda at: at.replace(microsecond=0, tzinfo=UTC)
)
job_ids = words.map(JobId)
maps = st.dictionaries(words, st.text(max_size=20), max_size=3)

failures = st.builds(
    Failure,
    reason=st.sampled_from(Reason),
    kind=st.sampled_from(FailureClass),
    message=st.text(max_size=40),
    retryable=st.booleans(),
)
attempts = st.builds(
    Attempt,
    number=numbers,
    job_name=words,
    claim=st.builds(Claim, time=times, nonce=words),
    base_job_id=st.none() | job_ids,
    job_id=st.none() | job_ids,
    known_by=st.none() | st.sampled_from(Knowledge),
    job_state=st.none() | st.sampled_from(JobState),
    job_state_time=st.none() | times,
    start_time=st.none() | times,
    end_time=st.none() | times,
    end=st.none() | st.sampled_from(End) | st.sampled_from(JobState),
    options=st.dictionaries(words, st.integers(min_value=0, max_value=1000), max_size=3),
    failure=st.none() | failures,
)
some_attempts = st.lists(attempts, max_size=3).map(tuple)
entries = st.builds(
    Entry,
    run=words,
    number=numbers,
    digest=words,
    revision=st.integers(min_value=0, max_value=9),
    cause=st.sampled_from(Cause),
    strategy=st.none() | st.sampled_from(Strategy),
    run_uid=st.none() | words,
    sealed=st.booleans(),
    stop=st.none() | st.sampled_from(StopMode),
    stop_reason=st.none() | words,
    stop_time=st.none() | times,
    asked=st.booleans(),
    has_overrides=st.booleans(),
    repeats=st.none() | words,
    because=st.none() | words,
    stable=st.booleans(),
    attempts=some_attempts,
    failures_before=st.integers(min_value=0, max_value=1000),
)
conditions = st.lists(
    st.builds(
        Condition,
        type=words,
        status=st.sampled_from(Truth),
        reason=words,
        message=st.text(max_size=40),
        observed_generation=st.integers(min_value=0, max_value=99),
        last_transition_time=times,
    ),
    max_size=3,
).map(tuple)
last_runs = st.builds(
    LastRun,
    name=words,
    number=numbers,
    digest=words,
    result=st.sampled_from(Result),
    reason=st.text(max_size=20),
    message=st.text(max_size=40),
    start_time=st.none() | times,
    completion_time=st.none() | times,
    job_id=st.none() | job_ids,
)
pipeline_statuses = st.builds(
    PipelineStatus,
    observed_generation=st.integers(min_value=-1, max_value=99),
    conditions=conditions,
    revision=st.none() | numbers,
    update_revision=st.none() | numbers,
    started_digest=st.none() | words,
    started_revision=st.integers(min_value=0, max_value=99),
    run_number=st.integers(min_value=0, max_value=99),
    ledger=st.lists(entries, max_size=3).map(tuple),
    current_run=st.none() | words,
    update_run=st.none() | words,
    job_id=st.none() | job_ids,
    job_name=st.none() | words,
    job_state=st.none() | words,
    console_url=st.none() | words,
    stable_run=st.none() | words,
    drift=st.lists(st.builds(Drift, field=words, desired=st.text(max_size=20), observed=st.text(max_size=20)), max_size=3).map(tuple),
    last_run=st.none() | last_runs,
    last_handled_reconcile_at=st.none() | words,
)
templates = (
    st.builds(FlexTemplate, container_spec_path=words, launch_options=maps)
    | st.builds(ClassicTemplate, path=words)
    | st.builds(BeamYamlTemplate, pipeline=words, jinja_variables=maps)
)
environments = st.dictionaries(words, words | numbers | st.booleans() | st.lists(words, min_size=1, max_size=3).map(tuple), max_size=4)
resolved_specs = st.builds(
    ResolvedSpec,
    type=st.sampled_from(PipelineType),
    project=words,
    region=words,
    template=templates,
    service_account_name=st.none() | words,
    parameters=maps,
    environment=environments,
    job_name=st.none() | words,
    job_labels=maps,
    transform_name_mapping=maps,
)
run_statuses = st.builds(
    RunStatus,
    observed_generation=st.integers(min_value=-1, max_value=99),
    conditions=conditions,
    number=st.none() | numbers,
    cause=st.none() | st.sampled_from(Cause),
    revision=st.none() | numbers,
    digest=st.none() | words,
    replaces=st.none() | words,
    strategy=st.none() | st.sampled_from(Strategy),
    pipeline_uid=st.none() | words,
    resolved_spec=st.none() | resolved_specs,
    job_id=st.none() | job_ids,
    job_name=st.none() | words,
    job_state=st.none() | words,
    job_state_time=st.none() | times,
    console_url=st.none() | words,
    attempts=some_attempts,
    start_time=st.none() | times,
    completion_time=st.none() | times,
    result=st.none() | st.sampled_from(Result),
    messages=st.lists(st.builds(JobMessage, time=times, importance=st.sampled_from(Importance), text=st.text(max_size=20)), max_size=3).map(
        tuple
    ),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
"""Any JSON at all, but for fractions, which the schema does not allow anywhere."""
