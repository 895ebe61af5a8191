# %% [markdown]
# # Old Faithful, fitted twice
#
# Eruption lengths and waiting times of the Old Faithful geyser (272 observations, minutes): a two-component Gaussian mixture by
# maximum likelihood (EM) and by posterior sampling (NUTS), step by step. `bg.analyze(X, 2)` does all of it in one call.

# %%
import os
from pathlib import Path

import bayesgmm as bg

DRAWS = int(os.environ.get("BAYESGMM_EXAMPLE_DRAWS", "1000"))
FOLDER = Path(os.environ.get("BAYESGMM_EXAMPLE_FOLDER", "."))

X = bg.load_faithful()
print(X.describe().round(2))

# %% [markdown]
# ## Maximum likelihood
#
# Ten starts; the result keeps all of them. `modes` are the distinct optima, whatever the order of the components.

# %%
em = bg.fit_em(X, 2, seed=0)
print(em)
for mode in em.modes:
    print(f"log-likelihood {mode.log_likelihood:.4f}, reached by {mode.n_runs} of {len(em.runs)} starts")
print("weights", em.params.weights.round(3))
print("means", em.params.means.round(2).tolist())

# %% [markdown]
# ## The Bayesian model
#
# A plain PyMC model. The priors are scaled from the data where nothing is said; this is what they say:

# %%
model = bg.build_model(X, em)
print(model.basic_RVs)
print(bg.Priors().resolved(X.to_numpy(dtype=float), 2).describe(tuple(X.columns)))

# %% [markdown]
# ## The posterior
#
# Each EM optimum is followed to the posterior mode beside it. Chains start at draws from the normal approximation there, in the
# coordinates in which it is standard normal. The tree is an `xarray.DataTree` that every ArviZ function takes as it is;
# `posterior` is relabelled with the EM fit as pivot, `posterior_raw` is as sampled.

# %%
tree = bg.sample(X, em, draws=DRAWS, tune=DRAWS, seed=1)
print(list(tree.children))

# %% [markdown]
# Convergence is judged on quantities that label switching cannot disturb.

# %%
diagnosis = bg.diagnose(tree)
print(diagnosis.verdict)
print(diagnosis.quantities.round(3))

# %% [markdown]
# ## Who belongs where, and how sure is that?

# %%
memberships = bg.assignments(tree)
unsure = memberships["entropy"].argsort()[-3:].values
for row in unsure:
    here = memberships.isel(obs=int(row), cluster=0)
    print(
        f"row {row}: component 0 with probability {float(here['membership']):.2f} "
        f"[{float(here['membership_lower']):.2f}, {float(here['membership_upper']):.2f}], "
        f"by EM {float(here['em_membership']):.2f}"
    )

# %% [markdown]
# ## Side by side

# %%
comparison = bg.compare(em, tree)
print(comparison.parameters[["em", "mean", "sd", "lower", "upper", "shift"]].round(3))
for finding in comparison.findings:
    print("-", finding)

# %% [markdown]
# The figures are functions of the comparison; in a notebook the last expression of a cell is shown.

# %%
bg.plot_density(comparison).savefig(FOLDER / "density.png", dpi=150)
bg.plot_forest(comparison).savefig(FOLDER / "forest.png", dpi=150)

# %% [markdown]
# One self-contained HTML page, and one file with everything.

# %%
print("wrote", bg.write_report(comparison, FOLDER / "old_faithful.html"))
print("wrote", bg.save(tree, FOLDER / "old_faithful.nc"))
