# %% [markdown]
# # Galaxies: when components have no names
#
# The velocities of 82 galaxies, and a mixture of four normal distributions. Its posterior has more than one mode, and its labels
# switch. What can still be said about components, and what about galaxies?

# %%
import os
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

import bayesgmm as bg

DRAWS = int(os.environ.get("BAYESGMM_EXAMPLE_DRAWS", "1000"))
FOLDER = Path(os.environ.get("BAYESGMM_EXAMPLE_FOLDER", "."))
pd.set_option("display.width", 130, "display.max_columns", 20, "display.max_colwidth", None)


def say(text):
    """Print it in lines that fit a page."""
    for line in str(text).splitlines():
        print(textwrap.fill(line, 110, subsequent_indent="  "))


X = bg.load_galaxies()
em = bg.fit_em(X, 4, seed=0)
tree = bg.sample(X, em, draws=4 * DRAWS, seed=1)

# %% [markdown]
# ## Traces, as sampled and relabelled
#
# The prior treats all components alike, so their order means nothing, and a sampler is free to change it. `posterior_raw` holds
# the draws as they came. `posterior` has the components of each draw in the order in which most galaxies keep the component that
# EM gives them (ECR); `relabelling` holds the order, so that nothing is lost.


# %%
def draw_traces(tree, chain):
    """The component means of one chain as sampled and as relabelled."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    panels = zip(figure.subplots(2, 1, sharex=True, sharey=True), ("posterior_raw", "posterior"), strict=True)
    for axes, group in panels:
        means = tree[group]["means"].sel(chain=chain, feature="velocity").transpose("draw", "cluster")
        axes.plot(means.values, ".", ms=1.5)
        axes.set(title={"posterior_raw": "as sampled", "posterior": "relabelled"}[group], ylabel="mean (1000 km/s)")
    axes.set_xlabel("draw")
    return figure


diagnosis = bg.diagnose(tree)
busiest = int(diagnosis.chains["switching_rate"].argmax())
draw_traces(tree, busiest).savefig(FOLDER / "galaxies_traces.png", dpi=150)
for group in ("posterior_raw", "posterior"):
    print(f"{group}: mean and standard deviation of each component's mean, in the draws of chain {busiest}")
    means = tree[group]["means"].sel(chain=busiest, feature="velocity")
    print(pd.DataFrame({"mean": means.mean("draw"), "sd": means.std("draw")}).round(2).T)

# %% [markdown]
# Colours that change places in the upper panel and not in the lower one are switched labels, and relabelling has put them in
# order. Whatever still jumps in the lower panel is no matter of names.
#
# ## What the draws are made of
#
# `diagnose` tells the two apart. A *structure* is a grouping of the galaxies; draws that differ only in the order of the
# components have the same.

# %%
say(diagnosis)
print("conditions:")
for condition in diagnosis.conditions:
    print(f"  {condition.name}: {condition}")
print(diagnosis.chains.round(3))
table = diagnosis.structures.table
print(table.loc[table["share"] >= 0.01, ["share", "evidence", "weights", "description"]].round(3).to_string())
bg.plot_modes(diagnosis).savefig(FOLDER / "galaxies_modes.png", dpi=150)

# %% [markdown]
# In the figure each chain is a strip, coloured by structure. One colour per chain would be chains that are stuck; here they
# travel. How often they do so decides what the run is worth: if the verdict says that chains do not agree yet, the shares of the
# structures, and every digit below that rests on them, are preliminary. Compare them between the chains, or sample longer.
#
# `evidence` (the diamonds) is Laplace's estimate of what the draws' `share` should be, from a normal distribution around each
# mode. Where the two differ much, either the run is too short, or the posterior is not normal there: an empty component, say, can
# be nearly anywhere, and all those places make no peak. It is NaN where no mode of that grouping is known.
#
# The reference, and what "1 and 3 of the reference" are, is the EM fit:

# %%
print(pd.DataFrame({"weight": em.params.weights, "mean": em.params.means[:, 0], "sd": em.params.scale_trils[:, 0, 0]}).round(3))
for mode in em.modes:
    print(f"an EM optimum with log-likelihood {mode.log_likelihood:.2f}, reached by {mode.n_runs} of {len(em.runs)} starts")

# %% [markdown]
# ## Does another method do better?
#
# Each method minimises something of its own. Stephens' Kullback-Leibler divergence is a scale for all of them: how far the
# memberships of the draws are from their mean, 0 if all draws agreed about every galaxy.

# %%
n_chains, n_draws, _ = tree["posterior"]["weights"].shape
raw = np.tile(np.arange(4), (n_chains, n_draws, 1))
choices = {
    "as sampled": {"method": "given", "permutation": raw},
    "ordered by means": {"method": "ordering", "by": ("means", "velocity")},
    "ordered by weights": {"method": "ordering", "by": "weights"},
    **{method: {"method": method} for method in ("pra", "ecr", "ecr_iterative", "ecr_iterative_soft", "stephens")},
}
trees = {name: bg.relabel(tree, **arguments) for name, arguments in choices.items()}
rows = {
    name: {
        "divergence per draw": relabelled["relabelling"].attrs["kullback_leibler"] / (n_chains * n_draws),
        **{f"mean {k}": float(relabelled["posterior"]["means"].isel(cluster=k).mean()) for k in range(4)},
        "largest sd of a mean": float(relabelled["posterior"]["means"].std(("chain", "draw")).max()),
    }
    for name, relabelled in trees.items()
}
print(pd.DataFrame(rows).T.round(2))

# %% [markdown]
# A smaller divergence is a better set of names. But no method comes near 0, and no names can: a permutation changes names, not
# the grouping. Where two structures both have a good share of the draws, a component's mean over all of them describes neither.
# Within one structure it has a meaning; here with Stephens' names:

# %%
posterior = trees["stephens"]["posterior"].to_dataset()
for structure, row in table[table["share"] >= 0.1].iterrows():
    here = posterior[["weights", "means"]].where(xr.DataArray(diagnosis.structures.place == structure, dims=("chain", "draw")))
    mean, sd = (getattr(here, what)(("chain", "draw")).isel(feature=0) for what in ("mean", "std"))
    print(f"structure {structure} ({row['description']}), {row['share']:.0%} of the draws:")
    for k in range(4):
        weight, centre = (f"{float(mean[name][k]):.2f} ({float(sd[name][k]):.2f})" for name in ("weights", "means"))
        print(f"  component {k}: weight {weight}, mean {centre}")

# %% [markdown]
# In brackets are standard deviations. A large one within a structure says that even there the draws do not agree on what this
# component is.
#
# ## What needs no names
#
# Which galaxies are together means the same in every draw, whatever the components are called and however many of them are in
# use. For each draw one grouping is drawn. How many groups these have, and the groupings that are nearest to all of them:

# %%
found = {loss: bg.partition(tree, loss=loss) for loss in ("vi", "binder")}
drawn = pd.Series([len(np.unique(labels)) for labels in found["vi"].z]).value_counts(normalize=True).sort_index()
say("groups in the drawn partitions: " + ", ".join(f"{n} ({share:.1%})" for n, share in drawn.items()))
for loss, best in found.items():
    say(f"{loss}: {best.summary}")
    for prob in (0.5, 0.95):
        fewest, most = best.credible_ball(prob).n_clusters
        print(f"  the {prob:.0%} credible ball holds partitions with {f'{fewest} to {most}' if fewest < most else most} groups")
bg.plot_similarity(tree, found["vi"]).savefig(FOLDER / "galaxies_similarity.png", dpi=150)

# %% [markdown]
# The groups of the best partition, in velocities, with the components that EM would put them in:

# %%
best = found["vi"]
velocities = X["velocity"].groupby(best.labels).agg(["size", "min", "max"])
em_labels = pd.crosstab(best.labels, em.predict(X)).add_prefix("EM ")
print(velocities.join(em_labels).rename_axis("group"))

# %% [markdown]
# Four components need not be four groups. A single drawn grouping shows whatever components are in use; the grouping that is
# nearest to all of them keeps apart only what the draws agree to part. Variation of information, the default, is slow to part
# what the posterior is unsure of, Binder's loss parts it sooner. If the two differ, the data do not decide, and the picture
# shows where: grey inside a block is a group that some draws divide.
