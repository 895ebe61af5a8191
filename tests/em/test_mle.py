"""fit_mle: the closed forms of labelled data, as a classifier against scikit-learn's, and what it refuses."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

from bayesgmm.datasets import load_iris
from bayesgmm.em.fit import fit_em
from bayesgmm.em.mle import fit_mle
from bayesgmm.em.record import em_result_from_dataset
from bayesgmm.em.run import EMStatus
from bayesgmm.errors import FitError, InputError
from tests.em.covariance_members import FOURTEEN
from tests.families.cases import assert_member
from tests.problems import Array

IRIS = load_iris()
X = IRIS.drop(columns="species")
SPECIES = IRIS["species"].to_numpy()
NAMES, CODES = np.unique(SPECIES, return_inverse=True)


def unequal() -> tuple[Array, Array]:
    """The irises without most of the second species."""
    kept = np.r_[0:50, 50:62, 100:150]
    return X.to_numpy()[kept], SPECIES[kept]


def group_moments(rows: Array, labels: Array) -> tuple[Array, Array, Array]:
    groups = [rows[labels == label] for label in np.unique(labels)]
    counts = np.array([len(group) for group in groups])
    return counts, np.array([g.mean(axis=0) for g in groups]), np.array([np.cov(g.T, bias=True) for g in groups])


class TestClosedForm:
    def test_own_covariances(self) -> None:
        rows, labels = unequal()
        counts, means, covariances = group_moments(rows, labels)
        em = fit_mle(rows, labels)
        np.testing.assert_allclose(em.params.weights, counts / counts.sum(), rtol=1e-14)
        np.testing.assert_allclose(em.params.means, means, rtol=1e-13)
        np.testing.assert_allclose(em.params.covariances, covariances, rtol=1e-11)

    def test_pooled_covariance(self) -> None:
        rows, labels = unequal()
        counts, means, covariances = group_moments(rows, labels)
        em = fit_mle(rows, labels, covariance="EEE")
        pooled = np.einsum("k,kij->ij", counts, covariances) / counts.sum()
        np.testing.assert_allclose(em.params.means, means, rtol=1e-13)
        np.testing.assert_allclose(em.params.covariances, [pooled] * 3, rtol=1e-11)

    @pytest.mark.parametrize("name", FOURTEEN)
    def test_it_is_the_m_step_of_the_family(self, name: str) -> None:
        em = fit_mle(X, SPECIES, covariance=name)
        assert_member(name, em.params.covariances)
        assert em.covariance == name
        started = fit_em(X, 3, covariance=name, init=SPECIES, max_iter=0)
        assert em.params == started.params
        assert em.log_likelihood == started.log_likelihood

    @pytest.mark.parametrize("name", FOURTEEN)
    def test_no_member_nearby_is_likelier(self, name: str) -> None:
        """The complete-data log-likelihood falls where all covariances grow, shrink, or take a step towards other data's."""

        def complete(covariances: Array, means: Array) -> float:
            parts = [multivariate_normal(means[k], covariances[k]).logpdf(X[k == CODES]).sum() for k in range(3)]
            return float(np.sum(parts))

        params = fit_mle(X, SPECIES, covariance=name).params
        best = complete(params.covariances, params.means)
        rng = np.random.default_rng(0)
        for factor in (0.98, 1.02):
            assert complete(factor * params.covariances, params.means) < best
        for _ in range(3):
            other = fit_mle(X, SPECIES, covariance=name, sample_weight=rng.uniform(0.8, 1.2, len(X))).params
            assert complete(other.covariances, params.means) < best
            assert complete(params.covariances, other.means) < best

    def test_log_likelihood_is_that_of_the_rows_without_labels(self) -> None:
        em = fit_mle(X, SPECIES)
        joint = [
            w * multivariate_normal(m, c).pdf(X)
            for w, m, c in zip(em.params.weights, em.params.means, em.params.covariances, strict=True)
        ]
        np.testing.assert_allclose(em.log_likelihood, np.log(np.sum(joint, axis=0)).sum(), rtol=1e-12)

    def test_one_class(self) -> None:
        em = fit_mle(X, ["all"] * len(X))
        assert em.params.weights == [1.0]
        np.testing.assert_allclose(em.params.covariances[0], np.cov(X.T, bias=True), rtol=1e-12)
        assert em.labels == ("all",)
        np.testing.assert_allclose(em.log_likelihood, fit_em(X, 1).log_likelihood, rtol=1e-13)

    def test_one_column(self) -> None:
        column = X[["petal_length"]]
        em = fit_mle(column, SPECIES, covariance="V")
        variances = [column[name == SPECIES].var(ddof=0).item() for name in NAMES]
        np.testing.assert_allclose(em.params.covariances.ravel(), variances, rtol=1e-12)

    def test_a_row_weight_is_a_number_of_copies(self) -> None:
        copies = np.random.default_rng(0).integers(0, 4, len(X))
        weighted = fit_mle(X, SPECIES, sample_weight=copies)
        repeated = fit_mle(X.to_numpy().repeat(copies, axis=0), SPECIES.repeat(copies))
        for name in ("weights", "means", "covariances"):
            np.testing.assert_allclose(getattr(weighted.params, name), getattr(repeated.params, name), rtol=1e-10)
        np.testing.assert_allclose(weighted.log_likelihood, repeated.log_likelihood, rtol=1e-11)
        assert weighted.total_weight == copies.sum()

    def test_status(self) -> None:
        em = fit_mle(X, SPECIES)
        assert em.status is EMStatus.CLOSED_FORM
        assert em.converged
        assert (em.n_iter, len(em.runs), em.runs[0].init) == (0, 1, "labels")
        assert em.trace == [em.log_likelihood]
        assert len(em.modes) == 1
        assert em.columns == tuple(X.columns)
        assert em.n_parameters == 2 + 12 + 30


