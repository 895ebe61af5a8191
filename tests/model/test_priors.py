"""Priors: checked at birth, filled in from the data, in the data's units, drawn and described."""

import numpy as np
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.families import family_named
from bayesgmm.model.coordinates import constrain, covariances, from_mixture, to_mixture
from bayesgmm.model.scale_priors import DEFAULT_SCALES, SCALE_PARAMETERS
from tests.em.covariance_members import FOURTEEN
from tests.problems import random_data, random_params

LEVEL = 1e-4  # of each Kolmogorov-Smirnov test; seeds are fixed


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(1)
    return random_data(rng, random_params(rng, 2, 3), 60)[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scale_prior": "uniform"}, "choose one of inverse_gamma"),
        ({"scale_prior": ["half_normal"]}, "choose one of inverse_gamma"),
        ({"scale_params": {"sigma": 1.0}}, "scale_params of inverse_gamma are alpha, beta; got sigma"),
        ({"lkj_eta": 0.0}, "lkj_eta must be a positive number"),
        ({"lkj_eta": "strong"}, "lkj_eta must be a positive number; got 'strong'"),
        ({"log_ratio_scale": np.inf}, "log_ratio_scale must be a positive number; got inf"),
    ],
)
def test_priors_are_checked_at_birth(arguments, words):
    with pytest.raises(bg.InputError, match=words):
        bg.Priors(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"concentration": (1.0, 1.0, 1.0)}, "concentration has 3 values; give one number or 2"),
        ({"concentration": -1.0}, "concentration must be positive"),
        ({"mean_loc": (1.0, 2.0)}, "mean_loc has 2 values; give one number or 3"),
        ({"mean_loc": np.nan}, "mean_loc must be finite"),
        ({"mean_scale": (1.0, 0.0, 1.0)}, "mean_scale must be positive"),
        ({"mean_scale": "wide"}, "mean_scale must be a number or 3 numbers; got 'wide'"),
        ({"scale_params": {"alpha": 2.0, "beta": (1.0, 2.0)}}, r"scale_params\['beta'\] has 2 values"),
        ({"scale_params": {"alpha": 2.0, "beta": -1.0}}, r"scale_params\['beta'\] must be positive"),
    ],
)
def test_priors_are_checked_against_the_data(X, arguments, words):
    with pytest.raises(bg.InputError, match=words):
        bg.Priors(**arguments).resolved(X, 2)


@pytest.mark.parametrize("family", ["EII", "VII", "EVE", "VEV"])
def test_columns_without_scales_of_their_own_have_one_number(X, family):
    by_column = bg.Priors(scale_params={"alpha": 2.0, "beta": (1.0, 2.0, 3.0)})
    with pytest.raises(bg.InputError, match=f"{family} has no scale for each column: give one number"):
        by_column.resolved(X, 2, family)
    by_column.resolved(X, 2, "VEI")
    one = bg.Priors(scale_params={"alpha": 2.0, "beta": 3.0}).resolved(X, 2, family)
    assert set(one.scale_params["beta"]) == {3.0}


def test_priors_compare_by_value():
    assert bg.Priors(mean_scale=np.array([1.0, 2.0])) == bg.Priors(mean_scale=(1.0, 2.0))
    first, second = (bg.Priors(scale_params={"alpha": 2.0, "beta": beta}) for beta in (np.ones(2), [1.0, 1.0]))
    assert first == second
    assert first != bg.Priors()


@pytest.mark.parametrize("scale_prior", SCALE_PARAMETERS)
@pytest.mark.parametrize("family", FOURTEEN)
def test_priors_follow_the_units(X, family, scale_prior):
    """ln p of the moved mixture under the moved data's priors is ln p under the data's, less ln|d moved / d parameters|."""
    columns = family_named(family).column_equivariant
    unit = np.array([100.0, 0.01, 3.0]) if columns else np.full(3, 60.0)
    shift = np.array([7.0, -2.0, 0.0])
    first = bg.Priors(scale_prior=scale_prior).resolved(X, 2, family)
    second = bg.Priors(scale_prior=scale_prior).resolved(X * unit + shift, 2, family)
    structure = first.structure
    parameters = constrain(np.random.default_rng(2).normal(size=structure.n_coordinates), structure)
    if structure.axes == "rotations":  # of the equivalent orders and signs of the axes, the ones that `from_mixture` takes
        parameters = from_mixture(to_mixture(parameters, structure), structure)
    moved = from_mixture(to_mixture(parameters, structure).affine(unit, shift), structure)
    of_columns = np.log(unit) if structure.feature_scales else np.log(unit[:1])
    expected = {"means": -2 * np.log(unit).sum(), "scales": -structure.scales_shape[0] * of_columns.sum()}
    before, after = first.log_density(parameters), second.log_density(moved)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert float(after[name]) == pytest.approx(float(value) + expected.get(name, 0.0), rel=1e-8, abs=1e-8)


