"""Every example runs as a script, small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, tmp_path):
    environment = {**os.environ, "BAYESGMM_EXAMPLE_DRAWS": "100", "BAYESGMM_EXAMPLE_FOLDER": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(example)], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"density.png", "forest.png", "old_faithful.html", "old_faithful.nc"} <= {path.name for path in tmp_path.iterdir()}