class TestClassifier:
    def test_quadratic_discriminant_analysis(self) -> None:
        """Maximum-likelihood covariances of the groups, as scikit-learn 1.9 takes them: VVV."""
        rows, labels = unequal()
        em = fit_mle(rows, labels)
        theirs = QuadraticDiscriminantAnalysis(store_covariance=True).fit(rows, labels)
        np.testing.assert_allclose(em.params.covariances, theirs.covariance_, rtol=1e-10)
        np.testing.assert_allclose(em.params.means, theirs.means_, rtol=1e-12)
        np.testing.assert_allclose(em.params.weights, theirs.priors_, rtol=1e-12)
        np.testing.assert_allclose(em.responsibilities(rows), theirs.predict_proba(rows), rtol=1e-8, atol=1e-12)
        np.testing.assert_array_equal(np.array(em.labels)[em.predict(rows)], theirs.predict(rows))

    def test_linear_discriminant_analysis(self) -> None:
        """The "lsqr" solver takes the maximum-likelihood covariances of the groups, weighted by their shares: EEE."""
        rows, labels = unequal()
        em = fit_mle(rows, labels, covariance="EEE")
        theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(rows, labels)
        np.testing.assert_allclose(em.params.covariances[0], theirs.covariance_, rtol=1e-10)
        np.testing.assert_allclose(em.responsibilities(rows), theirs.predict_proba(rows), rtol=1e-8, atol=1e-12)
        np.testing.assert_array_equal(np.array(em.labels)[em.predict(rows)], theirs.predict(rows))

    def test_new_rows(self) -> None:
        em = fit_mle(X[::2], SPECIES[::2], covariance="EEE")
        assert (np.array(em.labels)[em.predict(X[1::2])] == SPECIES[1::2]).mean() > 0.9


class TestLabels:
    @pytest.mark.parametrize(
        ("labels", "names"),
        [
            (SPECIES, tuple(NAMES)),
            (SPECIES.tolist(), tuple(NAMES)),
            (IRIS["species"], tuple(NAMES)),
            (IRIS["species"].astype("category"), tuple(NAMES)),
            (CODES, ("0", "1", "2")),
            (CODES - 7, ("-7", "-6", "-5")),
            (CODES * 0.5, ("0.0", "0.5", "1.0")),
        ],
    )
    def test_any_kind(self, labels: Any, names: tuple[str, ...]) -> None:
        em = fit_mle(X, labels)
        assert em.labels == names
        assert em.params == fit_mle(X, CODES).params

    def test_truth_values(self) -> None:
        em = fit_mle(X, NAMES[0] == SPECIES)
        assert em.labels == ("False", "True")
        np.testing.assert_allclose(em.params.weights, [2 / 3, 1 / 3])

    def test_through_a_dataset(self) -> None:
        em = fit_mle(X, SPECIES, covariance="VEV")
        again = em_result_from_dataset(em.to_dataset())
        assert again == em
        assert again.labels == tuple(NAMES)
        assert again.status is EMStatus.CLOSED_FORM

    def test_a_fit_without_labels_has_none(self) -> None:
        em = fit_em(X, 2, init=NAMES[0] == SPECIES, max_iter=3)
        assert em.labels == ()
        assert em_result_from_dataset(em.to_dataset()).labels == ()


class TestRefusals:
    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
    def test_missing_labels(self, missing: Any) -> None:
        labels = SPECIES.astype(object)
        labels[[3, 5]] = missing
        with pytest.raises(InputError, match="labels: the label vector has 2 missing labels; label every row"):
            fit_mle(X, labels)

    @pytest.mark.parametrize("labels", [SPECIES[:5], SPECIES[:, None], "setosa"])
    def test_not_one_label_per_row(self, labels: Any) -> None:
        with pytest.raises(InputError, match=r"labels must have shape \(150,\), one for each row; got shape"):
            fit_mle(X, labels)

    def test_labels_of_several_kinds(self) -> None:
        labels = SPECIES.astype(object)
        labels[4] = 1
        with pytest.raises(InputError, match="labels: the label vector holds int and str, which cannot be sorted"):
            fit_mle(X, labels)

    def test_labels_are_named_as_the_user_wrote_them(self) -> None:
        labels = SPECIES.astype(str)
        labels[7] = "solitary"
        with pytest.raises(FitError, match="the group labelled 'solitary' has"):
            fit_mle(X, labels)

    def test_a_class_of_one_row(self) -> None:
        labels = SPECIES.copy()
        labels[7] = "solitary"
        with pytest.raises(
            FitError, match=r"the group labelled 'solitary' has no proper covariance in family VVV: .*1 rows in 4"
        ):
            fit_mle(X, labels)
        assert fit_mle(X, labels, covariance="EEE").labels[1] == "solitary"

    def test_a_class_without_weight(self) -> None:
        with pytest.raises(FitError, match=f"the group labelled '{NAMES[0]}' .* became empty"):
            fit_mle(X, SPECIES, sample_weight=(CODES != 0).astype(float))

    def test_more_classes_than_rows_that_count(self) -> None:
        with pytest.raises(InputError, match="too few for n_components=150"):
            fit_mle(X, np.arange(150), sample_weight=np.append(np.ones(149), 0.0))