def test_defaults_are_those_documented(X):
    spread, location = X.std(axis=0), X.mean(axis=0)
    priors = bg.Priors().resolved(X, 2)
    np.testing.assert_allclose(priors.mean_loc, location)
    np.testing.assert_allclose(priors.mean_scale, 2.5 * spread)
    low, median, high = priors.scale_distribution.ppf(np.array([[0.01], [0.5], [0.99]]))
    np.testing.assert_allclose(low / spread, 0.075, atol=0.005)
    np.testing.assert_allclose(high / spread, 3.4, atol=0.05)
    np.testing.assert_allclose(priors.scale_distribution.mean(), spread / 2, rtol=1e-12)
    assert (median < spread).all()
    one = bg.Priors().resolved(X, 2, "VII")
    assert one.scale_params["beta"] == pytest.approx([np.exp(np.log(spread).mean()) / 2])


CDFS = {
    "inverse_gamma": lambda values: stats.invgamma(values["alpha"], scale=values["beta"]).cdf,
    "half_normal": lambda values: stats.halfnorm(scale=values["sigma"]).cdf,
    "half_student_t": lambda values: lambda x: 2 * stats.t(values["nu"], scale=values["sigma"]).cdf(x) - 1,
    "log_normal": lambda values: stats.lognorm(values["sigma"], scale=np.exp(values["mu"])).cdf,
    "hierarchical_gamma": lambda values: (
        lambda x: stats.betaprime(values["g"], values["alpha"]).cdf(values["h"] * x**2)  # h sigma^2 = Gamma(g) / Gamma(alpha)
    ),
}


@pytest.mark.parametrize("scale_prior", SCALE_PARAMETERS)
def test_draws_follow_their_priors(X, scale_prior):
    priors = bg.Priors(scale_prior=scale_prior, concentration=2.0).resolved(X, 2)
    draws = priors.draw(np.random.default_rng(3), 3000)
    for d in range(3):
        of_scales = CDFS[scale_prior]({name: values[d] for name, values in priors.scale_params.items()})
        assert stats.kstest(draws.scales[:, 1, d], of_scales).pvalue > LEVEL
        of_means = stats.norm(priors.mean_loc[d], priors.mean_scale[d]).cdf
        assert stats.kstest(draws.means[:, 0, d], of_means).pvalue > LEVEL
    assert stats.kstest(draws.weights[:, 0], stats.beta(2, 2).cdf).pvalue > LEVEL


@pytest.mark.parametrize("family", FOURTEEN)
def test_draws_are_parameters_of_the_family(X, family):
    priors = bg.Priors().resolved(X, 2, family)
    draws = priors.draw(np.random.default_rng(4), 50)
    one = constrain(np.zeros((50, priors.structure.n_coordinates)), priors.structure)
    assert [part.shape for part in draws] == [part.shape for part in one]
    assert (np.linalg.eigvalsh(covariances(draws, priors.structure)) > 0).all()
    for name, values in priors.log_density(draws).items():
        assert values.shape == (50,), name
        assert np.isfinite(values).all()


