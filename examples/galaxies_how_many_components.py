# %% [markdown]
# # Galaxies: how many components?
#
# The velocities of 82 galaxies once more. EM is sure of nothing here: its likelihood only grows with the number of components.
# Criteria punish that in different ways and need not agree. Bayes asks something else: how probable is each number, given the
# data and what was believed before?

# %%
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import bayesgmm as bg

DRAWS = int(os.environ.get("BAYESGMM_EXAMPLE_DRAWS", "1000"))
FOLDER = Path(os.environ.get("BAYESGMM_EXAMPLE_FOLDER", "."))
SMALL = DRAWS < 1000
SIZES = range(1, 4) if SMALL else range(1, 8)
pd.set_option("display.width", 130, "display.max_columns", 20)
warnings.simplefilter(
    "ignore", bg.SamplingWarning
)  # chains of many components are slow; the standard errors take it into account

X = bg.load_galaxies()

# %% [markdown]
# ## One call
#
# For each K: EM, the modes of the posterior, chains in those that matter, and the evidence p(X | K) by bridge sampling.

# %%
found = bg.n_components_posterior(X, SIZES, draws=DRAWS, n_boot=19 if SMALL else 99, seed=1)
print(found)
print(found.table[["log_evidence", "standard_error", "probability", "probability_error"]].round(3))

# %% [markdown]
# `log_evidence` is in nats and has a Monte Carlo standard error. Differences of it are logarithms of Bayes factors: row over
# column.

# %%
print(found.log_bayes_factors.round(1))

# %% [markdown]
# ## Beside what point estimates say
#
# Smaller is better for BIC and ICL, larger for `elpd_loo`; `p_value` is that of K against K + 1 components, and the first K that
# is not rejected is the choice of the bootstrap test.

# %%
print(found.table[["bic", "icl", "elpd_loo", "elpd_loo_error", "bad_k", "p_value"]].round(2))
choices = {
    "BIC": found.table["bic"].idxmin(),
    "ICL": found.table["icl"].idxmin(),
    "LOO": found.table["elpd_loo"].idxmax(),
    "p(K | X)": found.best,
}
print(", ".join(f"{name}: {choice}" for name, choice in choices.items()))

# %% [markdown]
# ## Components of the model, and components that hold galaxies
#
# A model of K components may use fewer. Given K, and K averaged over:

# %%
print(found.occupied.round(3))
print(found.n_occupied.round(3))

# %% [markdown]
# ## A second way to the same numbers
#
# How often a component is empty says what one component fewer would be worth. This identity shares with bridge sampling only the
# draws. Where components are hardly ever empty (here up to K = 3) it rests on draws that are not met: the gain is too large, and
# its error does not show it.

# %%
by_bridge = found.table["log_evidence"].diff()
gains = found.table[["gain_by_empty", "gain_by_empty_error"]].assign(gain_by_bridge=by_bridge)
print(gains.round(2))

# %% [markdown]
# ## What was believed before matters
#
# The same data, components whose means are believed to lie anywhere in a range twice as wide. A component that might have been in
# more places is worth less, and fewer of them win.

# %%
wide = bg.Priors(mean_scale=2 * 2.5 * X.std(ddof=0).to_numpy())
found_wide = bg.n_components_posterior(X, SIZES, priors=wide, draws=DRAWS, seed=1)
both = pd.DataFrame({"default": found.table["probability"], "means twice as wide": found_wide.table["probability"]})
print(both.round(3))

# %%
figure = Figure(figsize=(6, 3), layout="constrained")
axes = figure.subplots()
for shift, (name, values) in zip((-0.2, 0.2), both.items(), strict=True):
    axes.bar(np.array(both.index) + shift, values, 0.4, label=name)
axes.set(xlabel="number of components K", ylabel="p(K | X)", xticks=list(both.index))
axes.legend(frameon=False, title="prior of the means")
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(FOLDER / "galaxies_n_components.png", dpi=150)

# %% [markdown]
# ## Too many components on purpose
#
# Another way: few rows' worth of prior belief in each weight, and more components than there can be. The superfluous ones stay
# empty, and one posterior has the answer in it.

# %%
many = 3 if SMALL else 6
sparse = bg.sample(X, many, priors=bg.Priors(concentration=0.05), draws=DRAWS, seed=1)
print(bg.occupied_components(sparse).round(3))
evidence = bg.log_evidence(sparse, seed=1)
print(evidence)
print(evidence.modes[["share", "log_evidence", "region", "weights"]].head(5).round(3))
