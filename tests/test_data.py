"""The one door: every kind of table gives the same matrix, and every refusal says what, where and what to do."""

import decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from bayesgmm.data import Dataset, check_columns, check_count, check_row_weights, require_fittable, validate
from bayesgmm.errors import BayesGMMError, InputError

MATRIX = np.array([[3.6, 79.0], [1.8, 54.0], [3.333, 74.0], [2.283, 62.0], [4.533, 85.0]])
NAMES = ["eruptions", "waiting"]
RECORD = {"eruptions": MATRIX[:, 0], "waiting": MATRIX[:, 1]}


def message_of(X: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        validate(X, **options)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, BayesGMMError)
    return str(caught.value)


def strided() -> np.ndarray:
    wide = np.zeros((10, 6))
    wide[::2, ::3] = MATRIX
    return wide[::2, ::3]


def read_only() -> np.ndarray:
    array = MATRIX.copy()
    array.flags.writeable = False
    return array


class TestKindsOfTable:
    @pytest.mark.parametrize(
        "X",
        [
            pytest.param(MATRIX, id="C order"),
            pytest.param(np.asfortranarray(MATRIX), id="Fortran order"),
            pytest.param(strided(), id="strided"),
            pytest.param(MATRIX[::-1][::-1], id="negative strides"),
            pytest.param(MATRIX.astype(">f8"), id="big-endian"),
            pytest.param(MATRIX.astype(np.longdouble), id="long double"),
            pytest.param(read_only(), id="read-only"),
            pytest.param(MATRIX.astype(object), id="objects"),
            pytest.param(MATRIX.tolist(), id="nested lists"),
            pytest.param(tuple(map(tuple, MATRIX)), id="nested tuples"),
            pytest.param(list(MATRIX), id="list of arrays"),
            pytest.param(xr.DataArray(MATRIX), id="DataArray without coordinates"),
        ],
    )
    def test_without_names(self, X: Any) -> None:
        dataset = validate(X)
        np.testing.assert_array_equal(dataset.X, MATRIX)
        assert dataset.columns == ("x0", "x1")
        assert not dataset.has_names
        assert (dataset.n_samples, dataset.n_features) == MATRIX.shape

    @pytest.mark.parametrize(
        "X",
        [
            pytest.param(pd.DataFrame(RECORD), id="pandas"),
            pytest.param(pd.DataFrame(RECORD, index=[5, 5, 5, 0, 0]), id="pandas with a repeated index"),
            pytest.param(pd.DataFrame(RECORD).astype("Float64"), id="pandas nullable"),
            pytest.param(pd.DataFrame(RECORD).astype("float64[pyarrow]"), id="pandas over pyarrow"),
            pytest.param(pd.DataFrame(RECORD).astype(object), id="pandas objects"),
            pytest.param(pd.DataFrame(RECORD).astype(pd.SparseDtype(float)), id="pandas sparse columns"),
            pytest.param(pl.DataFrame(RECORD), id="polars"),
            pytest.param(pa.table(RECORD), id="pyarrow"),
            pytest.param(xr.DataArray(MATRIX, dims=("obs", "feature"), coords={"feature": NAMES}), id="xarray"),
        ],
    )
    def test_with_names(self, X: Any) -> None:
        dataset = validate(X)
        np.testing.assert_array_equal(dataset.X, MATRIX)
        assert dataset.columns == ("eruptions", "waiting")
        assert dataset.has_names

    def test_memory_map(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", MATRIX)
        np.testing.assert_array_equal(validate(np.load(tmp_path / "x.npy", mmap_mode="r")).X, MATRIX)

    @pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float16, np.float32, "<i2", ">i4"])
    def test_every_real_dtype_is_a_number(self, dtype: Any) -> None:
        X = np.array([[0, 1], [1, 0], [1, 1]], dtype=dtype)
        dataset = validate(X)
        assert dataset.X.dtype == np.float64
        np.testing.assert_array_equal(dataset.X, [[0, 1], [1, 0], [1, 1]])
        np.testing.assert_array_equal(validate(pd.DataFrame(X.astype(X.dtype.newbyteorder("=")))).X, dataset.X)

    def test_objects_that_are_numbers(self) -> None:
        X = np.array([[decimal.Decimal("1.5"), Fraction(1, 4)], [True, np.float32(2.5)]], dtype=object)
        np.testing.assert_array_equal(validate(X).X, [[1.5, 0.25], [1.0, 2.5]])
        decimals = {"a": [decimal.Decimal("1.5"), decimal.Decimal("2.5")]}
        for frame in (pd.DataFrame(decimals), pl.DataFrame(decimals), pa.table(decimals)):
            np.testing.assert_array_equal(validate(frame).X, [[1.5], [2.5]])

    def test_a_list_that_mixes_truth_values_and_numbers(self) -> None:
        np.testing.assert_array_equal(validate([[True, 2], [False, 3.5]]).X, [[1.0, 2.0], [0.0, 3.5]])

    def test_a_dataset_passes_as_it_is(self) -> None:
        dataset = validate(MATRIX)
        assert validate(dataset) is dataset

    def test_names_become_text(self) -> None:
        assert validate(pd.DataFrame(MATRIX, columns=[7, ("a", 1)])).columns == ("7", "('a', 1)")
        assert validate(xr.DataArray(MATRIX, dims=("n", "d"), coords={"d": [10, 20]})).columns == ("10", "20")

    @pytest.mark.parametrize("name", ["a/b", " ", "", "<script>", "$x$", "🌋", "y" * 10_000])
    def test_any_text_is_a_name(self, name: str) -> None:
        assert validate(pd.DataFrame({name: [1.0, 2.0]})).columns == (name,)

    @given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1e300, 1e300)))
    def test_every_road_leads_to_the_same_matrix(self, X: np.ndarray) -> None:
        names = [f"c{i}" for i in range(X.shape[1])]
        roads = (
            np.asfortranarray(X),
            X.astype(">f8"),
            X.tolist(),
            X.astype(object),
            pd.DataFrame(X, columns=names),
            pl.DataFrame(X, schema=names),
            pa.table({name: X[:, i] for i, name in enumerate(names)}),
            xr.DataArray(X),
        )
        for road in roads:
            np.testing.assert_array_equal(validate(road).X, X)


