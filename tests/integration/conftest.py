"""What the integration tests share: a door into a namespace of the real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.schema_objects import a_door

from dataflow_local.install import kubectl

if TYPE_CHECKING:
    from tests.integration.schema_objects import Door

    from dataflow_local.apiserver import ApiServer


@pytest.fixture(scope="module")
def door(api_server: ApiServer) -> Door:
    """A fresh namespace of the API server, entered as the admin."""
    return a_door(api_server.kubeconfig(), kubectl())
