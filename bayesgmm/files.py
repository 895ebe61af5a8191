"""Files: those that must be there, and one write to disk that happens whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from bayesgmm.errors import InputError

TABLE_FILE, ANALYSIS_FILE = "a CSV or Parquet file", "an analysis file (.nc)"


def require_file(path: str | os.PathLike[str], kind: str) -> Path:
    """`path` as a Path where a file is; InputError that says which `kind` of file is needed if there is none."""
    source = Path(path)
    if not source.is_file():
        raise InputError(f"{source} is {'a folder' if source.is_dir() else 'not there'}; {kind} is needed")
    return source


def writable_folder(path: Path) -> Path:
    """The folder, made if need be, and known to be writable before hours of work depend on it; InputError if it is not."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".bayesgmm-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write to the folder {path}: {error.strerror}") from error
    return path


def check_target(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path where a file can stand; InputError if it is a folder or its folder does not exist.

    Worth calling before the work whose result is to be written.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{target} is a folder; give the name of a file in it, such as {target / 'report.html'}")
    if not target.parent.is_dir():
        raise InputError(
            f"the folder {target.parent} does not exist, so {target.name} cannot be written: create the folder first"
        )
    return target


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Replace the file at `path` in one step by what `write` puts into the temporary file whose path it is given.

    Readers see the old file or the new one, never a part. Raises InputError that names the file and the reason, and leaves no
    temporary file behind.
    """
    temporary = path.parent / f".{uuid4().hex}.tmp"
    try:
        write(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path