class TestMatrix:
    def test_is_read_only_and_the_users_array_stays_writable(self) -> None:
        X = MATRIX.copy()
        dataset = validate(X)
        with pytest.raises(ValueError, match="read-only"):
            dataset.X[0, 0] = 1.0
        X[0, 0] = 1.0

    @pytest.mark.parametrize("X", [np.asfortranarray(MATRIX), MATRIX.astype("f4"), pd.DataFrame(MATRIX)])
    def test_is_c_contiguous_float64(self, X: Any) -> None:
        matrix = validate(X).X
        assert matrix.flags.c_contiguous
        assert matrix.dtype == np.dtype("=f8")

    @pytest.mark.parametrize("X", [np.asfortranarray(MATRIX), MATRIX.astype("f4"), MATRIX[0]])
    def test_dataset_refuses_any_other(self, X: np.ndarray) -> None:
        with pytest.raises(InputError, match=r"Dataset: X must be a C-contiguous float64 matrix; got float\d\d of shape"):
            Dataset(X, ("a", "b"))

    def test_dataset_refuses_names_that_do_not_fit(self) -> None:
        with pytest.raises(InputError, match="X has 2 columns, but 3 names were given"):
            Dataset(MATRIX, ("a", "b", "c"))


def frames_of(record: dict[str, list[Any]]) -> list[Any]:
    return [pd.DataFrame(record), pl.DataFrame(record), pa.table(record)]


