"""The names under which families go, and where they may be used."""

import pytest
from numba.core.dispatcher import Dispatcher

from bayesgmm.errors import InputError
from bayesgmm.families import (
    ALIASES,
    FAMILIES,
    ONE_COLUMN,
    axis_aligned,
    common_axes,
    common_orientation,
    family_named,
    log_volumes,
    own_orientation,
    require_dimension,
    rotations,
    spherical,
    volume_shape,
)
from bayesgmm.kernels.cache import FINGERPRINT

MODULES = (axis_aligned, common_axes, common_orientation, log_volumes, own_orientation, rotations, spherical, volume_shape)


def test_all_of_mclusts_families_are_there() -> None:
    assert " ".join(FAMILIES) == "EII VII EEI VEI EVI VVI EEE VEE EVE VVE EEV VEV EVV VVV E V"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_knows_its_name(name: str) -> None:
    assert FAMILIES[name].name == name
    assert family_named(name) is FAMILIES[name]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_name_says_what_is_counted(name: str) -> None:
    """Volumes, shapes and orientations, for 5 components in 4 columns."""
    copies = {"E": 1, "V": 5, "I": 0}
    letters = f"{name}II" if name in ONE_COLUMN else name
    expected = copies[letters[0]] + 3 * copies[letters[1]] + 6 * copies[letters[2]]
    assert FAMILIES[name].n_covariance_parameters(5, 4) == expected


def test_properties_of_the_families() -> None:
    assert [name for name in FAMILIES if FAMILIES[name].only_variances] == ["EII", "VII", "EEI", "VEI", "EVI", "VVI", "E", "V"]
    equivariant = [name for name in FAMILIES if FAMILIES[name].column_equivariant]
    assert equivariant == ["EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV"]


def test_an_alias_is_another_name_of_a_family() -> None:
    assert {alias: family_named(alias).name for alias in ALIASES} == {
        "spherical": "VII",
        "diag": "VVI",
        "tied": "EEE",
        "full": "VVV",
    }


@pytest.mark.parametrize("name", ["vvv", "FULL", "", "XYZ", None, 3, ["VVV"]])
def test_an_unknown_name_lists_the_choices(name: object) -> None:
    with pytest.raises(InputError) as caught:
        family_named(name)  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"covariance is {name!r}; choose one of: EII, VII")
    assert "full (= VVV)" in str(caught.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_only_e_and_v_are_bound_to_one_column(name: str) -> None:
    require_dimension(FAMILIES[name], 1)
    if name not in ONE_COLUMN:
        require_dimension(FAMILIES[name], 2)


@pytest.mark.parametrize(("name", "instead"), [("E", "EII"), ("V", "VII")])
def test_e_and_v_say_what_to_use_instead(name: str, instead: str) -> None:
    with pytest.raises(InputError, match=rf"{name}.*for one column; X has 2: use '{instead}'"):
        require_dimension(FAMILIES[name], 2)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_compiled_code_is_stamped_with_all_of_its_sources(module: object) -> None:
    for function in vars(module).values():
        if isinstance(function, Dispatcher):
            assert function._cache._impl.locator.get_source_stamp() == FINGERPRINT
