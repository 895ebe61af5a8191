"""The picture and the numbers of docs/theory/label-switching.md: galaxies, three components, labels switched and put right.

python docs/scripts/label_switching_figure.py [docs/theory/label-switching.png]
"""

# ruff: noqa: T201 - a script talks to its reader
import sys

import matplotlib.pyplot as plt
import numpy as np

import bayesgmm as bg

METHODS = ("ecr", "ecr_iterative", "ecr_iterative_soft", "stephens", "pra")
COLOURS = ("#0072B2", "#D55E00", "#009E73")
SHOWN = 250


def switched(tree, rng):
    """The tree with the components of every draw in random order: a draw from all copies of the posterior (K! modes)."""
    weights = tree["posterior"]["weights"]
    order = weights.copy(data=rng.permuted(np.broadcast_to(np.arange(weights.shape[2]), weights.shape).copy(), axis=2))
    mixed = bg.relabel(tree, method="given", permutation=order.astype(int))
    return type(tree).from_dict(
        {name: mixed[name].to_dataset() for name in ("posterior", "observed_data", "constant_data", "em")}
    )


def table(tree):
    """Every method on the switched draws."""
    results = {method: bg.relabel(tree, method=method) for method in METHODS}
    results["ordering by means"] = bg.relabel(tree, method="ordering", by=("means", "velocity"))
    results["ordering by weights"] = bg.relabel(tree, method="ordering", by="weights")
    n_draws = tree["posterior"].sizes["chain"] * tree["posterior"].sizes["draw"]
    identity = np.broadcast_to(np.arange(3), (tree["posterior"].sizes["chain"], tree["posterior"].sizes["draw"], 3))
    raw = bg.relabel(tree, method="given", permutation=identity)["relabelling"].attrs["kullback_leibler"]
    print(f"{n_draws} draws; divergence as switched {raw:.1f} nats\n")
    print("| method | objective | divergence (nats) | draws unlike Stephens' | means |\n|---|---|---|---|---|")
    best = results["stephens"]["relabelling"]["permutation"].values
    for name, relabelled in results.items():
        group = relabelled["relabelling"]
        names = np.take_along_axis(best.argsort(axis=2), group["permutation"].values, axis=2).reshape(-1, 3)
        common = max(map(tuple, np.unique(names, axis=0)), key=lambda order: (names == order).all(axis=1).sum())
        unlike = n_draws - (names == common).all(axis=1).sum()
        objective = f"{group.attrs['objective_value']:.4f}" if "objective_value" in group.attrs else ""
        means = ", ".join(f"{mean:.2f}" for mean in relabelled["posterior"]["means"].mean(("chain", "draw")).values.ravel())
        print(f"| {name} | {objective} | {group.attrs['kullback_leibler']:.1f} | {unlike} | {means} |")
    return results["stephens"]


def picture(raw, relabelled, path):
    """Traces and marginal densities of the means, as sampled and relabelled."""
    figure, axes = plt.subplots(
        2, 2, figsize=(8, 4.6), sharey=True, sharex="col", layout="constrained", gridspec_kw={"width_ratios": (2, 1)}
    )
    bins = np.linspace(5, 37, 97)
    titles, widths = ("labels in random order", "relabelled (Stephens)"), ((5.0, 3.0, 1.0), (1.4, 1.4, 1.4))
    for row, tree, what, thickness in zip(axes, (raw, relabelled), titles, widths, strict=True):
        means = tree["posterior"]["means"].isel(feature=0).values
        for k, (colour, linewidth) in enumerate(zip(COLOURS, thickness, strict=True)):
            row[0].plot(means[0, :SHOWN, k], ".", color=colour, markersize=4, label=f"component {k}")
            row[1].hist(
                means[..., k].ravel(),
                bins,
                density=True,
                histtype="step",
                orientation="horizontal",
                color=colour,
                linewidth=linewidth,
            )
        row[0].set(ylabel="mean velocity (1000 km/s)")
        row[0].set_title(what, loc="left", fontsize=10, fontweight="bold")
    axes[1, 0].set(xlabel="draw of one chain")
    axes[1, 1].set(xlabel="density of each mean (log scale)", xscale="log")
    axes[1, 0].legend(ncols=3, fontsize=8, loc="center", bbox_to_anchor=(0.5, 0.33), handletextpad=0.2, frameon=False)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main(path):
    """Sample, switch, relabel, print, draw."""
    galaxies = bg.load_galaxies()
    tree = bg.sample(galaxies, bg.fit_em(galaxies, 3, seed=0, progress=False), draws=2000, seed=0, progress=False)
    diagnosis = bg.diagnose(tree)
    print(diagnosis.verdict, f"Labels changed between {diagnosis.switching_rate:.2%} of successive draws.")
    raw = switched(tree, np.random.default_rng(0))
    picture(raw, table(raw), path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/theory/label-switching.png")
