from __future__ import annotations

from datetime import timedelta

from tests.emulator.machine_world import BATCH, Lab

from dataflow_emulator.engine import Importance, Measured, Metric, Said
from dataflow_emulator.jobs import Options


def test_messages_are_read_by_importance_in_its_true_order() -> None:
    lab = Lab()
    job = lab.launch()
    for importance in Importance:
        lab.tell(job, Said(importance=importance, text=importance.name))

    def texts(minimum: Importance) -> list[str]:
        return [message.text for message in lab.machine.records.messages(job, lab.now, minimum=minimum).entries]

    assert texts(Importance.DEBUG) == ["DEBUG", "DETAILED", "BASIC", "WARNING", "ERROR"]
    assert texts(Importance.BASIC) == ["BASIC", "WARNING", "ERROR"]
    assert texts(Importance.ERROR) == ["ERROR"]


def test_messages_start_inclusive_and_end_exclusive_and_come_in_pages() -> None:
    lab = Lab()
    job = lab.launch()
    start = lab.now
    for number in range(5):
        lab.tell(job, Said(importance=Importance.BASIC, text=str(number)))
        lab.wait(seconds=1)
    records = lab.machine.records
    inside = records.messages(job, lab.now, start=start + timedelta(seconds=1), end=start + timedelta(seconds=3))
    assert [message.text for message in inside.entries] == ["1", "2"]
    first = records.messages(job, lab.now, size=3)
    second = records.messages(job, lab.now, size=3, token=first.next_token)
    assert [message.text for page in (first, second) for message in page.entries] == ["0", "1", "2", "3", "4"]


def test_an_error_can_be_read_later_than_the_state_it_explains() -> None:
    lab = Lab(Options(error_lag=timedelta(seconds=50)))
    job = lab.running(template=BATCH)
    lab.tell(job, Said(importance=Importance.ERROR, text="why"))
    assert lab.machine.records.messages(job, lab.now).entries == ()
    lab.wait(seconds=50)
    assert [message.text for message in lab.machine.records.messages(job, lab.now).entries] == ["why"]


def test_the_oldest_messages_go_when_there_are_too_many() -> None:
    lab = Lab(Options(messages_limit=2))
    job = lab.launch()
    for number in range(4):
        lab.tell(job, Said(importance=Importance.BASIC, text=str(number)))
    assert [message.text for message in lab.machine.records.messages(job, lab.now).entries] == ["2", "3"]


def test_every_metric_has_a_tentative_twin_and_distributions_their_statistics() -> None:
    lab = Lab()
    job = lab.running()
    lab.tell(job, Measured(metrics=(Metric(name="Time", value={"sum": 6, "count": 3, "min": 1, "max": 3, "mean": 2}),)))
    _, readings = lab.machine.records.metrics(job)
    names = [reading.metric.name for reading in readings if not reading.tentative]
    assert names == ["Time", "Time_MIN", "Time_MAX", "Time_MEAN", "Time_COUNT"]
    assert [reading.metric.name for reading in readings if reading.tentative] == names


def test_metrics_can_be_read_by_what_changed_since() -> None:
    lab = Lab()
    job = lab.running()
    lab.tell(job, Measured(metrics=(Metric(name="A", value=1), Metric(name="B", value=1))))
    lab.wait(seconds=10)
    lab.tell(job, Measured(metrics=(Metric(name="A", value=1), Metric(name="B", value=2))))
    measured, readings = lab.machine.records.metrics(job, since=lab.now)
    assert measured == lab.now
    assert {reading.metric.name for reading in readings} == {"B"}


def test_a_start_raises_the_number_of_workers() -> None:
    lab = Lab()
    job = lab.running(environment={"numWorkers": 3})
    assert [(event.current, event.target) for event in lab.machine.records.scaling(job)] == [(0, 3)]
