"""Parts for tests of compilation in two processes: they write down which process ran them. Quick to import."""

import os
import time
from pathlib import Path

NOTES = "BAYESGMM_TEST_NOTES"
"""Environment variable with the folder to write to."""


def first_part():
    _note("first")


def second_part():
    _note("second")


def third_part():
    _note("third")


def slow_part():
    time.sleep(60.0)


def bad_part():
    raise RuntimeError


def _note(name):
    Path(os.environ[NOTES], name).write_text(str(os.getpid()), encoding="utf-8")