class TestRefusedColumns:
    @pytest.mark.parametrize("X", frames_of({"a": [1.0, 2.0], "species": ["setosa", "virginica"], "b": [1, 2]}))
    def test_text(self, X: Any) -> None:
        message = message_of(X)
        assert message.startswith("X (2 rows, 3 columns): column 'species' holds text (dtype String, for example 'setosa')")
        assert message.endswith("Pass only the numeric columns, for example X[['a', 'b']]")

    @pytest.mark.parametrize("X", frames_of({"a": [1.0, 2.0], "b": ["1.5", "2"]}))
    def test_numbers_written_as_text(self, X: Any) -> None:
        message = message_of(X)
        assert "column 'b' holds numbers written as text" in message
        assert "for example '1.5'): convert it, for example with .astype(float)" in message

    @pytest.mark.parametrize("X", frames_of({"a": [1.0, 2.0], "when": list(pd.to_datetime(["2020-01-02", "2021-01-02"]))}))
    def test_dates(self, X: Any) -> None:
        message = message_of(X)
        assert "column 'when' holds dates or times (dtype Datetime" in message
        assert "2020" in message

    def test_durations_in_an_array(self) -> None:
        message = message_of(np.array([[1, 2], [3, 4]], dtype="m8[s]"))
        assert "column 'x0' holds dates or times (dtype timedelta64[s]" in message
        assert "No column is numeric" in message

    @pytest.mark.parametrize(
        "X",
        [
            pd.DataFrame({"a": [1.0, 2.0], "kind": pd.Categorical([10, 20])}),
            pl.DataFrame({"a": [1.0, 2.0], "kind": pl.Series(["u", "v"], dtype=pl.Categorical)}),
            pl.DataFrame({"a": [1.0, 2.0], "kind": pl.Series(["u", "v"], dtype=pl.Enum(["u", "v"]))}),
            pa.table({"a": [1.0, 2.0], "kind": pa.array(["u", "v"]).dictionary_encode()}),
        ],
    )
    def test_categories(self, X: Any) -> None:
        assert "column 'kind' holds categories" in message_of(X)

    def test_complex(self) -> None:
        said = "column 'x0' holds complex numbers (dtype complex128, for example (1+2j) in row 0)"
        assert said in message_of(np.array([[1 + 2j, 0], [3, 4]]))
        frame = pd.DataFrame({"a": [1.0, 2.0], "z": [1 + 2j, 3j]})
        assert "column 'z' holds complex numbers (dtype complex128, for example (1+2j) in row 0)" in message_of(frame)

    def test_an_object_column_names_the_first_row_that_is_not_a_number(self) -> None:
        message = message_of(pd.DataFrame({"a": [1, 2, 3], "b": np.array([1, None, "n/a"], dtype=object)}))
        assert "column 'b' holds text (dtype object, for example 'n/a' in row 2)" in message
        assert "missing" not in message

    def test_text_beside_numbers_in_a_list(self) -> None:
        message = message_of([[1.0, "setosa"], [2.0, "virginica"]])
        assert "column 'x1' holds text (dtype object, for example 'setosa' in row 0)" in message
        assert message.endswith("for example X[:, [0]]")

    def test_an_array_of_text(self) -> None:
        message = message_of(np.array([["1", "2"], ["3", "4"]]))
        assert message.startswith("X (2 rows, 2 columns) has 2 problems:\n  - column 'x0' holds numbers written as text")
        assert message.endswith("No column is numeric")

    def test_lists_in_a_column(self) -> None:
        assert "column 'b' holds values that are not numbers (dtype List" in message_of(pl.DataFrame({"b": [[1], [2]]}))

    def test_long_names_and_values_are_cut(self) -> None:
        assert len(message_of(pd.DataFrame({"y" * 10_000: ["z" * 10_000], "a" * 10_000: [1.0]}))) < 400

    def test_many_bad_columns_are_counted(self) -> None:
        message = message_of(pd.DataFrame({f"c{i}": ["u", "v"] for i in range(47)}))
        assert "has 47 problems" in message
        assert "'c9'" in message
        assert "'c10'" not in message
        assert "and 37 more problems" in message


