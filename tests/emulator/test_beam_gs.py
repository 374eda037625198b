"""gs:// as a folder, seen from Beam's own file system layer, in Beam's own environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from dataflow_local.install import beam_python

EMULATOR = Path(__file__).parents[2] / "emulator"

SEEN_FROM_BEAM = """
import json, sys, traceback
from pathlib import Path
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems as fs
from dataflow_emulator.worker import gs

def names(pattern):
    return sorted(entry.path for entry in fs.match([pattern])[0].metadata_list)

def raises(kind, call):
    try:
        call()
    except kind:
        return True
    return False

faults = {}
for number, (fact, check) in enumerate(json.loads(sys.argv[2]).items()):
    root = Path(sys.argv[1], str(number), "root")
    root.mkdir(parents=True)
    gs.serve(root)
    try:
        exec(check, {**globals(), "root": root})
    except BaseException:
        faults[fact] = traceback.format_exc()
print(json.dumps(faults))
"""
"""One process for all facts: it takes seconds to import Beam."""

FACTS = {
    "globs match names as a store has them": """
(root / 'b/d').mkdir(parents=True)
for name in ('t1.txt', 't2.txt', 'd/t3.txt'): (root / 'b' / name).touch()
assert names('gs://b/t*.txt') == ['gs://b/t1.txt', 'gs://b/t2.txt']
assert names('gs://b/**.txt') == ['gs://b/d/t3.txt', 'gs://b/t1.txt', 'gs://b/t2.txt']
assert names('gs://b/d/t3.txt') == ['gs://b/d/t3.txt']
assert names('gs://b/x*') == names('gs://nowhere/*') == []
""",
    "an object appears when it is closed": """
out = fs.create('gs://b/d/o.txt')
out.write(b'half')
assert not fs.exists('gs://b/d/o.txt') and names('gs://b/**') == []
out.close()
assert (root / 'b/d/o.txt').read_bytes() == b'half' and names('gs://b/**') == ['gs://b/d/o.txt']
""",
    "a writer that fails leaves no object": """
def fail():
    with fs.create('gs://b/o.txt') as out:
        out.write(b'half')
        raise KeyError
assert raises(KeyError, fail) and not list((root / 'b').iterdir())
""",
    "a name that ends with gz is compressed": """
with fs.create('gs://b/o.gz') as out: out.write(b'text')
assert (root / 'b/o.gz').read_bytes()[:2] == b'\\x1f\\x8b' and fs.open('gs://b/o.gz').read() == b'text'
""",
    "folders without an object vanish, buckets stay": """
with fs.create('gs://b/temp/x/o') as out: out.write(b'1')
fs.rename(['gs://b/temp/x/o'], ['gs://b/out/o'])
assert names('gs://b/**') == ['gs://b/out/o'] and not (root / 'b/temp').exists()
fs.copy(['gs://b/out/o'], ['gs://c/o'])
fs.delete(['gs://b/out/o'])
assert list((root / 'b').iterdir()) == [] and names('gs://c/*') == ['gs://c/o']
""",
    "a folder is no object, and an absent object is an error": """
(root / 'b/d').mkdir(parents=True)
assert not fs.exists('gs://b/d')
assert raises(BeamIOError, lambda: fs.delete(['gs://b/none']))
assert raises(FileNotFoundError, lambda: fs.open('gs://b/none'))
""",
    "no name leads out of the buckets": """
(root.parent / 'secret').touch()
for name in ('gs://../secret', 'gs://b/../../secret', 'gs://'):
    assert raises((ValueError, BeamIOError), lambda: fs.open(name)), name
""",
    "names join and split with single slashes": """
assert fs.join('gs://b/d/', 'x', '/y') == 'gs://b/d/x/y' and fs.join('gs://b', 'dir/') == 'gs://b/dir/'
assert fs.split('gs://b/d/x') == ('gs://b/d', 'x') and fs.split('gs://b') == ('gs://b', '')
""",
}


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The facts that do not hold, with what came instead."""
    told = subprocess.run(
        [str(beam_python()), "-c", SEEN_FROM_BEAM, str(tmp_path_factory.mktemp("gs")), json.dumps(FACTS)],
        env={**os.environ, "PYTHONPATH": str(EMULATOR)},
        check=True,
        timeout=120,
        stdout=subprocess.PIPE,
    ).stdout
    return dict(json.loads(told))


@pytest.mark.parametrize("fact", FACTS)
def test_gs(fact: str, faults: dict[str, str]) -> None:
    assert fact not in faults, faults[fact]
