"""The exponents of docs/theory/proper-posterior.md, measured: posterior mass of one component per unit of its smallest spread.

    python docs/scripts/properness.py [docs/theory/proper-posterior.png]

Means are integrated in closed form, covariances by quadrature in coordinates with the collapsing spread, epsilon, as one axis.
"""

# ruff: noqa: T201 - a script talks to its reader
import sys

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats
from scipy.special import betaln

EPSILON = np.geomspace(1e-6, 0.3, 34)
MEAN_SCALE = 3.0
SCALES = {
    "half-normal": stats.halfnorm(scale=1.0),
    "inverse gamma": stats.invgamma(2.0, scale=0.5),
    "log-normal": stats.lognorm(0.8, scale=0.3),
}
LINE = np.linspace(-1.5, 1.5, 12)[:, None] * np.ones(2) / np.sqrt(2)  # rows with x1 - x2 = 0


def log_rows(X, covariance):
    """ln p(X | covariance (..., D, D)) with the mean integrated over N(0, MEAN_SCALE^2 I)."""
    n, n_features = X.shape
    centre = X.mean(axis=0)
    spread = MEAN_SCALE**2 * np.eye(n_features) + covariance / n
    scatter = (X - centre).T @ (X - centre)
    log_determinants = (n - 1) * np.linalg.slogdet(2 * np.pi * covariance)[1] + np.linalg.slogdet(2 * np.pi * spread)[1]
    squares = np.trace(np.linalg.solve(covariance, scatter), axis1=-2, axis2=-1) + centre @ np.linalg.inv(spread) @ centre
    return -0.5 * (log_determinants + n_features * np.log(n) + squares)


def in_one_column(n, scale, h=0.0):
    """Mass per unit of sigma of n equal values."""
    covariance = (EPSILON**2 + h**2 / 12)[:, None, None]
    return scale.pdf(EPSILON) * np.exp(log_rows(np.zeros((n, 1)), covariance))


def prior_of_covariance(covariance, scale, eta):
    """Density in (Sigma_11, Sigma_22, Sigma_12): two independent scales and LKJ(eta)."""
    s1, s2 = np.sqrt(covariance[..., 0, 0]), np.sqrt(covariance[..., 1, 1])
    determinant = np.linalg.det(covariance) / (s1 * s2) ** 2  # 1 - ρ^2
    lkj = np.exp(-betaln(eta, eta) - (2 * eta - 1) * np.log(2)) * determinant ** (eta - 1)
    return scale.pdf(s1) * scale.pdf(s2) * lkj / (4 * s1**2 * s2**2)


