"""The numbers and the picture of docs/how-to/how-many-components.md: the galaxies.

python docs/scripts/how_many_components.py [docs/figures/how-many-components.png]

Takes some minutes. The tables are also written beside the picture, as how-many-components.txt.
"""

# ruff: noqa: T201 - a script talks to its reader
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayesgmm as bg

SEED = 20_261_122
SIZES = range(1, 8)
N_BOOT = 99
MANY = 6
CONCENTRATIONS = (0.05, 0.2, 1.0)
TWICE = 2.0
PUBLISHED = {3: 0.061, 4: 0.128, 5: 0.182, 6: 0.199, 7: 0.160}


def richardson_and_green(X):
    """Their priors (1997, section 2.4): one column of range R about its middle."""
    low, high = float(X.min().iloc[0]), float(X.max().iloc[0])
    return bg.Priors(mean_loc=(low + high) / 2, mean_scale=high - low, scale_prior="hierarchical_gamma")


def widened(X, factor):
    """The default priors with means that spread that much more widely."""
    return bg.Priors(mean_scale=factor * 2.5 * X.std(ddof=0).to_numpy())


def prior_of_occupied(n_components, concentration, n_samples, rng, n_draws=20_000):
    """How many components hold rows before the data are seen: p(m), m = 1, ..., K."""
    log_gamma = np.log(rng.gamma(concentration + 1, size=(n_draws, n_components)))
    log_gamma += np.log(rng.random((n_draws, n_components))) / concentration  # Gamma(a) for small a, without underflow
    weights = np.exp(log_gamma - log_gamma.max(axis=1, keepdims=True))
    counts = rng.multinomial(n_samples, weights / weights.sum(axis=1, keepdims=True))
    return np.bincount((counts > 0).sum(axis=1), minlength=n_components + 1)[1:] / n_draws


def of_sizes(X):
    """p(K | X) under three priors; the default ones' result has everything else too."""
    found = {"default": bg.n_components_posterior(X, SIZES, n_boot=N_BOOT, seed=SEED, progress=False)}
    others = {
        "means twice as wide": widened(X, TWICE),
        "Richardson and Green": richardson_and_green(X),
    }
    for name, priors in others.items():
        found[name] = bg.n_components_posterior(X, SIZES, priors=priors, seed=SEED, progress=False)
    return found


def sparse(X):
    """p(m components hold rows) of MANY components, for each concentration, before and after the data."""
    rng = np.random.default_rng(SEED)
    rows = {}
    for concentration in CONCENTRATIONS:
        tree = bg.sample(X, MANY, priors=bg.Priors(concentration=concentration), seed=SEED, progress=False)
        before = prior_of_occupied(MANY, concentration, len(X), rng)
        rows[concentration, "before"] = before
        rows[concentration, "after"] = bg.occupied_components(tree)["probability"].to_numpy()
    return pd.DataFrame(rows, index=pd.RangeIndex(1, MANY + 1, name="occupied")).T


def tables(found, occupied):
    """Every table of the page, by its title."""
    first = found["default"]
    side_by_side = first.table[["log_evidence", "standard_error", "probability", "probability_error", "mean_occupied"]]
    criteria = first.table[["bic", "icl", "elpd_loo", "elpd_loo_error", "bad_k", "p_value"]]
    gains = pd.DataFrame(
        {
            f"{name}: {what}": values
            for name, result in found.items()
            for what, values in (
                ("by bridge", result.table["log_evidence"].diff()),
                ("by empty", result.table["gain_by_empty"]),
                ("error", result.table["gain_by_empty_error"]),
            )
            if name in ("default", "Richardson and Green")
        }
    )
    by_prior = pd.DataFrame({name: result.table["probability"] for name, result in found.items()}).T
    by_occupied = pd.DataFrame({name: result.n_occupied for name, result in found.items()}).T
    published = pd.Series(PUBLISHED)
    by_prior.loc["published, of these K"] = published / published.sum()
    return {
        "Evidence and p(K | X), default priors": side_by_side.round(3),
        "What else there is, default priors": criteria.round(2),
        "Gain in log evidence over K - 1, two ways": gains.round(2),
        "p(K | X) under three priors": by_prior.fillna(0.0).round(3),
        "p(m components hold rows | X), K averaged over": by_occupied.round(3),
        "p(m components hold rows | X, K), default priors": first.occupied.round(3),
        f"p(m of {MANY} components hold rows) before and after the data, by concentration": occupied.round(3),
    }


def picture(found, occupied, path):
    """p(K | X), p(m occupied | X), and what sparse priors make of ten components."""
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.2), layout="constrained", sharey=True)
    width = 0.8 / len(found)
    for i, (name, result) in enumerate(found.items()):
        shift = (i - (len(found) - 1) / 2) * width
        axes[0].bar(np.array(list(SIZES)) + shift, result.table["probability"], width, label=name)
        axes[1].bar(result.n_occupied.index + shift, result.n_occupied, width)
    axes[0].set(title="components of the model", xlabel="K", ylabel="posterior probability")
    axes[1].set(title="components that hold rows", xlabel="m")
    for concentration in CONCENTRATIONS:
        axes[2].plot(occupied.columns, occupied.loc[concentration, "after"], "o-", ms=3, label=f"{concentration:g}")
    axes[2].set(title=f"that hold rows, of K = {MANY}", xlabel="m")
    axes[0].legend(frameon=False, fontsize="small", title="priors")
    axes[2].legend(frameon=False, fontsize="small", title="concentration")
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90)


def main():
    """Print everything; draw the picture where a path is given."""
    warnings.simplefilter("ignore", bg.SamplingWarning)  # what is said of the draws is printed
    X = bg.load_galaxies()
    found, occupied = of_sizes(X), sparse(X)
    text = [f"{title}\n{table.to_string(na_rep='')}\n" for title, table in tables(found, occupied).items()]
    text += [
        f"{name}, K = {size}: {tree.attrs['problems']}"
        for name, result in found.items()
        for size, tree in result.trees.items()
        if "problems" in tree.attrs
    ]
    print("\n".join(text))
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        path.with_suffix(".txt").write_text("\n".join(text) + "\n")
        picture(found, occupied, path)


if __name__ == "__main__":
    main()
