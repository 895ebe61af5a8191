"""Every example runs as a script, small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
WRITTEN = {
    "old_faithful": {"density.png", "forest.png", "old_faithful.html", "old_faithful.nc"},
    "extend_the_model": set(),
    "iris_who_belongs_where": {f"iris_{name}.png" for name in ("memberships", "entropy", "calibration", "similarity")},
    "galaxies_labels_and_partitions": {f"galaxies_{name}.png" for name in ("traces", "modes", "similarity")},
    "galaxies_how_many_components": {"galaxies_n_components.png"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITTEN)
def test_example_runs(name, tmp_path):
    environment = {**os.environ, "BAYESGMM_EXAMPLE_DRAWS": "100", "BAYESGMM_EXAMPLE_FOLDER": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert WRITTEN[name] <= {path.name for path in tmp_path.iterdir()}


def test_no_example_is_left_out():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(WRITTEN)
