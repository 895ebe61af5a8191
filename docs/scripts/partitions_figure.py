"""The numbers and the picture of docs/theory/partitions.md: six components for the galaxies.

python docs/scripts/partitions_figure.py [docs/theory/partitions.png]

"""

# ruff: noqa: T201 - a script talks to its reader
import sys
import textwrap
import warnings

import numpy as np

import bayesgmm as bg
from bayesgmm.partitions.losses import distances, ordered
from bayesgmm.plots.similarity import plot_similarity
from bayesgmm.posterior.partition import partition
from bayesgmm.posterior.similarity import similarity

SEED = 20_261_122


def galaxies():
    """The posterior of six components, with the EM fit it was started from."""
    X = bg.load_galaxies() / 1000
    em = bg.fit_em(X, 6, covariance="V", seed=SEED, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)  # what is wrong with the draws is printed
        tree = bg.sample(X, em, seed=SEED, progress=False)
    print(bg.diagnose(tree).verdict)
    return tree


def sizes(labels):
    """Rows of each cluster."""
    return " ".join(map(str, np.bincount(labels)))


def table(tree, found):
    """Expected losses and sizes of four partitions."""
    hard = ordered(bg.assignments(tree)["label"].values)
    by_loss = {"least expected VI": found["vi"].labels, "least expected Binder loss": found["binder"].labels}
    rows = {**by_loss, "most probable relabelled component": hard, "EM": found["vi"].em.labels}
    matrix, by_row = similarity(tree).values, np.ascontiguousarray(found["vi"].z.T)
    print(f"{'partition':36s} {'clusters':>8s} {'E VI (bits)':>12s} {'E Binder':>9s}   sizes")
    for name, labels in rows.items():
        together = labels[:, None] == labels
        binder = (together * (1 - 2 * matrix) + matrix).sum() / len(labels) ** 2
        information = distances(labels, by_row, "vi").mean()
        print(f"{name:36s} {labels.max() + 1:8d} {information:12.3f} {binder:9.4f}   {sizes(labels)}")


def balls(result):
    """Radius and bounds of the credible balls, and EM's place."""
    print("\n" + textwrap.fill(repr(result), 120))
    for prob in (0.5, 0.95):
        ball = result.credible_ball(prob)
        print(f"ball({prob}): radius {ball.radius:.3f}, {ball.level:.3f} of the draws")
        for name, partitions, distance in (
            ("horizontal", ball.horizontal, ball.radius),
            ("upper vertical", ball.upper_vertical, ball.upper_distance),
            ("lower vertical", ball.lower_vertical, ball.lower_distance),
        ):
            print(f"    {name:15s} at {distance:.3f}: {' or '.join(sizes(labels) for labels in partitions)}")


def main():
    """Print everything; draw the picture where a path is given."""
    tree = galaxies()
    found = {loss: partition(tree, loss=loss, progress=False) for loss in ("vi", "binder")}
    table(tree, found)
    for result in found.values():
        balls(result)
    if len(sys.argv) > 1:
        plot_similarity(tree, found["vi"]).savefig(sys.argv[1], dpi=110)


if __name__ == "__main__":
    main()