class TestMissingAndInfinite:
    @pytest.mark.parametrize(
        "X",
        [
            pd.DataFrame({"a": [1, 2, 3, 4], "b": [1.0, np.nan, 3.0, np.nan]}),
            pd.DataFrame({"a": [1, 2, 3, 4], "b": pd.array([1, None, 3, None], dtype="Int64")}),
            pd.DataFrame({"a": [1, 2, 3, 4], "b": pd.array([True, None, True, None], dtype="boolean")}),
            pd.DataFrame({"a": [1, 2, 3, 4], "b": np.array([1, pd.NA, 3, None], dtype=object)}),
            *frames_of({"a": [1, 2, 3, 4], "b": [1, None, 3, None]})[1:],
            *frames_of({"a": [1, 2, 3, 4], "b": [True, None, False, None]})[1:],
        ],
    )
    def test_missing_values_are_counted_by_column(self, X: Any) -> None:
        assert message_of(X) == (
            "X (4 rows, 2 columns): column 'b' has 2 missing values (NaN), the first in row 1 (counted from 0): "
            "fill in or drop those rows"
        )

    def test_a_column_of_nothing(self) -> None:
        for frame in frames_of({"a": [1, 2], "b": [None, None]}):
            assert "column 'b' has 2 missing values (NaN), the first in row 0" in message_of(frame)

    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    def test_infinite_values_are_counted_by_column(self, value: float) -> None:
        X = MATRIX.copy()
        X[3, 0] = value
        assert "column 'x0' has 1 infinite value (inf), the first in row 3" in message_of(X)

    def test_one_in_the_last_of_many_rows(self) -> None:
        X = np.zeros((10_001, 2))
        X[-1, 1] = np.nan
        assert "column 'x1' has 1 missing value (NaN), the first in row 10000" in message_of(X)

    @pytest.mark.parametrize("X", [[[10**400, 1], [2, 3]], np.array([["1e4000"], ["1"]]).astype(np.longdouble)])
    def test_beyond_the_range_of_a_float(self, X: Any) -> None:
        if isinstance(X, np.ndarray) and np.isinf(X).any():
            pytest.skip("long double is no wider than double here")
        assert "column 'x0' has 1 infinite value (inf), the first in row 0" in message_of(X)

    def test_everything_wrong_is_said_at_once(self) -> None:
        frame = pd.DataFrame({"a": [1.0, np.nan, np.inf], "b": ["u", "v", "w"], "c": [1.0, 2.0, np.nan], "d": [1, 2, 3]})
        head, *lines, advice = message_of(frame).split("\n")
        assert head == "X (3 rows, 4 columns) has 4 problems:"
        assert [line.split(":")[0].strip(" -") for line in lines] == [
            "column 'b' holds text (dtype String, for example 'u')",
            "column 'a' has 1 missing value (NaN), the first in row 1 (counted from 0)",
            "column 'a' has 1 infinite value (inf), the first in row 2 (counted from 0)",
            "column 'c' has 1 missing value (NaN), the first in row 2 (counted from 0)",
        ]
        assert advice == "Pass only the numeric columns, for example X[['a', 'c', 'd']]"

    @given(
        hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats()),
    )
    def test_a_matrix_passes_if_and_only_if_it_is_finite(self, X: np.ndarray) -> None:
        if np.isfinite(X).all():
            np.testing.assert_array_equal(validate(X).X, X)
            return
        message = message_of(X)
        for i in range(X.shape[1]):
            for flags, what in ((np.isnan(X[:, i]), "missing value"), (np.isinf(X[:, i]), "infinite value")):
                said = f"column 'x{i}' has {flags.sum()} {what}"
                assert (said in message) == flags.any()
                if flags.any():
                    assert f"the first in row {flags.argmax()}" in message.split(said)[1]


