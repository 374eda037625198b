"""The runner that every pipeline of a job's program gets, whatever runner the program asks for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import apache_beam
import apache_beam.runners.runner
import grpc
from apache_beam.options.pipeline_options import DebugOptions, PortableOptions, StandardOptions
from apache_beam.portability.api import beam_fn_api_pb2_grpc, beam_job_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor

from . import graph, meter, pubsub

if TYPE_CHECKING:
    from .channel import Channel
    from .prism import Prism

TEN_YEARS_SECONDS = 315_360_000
"""`job_server_timeout` is the deadline of the state stream: with its default of 300 s every longer job dies (reproduced)."""


class Stage:
    """Where a job's one pipeline stands, between the program, the runner and the emulator."""

    def __init__(self, channel: Channel, prism: Prism | None) -> None:
        self.channel, self.prism = channel, prism
        self.go = threading.Event()
        self.streaming = False
        self.graphed = False
        self.result: Any = None
        self._worker_pool: grpc.Server | None = None

    def announce(self, pipeline: Any, options: Any) -> None:
        """Tell the graph and wait until the emulator lets the job run: an update is checked in between."""
        if self.graphed:
            raise RuntimeError("A template's program runs one pipeline; this one runs a second.")
        self.graphed = True
        pubsub.check()
        self.streaming = bool(options.view_as(StandardOptions).streaming) or graph.is_streaming(pipeline)
        options.view_as(StandardOptions).streaming = self.streaming
        meter.know(pipeline)
        self.channel.tell("graph", **graph.describe(pipeline, streaming=self.streaming))
        self.go.wait()
        pubsub.subscribe()

    def worker_endpoint(self) -> str:
        """Start the pool through which Prism gets a worker in this process; on the loopback interface, unlike Beam's own."""
        server = grpc.server(thread_pool_executor.shared_unbounded_instance())
        port = server.add_insecure_port("127.0.0.1:0")
        beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(BeamFnExternalWorkerPoolServicer(), server)
        server.start()
        self._worker_pool = server
        return f"127.0.0.1:{port}"

    def tell_running(self) -> None:
        """Tell once when Prism says that the job runs."""
        job_id = self.result._job_id  # noqa: SLF001 — Beam's result has no public access to its job
        request = beam_job_api_pb2.GetJobStateRequest(job_id=job_id)
        try:
            for answer in self.result._job_service.GetStateStream(request, timeout=TEN_YEARS_SECONDS):  # noqa: SLF001 — as above
                if answer.state == beam_job_api_pb2.JobState.RUNNING:
                    self.channel.tell("running")
                    return
        except grpc.RpcError:
            return  # Prism is gone: whoever waits for the job reports it


def install(stage: Stage) -> None:
    """Give every pipeline of this process the one runner."""

    def create(_name: str) -> Any:
        return OnPrism(stage, stage.prism) if stage.prism else OnFnApi(stage)

    for module in (apache_beam.pipeline, apache_beam.runners, apache_beam.runners.runner):
        module.create_runner = create
    init = apache_beam.Pipeline.__init__

    def init_without_runner(self: Any, _runner: Any = None, *arguments: Any, **named: Any) -> None:
        named.pop("runner", None)
        init(self, None, *arguments, **named)

    apache_beam.Pipeline.__init__ = init_without_runner


class OnPrism(PrismRunner):  # type: ignore[misc]
    """Runs a pipeline on the job's own Prism, with its worker in this process."""

    def __init__(self, stage: Stage, prism: Prism) -> None:
        super().__init__()
        self._stage, self._prism = stage, prism

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:
        """Set what a job on this machine needs, and run."""
        portable = options.view_as(PortableOptions)
        portable.job_endpoint = self._prism.endpoint()
        portable.job_server_timeout = TEN_YEARS_SECONDS
        portable.environment_type = "EXTERNAL"
        portable.environment_config = self._stage.worker_endpoint()
        # It would run `pip freeze` for every job: measured 0.45 s.
        options.view_as(DebugOptions).add_experiment("disable_logging_submission_environment")
        return super().run_pipeline(pipeline, options)

    def run_portable_pipeline(self, pipeline: Any, options: Any) -> Any:
        """Announce, then submit."""
        self._stage.announce(pipeline, options)
        if self._stage.streaming:
            # Prism would split a slow unbounded source in two, and both halves would read.
            options.view_as(DebugOptions).add_experiment("prism_disable_sdf_split")
        self._stage.result = super().run_portable_pipeline(pipeline, options)
        threading.Thread(target=self._stage.tell_running, name="running", daemon=True).start()
        return self._stage.result


class OnFnApi(FnApiRunner):  # type: ignore[misc]
    """Runs a pipeline in this process, for machines without a Prism."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def run_via_runner_api(self, pipeline_proto: Any, options: Any) -> Any:
        """Announce, then run to the end."""
        self._stage.announce(pipeline_proto, options)
        self._stage.channel.tell("running")
        self._stage.result = super().run_via_runner_api(pipeline_proto, options)
        return self._stage.result