@pytest.mark.parametrize(("n_components", "family"), [(2, "VEI"), (4, "VEE")])
def test_relative_volumes_have_the_variance_of_a_centred_normal(X, n_components, family):
    """Independent Normals less their mean: variance s^2 (1 - 1/K) each, and so for shapes in both directions."""
    draws = bg.Priors(log_ratio_scale=0.5).resolved(X, n_components, family).draw(np.random.default_rng(5), 4000)
    np.testing.assert_allclose(draws.log_volumes.sum(axis=1), 0.0, atol=1e-12)
    expected = stats.norm(0, 0.5 * np.sqrt(1 - 1 / n_components))
    assert stats.kstest(draws.log_volumes[:, -1], expected.cdf).pvalue > LEVEL
    shapes = bg.Priors(log_ratio_scale=0.5).resolved(X, n_components, "EVI").draw(np.random.default_rng(6), 4000).log_shapes
    np.testing.assert_allclose(shapes.sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(shapes.sum(axis=2), 0.0, atol=1e-12)
    expected = stats.norm(0, 0.5 * np.sqrt((1 - 1 / n_components) * (1 - 1 / 3)))
    assert stats.kstest(shapes[:, 0, 1], expected.cdf).pvalue > LEVEL


def described(X, family, n_components=2, **arguments):
    return bg.Priors(**arguments).resolved(X, n_components, family).describe(("a", "b", "c"))


def test_priors_say_what_they_are():
    X = bg.load_faithful().to_numpy(dtype=float)
    text = bg.Priors().describe(bg.load_faithful(), 2)
    assert text == bg.Priors().resolved(X, 2).describe(("eruptions", "waiting"))
    assert "weights ~ Dirichlet(1, 1)" in text
    assert "means of waiting ~ Normal(70.9, sd 33.92)" in text
    assert "standard deviations of eruptions ~ inverse_gamma(alpha=2, beta=0.5696): median 0.339, 98% between" in text
    assert "correlations ~ LKJ(2)" in text


def test_priors_print_what_is_given_and_what_the_data_will_give():
    text = str(bg.Priors())
    assert "means in a column ~ Normal(mean of the column, sd 2.5 s)" in text
    assert "inverse_gamma(alpha=2, beta=s/2): median 0.3 s, 98% between 0.075 s and 3.4 s" in text
    given = str(bg.Priors(concentration=(1, 2), mean_loc=(0, 5), scale_prior="half_normal", scale_params={"sigma": 3}, lkj_eta=1))
    assert given.splitlines()[:3] == [
        "weights ~ Dirichlet((1, 2))",
        "means in a column ~ Normal((0, 5), sd 2.5 s)",
        "standard deviations in a column ~ half_normal(sigma=3)",
    ]
    assert repr(bg.Priors(lkj_eta=1)).startswith("Priors(concentration=1.0, mean_loc=None")


@pytest.mark.parametrize("scale_prior", SCALE_PARAMETERS)
def test_the_words_for_the_defaults_are_right(scale_prior):
    """The printed quantiles, in units of s or R, are those of a column of that size; the printed expressions give the numbers."""
    X = np.random.default_rng(8).normal(size=(50, 1))
    spread, extent = float(X.std()), float(np.ptp(X))
    unit, size = ("R", extent) if scale_prior == "hierarchical_gamma" else ("s", spread)
    priors = bg.Priors(scale_prior=scale_prior).resolved(X, 1)
    printed = str(bg.Priors(scale_prior=scale_prior))
    for quantile in priors.scale_distribution.ppf(np.array([[0.01], [0.5], [0.99]]))[:, 0]:
        assert f"{quantile / size:.2g} {unit}" in printed
    assert f"{unit}: the column's" in printed
    for name, values in priors.scale_params.items():
        expression = {"s": spread, "s/2": spread / 2, "ln(0.3 s)": np.log(0.3 * spread), "10/R^2": 10 / extent**2}
        word = next(word for word in DEFAULT_SCALES[scale_prior].split(", ") if word.startswith(f"{name}=")).split("=")[1]
        assert values[0] == pytest.approx(expression[word] if word in expression else float(word))


def test_richardson_and_greens_priors_on_galaxies():
    """Their section 2.4, in the units of the data; one component's spread by the quantiles of 20,000 draws of beta and of it."""
    galaxies = bg.load_galaxies()
    middle, extent = 0.5 * (9.172 + 34.279), 34.279 - 9.172
    priors = bg.Priors(mean_loc=middle, mean_scale=extent, scale_prior="hierarchical_gamma")
    assert "hierarchical_gamma(alpha=2, g=0.2, h=0.01586): median 0.9, 98% between 5.03e-05 and 13.2" in priors.describe(
        galaxies, 3
    )
    resolved = priors.resolved(galaxies.to_numpy(), 3)
    assert resolved.scale_params["h"] == pytest.approx([10 / extent**2])
    rng = np.random.default_rng(9)
    beta = rng.gamma(0.2, extent**2 / 10, size=20_000)
    scales = rng.gamma(2.0, 1 / beta) ** -0.5
    below = (scales[:, None] < resolved.scale_distribution.ppf(np.array([0.1, 0.5, 0.9]))).mean(axis=0)
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.01)
    rotated = bg.Priors(scale_prior="hierarchical_gamma").resolved(bg.load_faithful().to_numpy(dtype=float), 2, "VVE")
    assert rotated.scale_params["h"] == pytest.approx([10 / (3.5 * 53.0)] * 2)  # the ranges are 3.5 and 53


def test_describe_checks_its_arguments(X):
    with pytest.raises(bg.InputError, match="n_components must be a whole number"):
        bg.Priors().describe(X, 0)
    with pytest.raises(bg.InputError, match="choose one of"):
        bg.Priors().describe(X, 2, "full-ish")
    with pytest.raises(bg.InputError, match="constant column"):
        bg.Priors().describe(np.column_stack([X, np.ones(len(X))]), 2)


@pytest.mark.parametrize("family", FOURTEEN)
def test_every_family_says_what_is_shared(X, family):
    lines = described(X, family).splitlines()
    volume, shape, orientation = family
    of_scales = [line for line in lines if line.startswith(("standard deviations", "semi-axis"))]
    rotated = family in ("EVE", "VVE", "EEV", "VEV")
    assert len(of_scales) == (1 if shape == "I" else 3)
    own = volume == "V" and shape in "IV"
    assert all(("common to the components" in line) != own for line in of_scales)
    if rotated:
        assert [line.split(" ~")[0].split(",")[0] for line in of_scales] == [f"semi-axis {d}" for d in range(3)]
    elif shape == "I":
        assert "the same in every column" in of_scales[0]
    else:
        assert [line.split(" ~")[0].split(",")[0] for line in of_scales] == [f"standard deviations of {name}" for name in "abc"]
    text = "\n".join(lines)
    assert ("relative sizes" in text) == (volume == "V" and shape == "E")
    assert ("relative shapes" in text) == (volume == "E" and shape == "V")
    of_axes = [line for line in lines if line.startswith(("correlations", "orientation"))]
    assert len(of_axes) == (orientation != "I")
    for line in of_axes:
        assert line.startswith("orientation" if rotated else "correlations")
        assert ("common to the components" in line) == (orientation == "E")
    assert "common" not in described(X, family, n_components=1)