class TestNotATable:
    def test_one_dimension(self) -> None:
        message = message_of(MATRIX[:, 0])
        assert "X has one dimension, shape (5,). Reshape your data: X.reshape(-1, 1)" in message
        assert "one dimension" in message_of([1.0, 2.0])

    @pytest.mark.parametrize(
        "X",
        [pd.Series([1.0, 2.0], name="waiting"), pl.Series("waiting", [1.0, 2.0]), pd.DataFrame(RECORD)["waiting"][:2]],
    )
    def test_a_series(self, X: Any) -> None:
        assert message_of(X) == ("X is a single column named 'waiting' of 2 values: pass a table with one column, X.to_frame()")

    def test_one_dimensional_data_array(self) -> None:
        X = xr.DataArray(MATRIX[:, 0], dims=("obs",))
        assert "the one dimension 'obs'" in message_of(X)
        np.testing.assert_array_equal(validate(X.expand_dims("feature", axis=1)).X, MATRIX[:, :1])

    def test_three_dimensions(self) -> None:
        assert "X has 3 dimensions, shape (2, 3, 4)" in message_of(np.ones((2, 3, 4)))
        assert "X has 3 dimensions" in message_of(xr.DataArray(np.ones((2, 3, 4))))

    def test_masked(self) -> None:
        message = message_of(np.ma.masked_greater(MATRIX, 80.0))
        assert "masked array with 1 masked value:" in message

    @pytest.mark.parametrize("make", [sparse.csr_array, sparse.csr_matrix, sparse.coo_array])
    def test_sparse(self, make: Any) -> None:
        assert "X is a sparse matrix of shape (5, 2): pass X.toarray()" in message_of(make(MATRIX))

    def test_rows_of_different_lengths(self) -> None:
        assert "X has rows of different lengths, from 1 to 3 values" in message_of([[1.0, 2.0, 3.0], [1.0]])

    def test_structured(self) -> None:
        assert "pass pandas.DataFrame(X)" in message_of(np.zeros(3, dtype=[("a", float), ("b", float)]))

    @pytest.mark.parametrize("X", [3.5, None, {"a": [1, 2]}, "data.csv", pl.LazyFrame(RECORD), iter([1, 2]), {1, 2}])
    def test_other_objects_are_named_by_type(self, X: Any) -> None:
        assert type(X).__name__ in message_of(X)

    @pytest.mark.parametrize("X", [np.zeros((0, 2)), pd.DataFrame({"a": [], "b": []}, dtype=float), pl.DataFrame({"a": []})])
    def test_no_rows(self, X: Any) -> None:
        assert message_of(X).startswith("X has no rows (shape (0, ")

    @pytest.mark.parametrize("X", [np.zeros((3, 0)), pd.DataFrame(index=[0, 1, 2]), pl.DataFrame(), [[], []]])
    def test_no_columns(self, X: Any) -> None:
        assert message_of(X).startswith("X has no columns (shape (")

    def test_fewer_rows_than_asked_for(self) -> None:
        assert message_of(MATRIX[:1], min_rows=2) == "X has 1 row; at least 2 are needed"
        assert validate(MATRIX[:2], min_rows=2).n_samples == 2


class TestRepeatedNames:
    def test_are_named_with_their_count(self) -> None:
        expected = "X has 1 repeated column name: 'a' (2 times); rename or drop the copies"
        assert message_of(pd.DataFrame(MATRIX, columns=["a", "a"])) == expected
        assert message_of(pa.Table.from_arrays([pa.array([1.0])] * 2, names=["a", "a"])) == expected
        assert message_of(xr.DataArray(MATRIX, dims=("n", "d"), coords={"d": ["a", "a"]})) == expected

    def test_that_arise_as_text(self) -> None:
        assert "'0' (2 times)" in message_of(pd.DataFrame(MATRIX, columns=[0, "0"]))


class TestRequireFittable:
    def test_good_data_pass(self) -> None:
        require_fittable(validate(MATRIX), 5)

    def test_fewer_rows_than_components(self) -> None:
        with pytest.raises(InputError, match="X has 5 rows, too few for n_components=6: pass at least 6 rows or ask for fewer"):
            require_fittable(validate(MATRIX), 6)

    def test_one_row(self) -> None:
        with pytest.raises(InputError, match=r"X has 1 row, too few for n_components=1: pass at least 2 rows$"):
            require_fittable(validate(MATRIX[:1]), 1)

    def test_fewer_distinct_rows_than_components(self) -> None:
        X = np.repeat(MATRIX[:2], 50, axis=0)
        with pytest.raises(InputError, match="X has 100 rows but only 2 distinct rows, too few for n_components=3"):
            require_fittable(validate(X), 3)
        require_fittable(validate(X), 2)

    def test_identical_rows(self) -> None:
        with pytest.raises(InputError, match="X has 9 rows but only 1 distinct row, too few for n_components=2"):
            require_fittable(validate(np.ones((9, 2))), 2)

    def test_zero_is_one_value_whatever_its_sign(self) -> None:
        with pytest.raises(InputError, match="only 1 distinct row"):
            require_fittable(validate([[0.0], [-0.0], [0.0]]), 2)

    @given(st.integers(1, 6), st.lists(st.integers(0, 5), min_size=2, max_size=200))
    def test_the_distinct_rows_are_counted_wherever_they_stand(self, n_components: int, values: list[int]) -> None:
        dataset = validate([[value] for value in values])
        n_distinct = len(set(values))
        if n_distinct >= n_components and n_distinct > 1:
            require_fittable(dataset, n_components)
        else:
            with pytest.raises(InputError):
                require_fittable(dataset, n_components)

    def test_constant_columns_are_named(self) -> None:
        frame = pd.DataFrame({"a": [1.0, 2.0], "year": [1990, 1990], "b": [0.5, 0.5]})
        with pytest.raises(InputError, match=r"X has 2 constant columns out of 3: 'year' \(always 1990\), 'b' \(always 0.5\)"):
            require_fittable(validate(frame), 1)