def legendre(n, low, high):
    """Gauss-Legendre nodes and weights."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return low + (nodes + 1) / 2 * (high - low), weights / 2 * (high - low)


def on_a_line(n, scale, eta, h=0.0):
    """Mass per unit of sqrt(v'Sigma v), v = (1, -1)/sqrt 2, of n rows with the same v'x.

    In the axes along and across v, Sigma is (eps^2, r eps sqrt(c); ., c) with |r| < 1.
    """
    rotation = np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    r, r_weights = legendre(40, -1, 1)
    t, t_weights = legendre(120, np.log(1e-3), np.log(30))
    epsilon, c, r = EPSILON[:, None, None], np.exp(t)[:, None], r
    off = r * epsilon * np.sqrt(c)
    turned = np.stack([epsilon**2 + 0 * off, off, off, c + 0 * off], axis=-1).reshape(*off.shape, 2, 2)
    covariance = rotation @ turned @ rotation.T
    rows = np.exp(log_rows(LINE[:n], covariance + h**2 / 12 * np.eye(2)))
    integrand = prior_of_covariance(covariance, scale, eta) * rows * 2 * epsilon * epsilon * np.sqrt(c) * c
    return np.einsum("etr,t,r->e", integrand, t_weights, r_weights)


def on_a_point(n, scale, eta):
    """Mass per unit of the square root of the smallest eigenvalue of n equal rows: any direction may collapse."""
    angle, angle_weights = legendre(60, 0, np.pi / 2)  # the other quarter adds the same
    t, t_weights = legendre(120, np.log(1e-3), np.log(30))
    epsilon, c = EPSILON[:, None, None], np.exp(t)[:, None]
    v = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    w = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
    covariance = (epsilon**2)[..., None, None] * v[..., :, None] * v[..., None, :]
    covariance = covariance + c[..., None, None] * w[..., :, None] * w[..., None, :]
    integrand = prior_of_covariance(covariance, scale, eta) * np.exp(log_rows(np.zeros((n, 2)), covariance))
    integrand = integrand * np.maximum(c - epsilon**2, 0) * 2 * epsilon * c
    return 2 * np.einsum("eta,t,a->e", integrand, t_weights, angle_weights)


def exponent(mass):
    """d ln mass / d ln epsilon between 1e-5 and 1e-3; inf where the mass is 0 at 1e-5."""
    low, high = np.searchsorted(EPSILON, [1e-5, 1e-3])
    if mass[low] == 0:
        return np.inf
    return np.log(mass[high] / mass[low]) / np.log(EPSILON[high] / EPSILON[low])


def report(what, mass, predicted):
    """One line of the table."""
    measured = exponent(mass)
    print(f"{what:64s} {measured:9.3f} {predicted:>10} {'proper' if measured > -0.99 else 'IMPROPER'}")


def table():
    """Every case of the page."""
    print(f"{'mass per unit of spread ~ spread^p':64s} {'measured':>9s} {'predicted':>10s}")
    for n in (1, 2, 3):
        report(f"one column, half-normal, {n} equal values", in_one_column(n, SCALES["half-normal"]), str(1 - n))
    for name in ("inverse gamma", "log-normal"):
        report(f"one column, {name}, 5 equal values", in_one_column(5, SCALES[name]), "> 0")
    report("one column, half-normal, 5 equal values, h = 0.1", in_one_column(5, SCALES["half-normal"], h=0.1), "0")
    for eta in (1.0, 2.0):
        for name in ("inverse gamma", "log-normal"):
            for n in (int(2 * eta) + 1, int(2 * eta) + 2):
                mass = on_a_line(n, SCALES[name], eta)
                report(f"two columns, LKJ({eta:g}), {name}, {n} rows on an oblique line", mass, f"{1 + 2 * eta - n:g}")
    report("two columns, LKJ(2), log-normal, 12 rows on the line, h = 0.1", on_a_line(12, SCALES["log-normal"], 2.0, h=0.1), "4")
    for eta in (1.0, 2.0):
        for n in (int(2 * eta), int(2 * eta) + 1):
            mass = on_a_point(n, SCALES["log-normal"], eta)
            report(f"two columns, LKJ({eta:g}), log-normal, {n} equal rows", mass, f"{2 * eta - n:g}")


def picture(path):
    """Mass per unit of ln spread: a curve that does not fall towards the left has no finite area."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharex=True)
    for name, scale in SCALES.items():
        axes[0].loglog(EPSILON, EPSILON * in_one_column(2, scale), label=name)
    axes[0].loglog(EPSILON, EPSILON * in_one_column(2, SCALES["half-normal"], h=0.1), "k--", label="half-normal, h = 0.1")
    axes[0].set(title="two equal values in one column", xlabel="standard deviation", ylabel="mass per unit of ln spread")
    axes[0].set_ylim(1e-9, 10)
    for n in (5, 6, 7):
        axes[1].loglog(EPSILON, EPSILON * on_a_line(n, SCALES["log-normal"], 2.0), label=f"{n} rows")
    axes[1].loglog(EPSILON, EPSILON * on_a_line(6, SCALES["log-normal"], 2.0, h=0.1), "k--", label="6 rows, h = 0.1")
    axes[1].set(title="rows on an oblique line, LKJ(2)", xlabel="standard deviation across the line")
    axes[1].set_ylim(1e-16, 1)
    for ax in axes:
        ax.legend(frameon=False, fontsize="small")
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    table()
    if len(sys.argv) > 1:
        picture(sys.argv[1])
