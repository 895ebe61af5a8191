# %% [markdown]
# # Extending the model
#
# `bg.build_model` returns a plain PyMC model: variables can be added to it, and it samples with any sampler. Here the weights
# of a mixture depend on a covariate, and an expert has a say.
#
# Old Faithful's eruptions are short or long. Is a short one followed by a long one more often than a long one is? Take the rows
# to be in order of time, and split them by the eruption before.

# %%
import os

import pymc as pm
import pytensor.tensor as pt

import bayesgmm as bg
from bayesgmm.model.likelihood import mixture_log_density

DRAWS = int(os.environ.get("BAYESGMM_EXAMPLE_DRAWS", "1000"))

X = bg.load_faithful()
was_long = X["eruptions"].to_numpy()[:-1] > 3
after_long, after_short = X[1:][was_long], X[1:][~was_long]
print(f"{len(after_long)} eruptions after a long one, {len(after_short)} after a short one")

# %% [markdown]
# ## The model of the eruptions after a long one
#
# What it has, and what its priors say of the data before they are seen:

# %%
em = bg.fit_em(after_long, 2, seed=0)
model = bg.build_model(after_long, em)
print(model.basic_RVs, model.deterministics)
print(bg.Priors().describe(after_long, 2))

# %% [markdown]
# ## A regression on the weights
#
# The eruptions after a short one have the same two components, and weights with shifted log-odds: a logistic regression on what
# came before, of a membership that nobody observes. Their likelihood is a second term, with the library's own density, which is
# one value per row. Recorded values are rounded, hence the resolution.

# %%
with model:
    shift = pm.ZeroSumNormal("shift", sigma=2, dims="cluster")
    weights = pm.Deterministic("weights_after_short", pm.math.softmax(pm.math.log(model["weights"]) + shift), dims="cluster")
    scale_trils = pt.linalg.cholesky(model["covariances"] + pt.diag(model["resolution"] ** 2 / 12))
    rows = mixture_log_density(after_short.to_numpy(), weights, model["means"], scale_trils)
    pm.Potential("after_short", rows.sum())

# %% [markdown]
# ## A prior on something that is no parameter
#
# Suppose an expert says that the waiting times of the two kinds differ by 25 minutes, give or take 5. Components have no order,
# so the prior is on the absolute difference.

# %%
with model:
    waiting = model["means"][:, 1]
    pm.Potential("expert", pm.logp(pm.Normal.dist(25, 5), pm.math.abs(waiting[1] - waiting[0])))

# %% [markdown]
# ## Sampling it
#
# `bg.sample` samples the library's own model only; a model of your own goes to any of PyMC's samplers. Compiling it is what
# takes the time. The EM fit is a good place to start from.

# %%
with model:
    tree = pm.sample(
        draws=DRAWS, tune=max(DRAWS, 300), chains=4, initvals={"means": em.params.means}, random_seed=1, progressbar=False
    )
    pm.compute_log_likelihood(tree, progressbar=False)
    tree.update(pm.sample_posterior_predictive(tree, random_seed=2, progressbar=False))

# %% [markdown]
# The groups `log_likelihood` (one value per row) and `posterior_predictive` are of `X`, the observed variable of `build_model`;
# a potential is in neither.

# %%
print(tree["log_likelihood"]["X"].sizes, tree["posterior_predictive"]["X"].sizes)

# %% [markdown]
# ## Labels and convergence
#
# `relabel` gives the components of every draw the order of the EM fit, `shift` and `weights_after_short` included, since they
# have the dimension `cluster`. `diagnose` judges by quantities that labels cannot disturb.

# %%
tree = bg.relabel(tree, reference=em)
print(bg.diagnose(tree).verdict)

posterior = tree["posterior"].to_dataset()
for k, length in enumerate(posterior["means"].sel(feature="eruptions").mean(("chain", "draw")).values):
    print(f"component {k}, eruptions of {length:.1f} minutes:")
    for name, before in (("weights", "long"), ("weights_after_short", "short")):
        share = posterior[name].isel(cluster=k)
        low, high = share.quantile([0.025, 0.975]).values
        print(f"  {float(share.mean()):.2f} [{low:.2f}, {high:.2f}] of the eruptions after a {before} one")