class TestCheckColumns:
    dataset = validate(pd.DataFrame(RECORD))

    def test_the_same_columns_pass(self) -> None:
        check_columns(self.dataset, NAMES)

    def test_reordered(self) -> None:
        with pytest.raises(
            InputError, match=r"in another order \('eruptions', 'waiting'\).*'waiting', 'eruptions', in this order"
        ):
            check_columns(self.dataset, ["waiting", "eruptions"])

    def test_missing_and_extra(self) -> None:
        with pytest.raises(InputError, match="missing 'depth'; not seen in the fit 'waiting'"):
            check_columns(self.dataset, ["eruptions", "depth"])

    def test_extra(self) -> None:
        with pytest.raises(InputError, match="not seen in the fit 'waiting'"):
            check_columns(self.dataset, ["eruptions"])

    def test_an_array_without_names_passes_where_its_width_fits(self) -> None:
        check_columns(validate(MATRIX), NAMES)
        with pytest.raises(InputError, match="X has 1 column, but the mixture was fitted to 2: 'eruptions', 'waiting'"):
            check_columns(validate(MATRIX[:, :1]), NAMES)

    def test_names_pass_after_a_fit_without_names(self) -> None:
        check_columns(self.dataset, ["x0", "x1"])


class TestCheckCount:
    @pytest.mark.parametrize("value", [2, np.int8(2), np.uint64(2), np.array(2)])
    def test_whole_numbers(self, value: Any) -> None:
        count = check_count(value, "n_components")
        assert count == 2
        assert type(count) is int

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (True, "got True, a truth value"),
            (np.True_, "a truth value"),
            (2.5, "got 2.5 of type float"),
            (2.0, "got 2.0 of type float"),
            (np.float64(2.0), "of type float64"),
            ("2", "got '2' of type str"),
            (None, "got None of type NoneType"),
            (float("nan"), "got nan of type float"),
            ([2], r"got \[2\] of type list"),
            (0, "got 0"),
            (-1, "got -1"),
        ],
    )
    def test_anything_else_is_refused(self, value: Any, said: str) -> None:
        with pytest.raises(InputError, match=f"^n_components must be a whole number of at least 1; .*{said}"):
            check_count(value, "n_components")

    def test_minimum(self) -> None:
        assert check_count(0, "n", minimum=0) == 0
        with pytest.raises(InputError, match="n must be a whole number of at least 2; got 1"):
            check_count(1, "n", minimum=2)


class TestCheckRowWeights:
    @pytest.mark.parametrize("weights", [[1, 0, 2], np.array([1, 0, 2], dtype="f4"), pd.Series([1, 0, 2])])
    def test_numbers_of_at_least_zero(self, weights: Any) -> None:
        row_weights = check_row_weights(weights, 3)
        np.testing.assert_array_equal(row_weights, [1.0, 0.0, 2.0])
        assert row_weights.dtype == np.float64

    @pytest.mark.parametrize(
        ("weights", "said"),
        [
            ([1.0, 2.0], r"shape \(3,\); got shape \(2,\)"),
            ([[1.0, 2.0, 3.0]], r"shape \(3,\); got shape \(1, 3\)"),
            (1.0, "got the single value 1.0"),
            ([1.0, np.nan, np.inf], r"2 of 3 are not finite, the first in row 1 \(nan\)"),
            ([1.0, 2.0, -0.5], r"1 of 3 are negative, the first in row 2 \(-0.5\)"),
            ([0.0, 0.0, 0.0], "is 0 in all 3 rows"),
            (["a", "b", "c"], "one number per row, 3 in all; got"),
            ([1 + 2j, 1, 1], "one number per row, 3 in all; got"),
        ],
    )
    def test_anything_else_is_refused(self, weights: Any, said: str) -> None:
        with pytest.raises(InputError, match=f"^sample_weight .*{said}"):
            check_row_weights(weights, 3)
