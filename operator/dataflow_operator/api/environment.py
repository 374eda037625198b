"""Where and on what a job runs: the fields of Dataflow's two runtime environments in their own names."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .rules import NO_OWNED_OPTION, NO_RELAUNCHING_ITEM
from .wire import ATOMIC, Rule, Wire, ruled

MOST_WORKERS = 1000
"""Workers that Dataflow lets a job have at most, from FlexTemplateRuntimeEnvironment.max_workers."""

Workers = Annotated[int, Field(ge=1, le=MOST_WORKERS)]

Folder = Annotated[
    str,
    Field(max_length=2048),
    Rule(
        rule="self.matches('^gs://[a-z0-9][-_.a-z0-9]+(/.*)?$')", message="must be a folder in Cloud Storage, such as 'gs://bucket/folder'"
    ),
]

Text = Annotated[str, Field(max_length=1024, min_length=1)]


class IpConfiguration(StrEnum):
    """Whether workers have public addresses."""

    PUBLIC = "Public"
    PRIVATE = "Private"


class FlexrsGoal(StrEnum):
    """What Flexible Resource Scheduling optimizes."""

    SPEED = "SpeedOptimized"
    COST = "CostOptimized"


class AutoscalingAlgorithm(StrEnum):
    """How the number of workers follows the load."""

    NONE = "None"
    BASIC = "Basic"


class StreamingMode(StrEnum):
    """How often a record of a stream may be processed."""

    EXACTLY_ONCE = "ExactlyOnce"
    AT_LEAST_ONCE = "AtLeastOnce"


class Environment(Wire):
    """Where and on what a job runs. What is absent is the template's or Dataflow's own default, and is not sent."""

    model_config = ruled(
        Rule(
            rule="!has(self.numWorkers) || !has(self.maxWorkers) || self.numWorkers <= self.maxWorkers",
            message="`environment.numWorkers` must be at most `environment.maxWorkers`",
            field_path=".numWorkers",
        ),
        Rule(
            rule="!has(self.minWorkers) || !has(self.maxWorkers) || self.minWorkers <= self.maxWorkers",
            message="`environment.minWorkers` must be at most `environment.maxWorkers`",
            field_path=".minWorkers",
        ),
        Rule(
            rule="!has(self.workerRegion) || !has(self.workerZone)",
            message="`environment.workerRegion` must not be set beside `environment.workerZone`: remove one of the two",
            field_path=".workerRegion",
        ),
    )

    service_account_email: (
        Annotated[
            str,
            Field(max_length=256),
            Rule(
                rule="self.matches('^[^@ ]+@[^@ ]+[.][^@ ]+$')",
                message="`serviceAccountEmail` must be the e-mail address of a Google service account, such as 'orders@acme-prod.iam.gserviceaccount.com'",
            ),
        ]
        | None
    ) = Field(
        None,
        description=(
            "Google service account that the workers run as. Default: the project's Compute Engine default account. "
            "Example: 'orders@acme-prod.iam.gserviceaccount.com'."
        ),
    )
    machine_type: Text | None = Field(
        None, description="Compute Engine machine type of the workers. Default: Dataflow's choice. Example: 'n2-standard-4'."
    )
    num_workers: Workers | None = Field(None, description="Workers that the job starts with. Default: Dataflow's choice. Example: 2.")
    max_workers: Workers | None = Field(
        None,
        description="Workers that the job may have at most, 1 to 1000. Default: Dataflow's choice. Changed in place on a Streaming Engine job. Example: 10.",
    )
    min_workers: Workers | None = Field(
        None,
        description="Workers that a stream keeps at least. Streaming only. Default: Dataflow's choice. Changed in place on a Streaming Engine job. Example: 2.",
    )
    worker_utilization_percent: Annotated[int, Field(ge=10, le=90)] | None = Field(
        None,
        description=(
            "How busy autoscaling aims to keep the workers' CPUs, in whole per cent from 10 to 90; fewer workers with more, shorter delays "
            "with less. Streaming only. Default: Dataflow's own. Changed in place on a Streaming Engine job. Example: 80."
        ),
    )
    temp_location: Folder | None = Field(
        None, description="Folder for temporary files. Default: Dataflow's own bucket. Example: 'gs://acme-temp/orders'."
    )
    staging_location: Folder | None = Field(
        None,
        description="Folder for staged files. Not for classic templates. Default: beside tempLocation. Example: 'gs://acme-staging/orders'.",
    )
    bypass_temp_dir_validation: bool | None = Field(
        None,
        description="Whether the check of the temporary folder is left out. Classic templates only. Default: false.",
    )
    network: Text | None = Field(None, description="VPC network of the workers. Default: 'default'. Example: 'acme-vpc'.")
    subnetwork: Text | None = Field(
        None,
        description="Subnetwork of the workers. Default: the network's own in the region. Example: 'regions/europe-west1/subnetworks/workers'.",
    )
    ip_configuration: IpConfiguration | None = Field(
        None,
        description="Public or Private: whether workers have public addresses (WORKER_IP_PUBLIC, WORKER_IP_PRIVATE). Default: Public.",
    )
    worker_region: Text | None = Field(
        None,
        description="Region of the workers, if it is not the job's. Not beside workerZone. Default: spec.region. Example: 'europe-west4'.",
    )
    worker_zone: Text | None = Field(
        None,
        description="Zone of the workers. Not beside workerRegion. Default: Dataflow's choice in the region. Example: 'europe-west1-b'.",
    )
    kms_key_name: Text | None = Field(
        None,
        description="Cloud KMS key that encrypts the job's state. Default: a key of Google's. Example: 'projects/p/locations/l/keyRings/r/cryptoKeys/k'.",
    )
    enable_streaming_engine: bool | None = Field(
        None,
        description="Whether a stream's state lives in Streaming Engine instead of on the workers; updates in place need it. Default: the template's choice.",
    )
    streaming_mode: StreamingMode | None = Field(
        None,
        description="ExactlyOnce or AtLeastOnce (STREAMING_MODE_…). Streaming only. Default: the template's choice, else ExactlyOnce.",
    )
    flexrs_goal: FlexrsGoal | None = Field(
        None,
        description="SpeedOptimized or CostOptimized (FLEXRS_…); CostOptimized may wait six hours for cheap workers. Batch only, not for classic templates. Default: none.",
    )
    autoscaling_algorithm: AutoscalingAlgorithm | None = Field(
        None,
        description="None or Basic (AUTOSCALING_ALGORITHM_…): how the number of workers follows the load. Not for classic templates. Default: Dataflow's choice.",
    )
    disk_size_gb: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        None,
        description="Size of each worker's boot disk in gigabytes. Default: Dataflow's choice. Example: 50.",
    )
    sdk_container_image: Text | None = Field(
        None,
        description="Container image of the workers' SDK harness. Not for classic templates. Default: the template's. Example: 'apache/beam_python3.11_sdk:2.77.0'.",
    )
    launcher_machine_type: Text | None = Field(
        None,
        description="Machine type of the virtual machine that launches a flex template. Not for classic templates. Default: 'n1-standard-1'.",
    )
    enable_launcher_vm_serial_port_logging: bool | None = Field(
        None,
        description="Whether the launcher's serial port is logged. Not for classic templates. Default: false.",
    )
    dump_heap_on_oom: bool | None = Field(
        None,
        description="Whether a Java worker that runs out of memory saves its heap first. Not for classic templates. Default: false.",
    )
    save_heap_dumps_to_gcs_path: Folder | None = Field(
        None,
        description="Folder for saved heaps. Not for classic templates. Default: none. Example: 'gs://acme-temp/heaps'.",
    )
    additional_experiments: Annotated[list[Text], Field(max_length=64, json_schema_extra=ATOMIC), NO_RELAUNCHING_ITEM] | None = Field(
        None,
        description="Experiments that the job takes part in. None that makes Dataflow replace a job. Default: none. Example: ['enable_prime'].",
    )
    additional_pipeline_options: (
        Annotated[list[Text], Field(max_length=64, json_schema_extra=ATOMIC), NO_RELAUNCHING_ITEM, NO_OWNED_OPTION] | None
    ) = Field(
        None,
        description="Pipeline options beyond the fields here. None that the pipeline itself says. Default: none. Example: ['--dataflowServiceOptions=enable_prime'].",
    )
