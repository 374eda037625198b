from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from dataflow_local.cache import ROOT
from dataflow_local.install import kubectl
from dataflow_local.kubectl import PLUGINS, KubectlError
from dataflow_local.standing import shell_lines

if TYPE_CHECKING:
    from pathlib import Path

    from dataflow_local.apiserver import ApiServer

EXAMPLE = ROOT / "examples" / "fruit-counts.yaml"


def test_whoever_sources_the_environment_has_the_plugin(api_server: ApiServer, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit('a file beside a person is no module of ours')")
    (tmp_path / "env").write_text(shell_lines({"KUBECONFIG": str(api_server.kubeconfig()), "ODD": "a 'b' $c"}, [PLUGINS]))
    script = f'. ./env; echo "$ODD"; {kubectl()[0]} dataflow diff -n {namespace} -f {EXAMPLE}'
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(f"a 'b' $c\nDataflowPipeline {namespace}/fruit-counts\n  → the pipeline would be created")


def test_the_platform_s_own_calls_have_it_too(api_server: ApiServer, namespace: str) -> None:
    with pytest.raises(KubectlError) as raised:
        api_server.kubectl("dataflow", "diff", "-n", namespace, "-f", "-", stdin="{")
    assert raised.value.code == 2
    assert "stdin is no YAML" in raised.value.said
