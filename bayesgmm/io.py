"""Saving and loading a whole analysis as one netCDF file."""

import os
from pathlib import Path
from typing import Final

import xarray as xr

from bayesgmm.errors import FileFormatError, InputError
from bayesgmm.files import ANALYSIS_FILE, check_target, require_file, write_whole

SCHEMA_VERSION = 1
ENGINE: Final = "h5netcdf"


def save(tree: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write the tree to a netCDF file; an existing one is replaced only once the new one is complete.

    Raises
    ------
    InputError
        If `tree` is no DataTree, or the folder does not exist or cannot be written to.
    """
    if not isinstance(tree, xr.DataTree):
        raise InputError(
            f"save writes an analysis, the DataTree that sample returns or the `tree` of a comparison; got {type(tree).__name__}"
        )
    target = check_target(path)
    marked = tree.copy()
    marked.attrs = {**tree.attrs, "bayesgmm_schema": SCHEMA_VERSION}
    return write_whole(target, lambda temporary: marked.to_netcdf(temporary, engine=ENGINE))


def load(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read an analysis that `save` wrote; all of it, into memory.

    Raises
    ------
    InputError
        If there is no such file.
    FileFormatError
        If the file is truncated, was not written by this library, or by a newer version of it.
    """
    source = require_file(path, ANALYSIS_FILE)
    try:
        with xr.open_datatree(source, engine=ENGINE) as stored:
            tree = stored.load()
    except Exception as error:  # h5py and xarray raise a variety of types for foreign bytes
        raise FileFormatError(f"{source} cannot be read as a netCDF file: {error}") from error
    schema = tree.attrs.pop("bayesgmm_schema", None)
    if "posterior" not in tree.children or (schema is None and "bayesgmm_version" not in tree.attrs):
        raise FileFormatError(f"{source} is a netCDF file but not an analysis saved by bayesgmm")
    if schema is not None and schema > SCHEMA_VERSION:
        raise FileFormatError(
            f"{source} was saved by a newer bayesgmm (schema {schema}, this one reads {SCHEMA_VERSION}): upgrade"
        )
    return tree
