"""The figure and the table of docs/validation.md, from simulations kept in a folder (those missing are run, in minutes).

python -m docs.scripts.validation_figures FOLDER [docs/figures/validation-sbc.png]
"""

# ruff: noqa: T201 - a script talks to its reader
import sys

import matplotlib.pyplot as plt
import numpy as np

from tests.statistical import sbc
from tests.statistical.test_sbc import ADJUSTED, ALPHA


def draw(ax, ranks, bands):
    """ECDF of one quantity's ranks less the uniform one, with the bands."""
    at = np.concatenate([[0.0], sbc.levels(), [1.0]])
    for (low, high), color in zip(bands, ("0.93", "0.82"), strict=True):
        edges = [np.concatenate([[0.0], edge - sbc.levels(), [0.0]]) for edge in (low, high)]
        ax.fill_between(at, *edges, color=color, linewidth=0)
    counts = sbc.ecdf_counts(ranks)
    difference = np.concatenate([[0.0], counts / len(ranks) - sbc.levels(), [0.0]])
    ax.plot(at, difference, color="C0", linewidth=1.2)
    ax.axhline(0, color="0.5", linewidth=0.5)


def main(folder, file):
    """Draw all configurations and print the table."""
    n = sbc.N_SIMULATIONS
    gamma, single = (sbc.coverage_level(n, alpha) for alpha in (ADJUSTED, ALPHA))
    bands = [sbc.band(n, gamma), sbc.band(n, single)]
    size = len(sbc.CONFIGURATIONS), len(sbc.QUANTITIES)
    figure, axes = plt.subplots(*size, figsize=(2 * size[1], 1.9 * size[0]), sharex=True, sharey=True, layout="constrained")
    print(f"least tails; outside the outer band below {gamma:.2g}, outside the inner one below {single:.2g}")
    print("| configuration | " + " | ".join(sbc.QUANTITIES) + " | least ESS, 5% and median | simulations with divergences |")
    for row, configuration in zip(axes, sbc.CONFIGURATIONS, strict=True):
        results = sbc.results(configuration, folder)
        ranks = np.array([result["ranks"] for result in results])
        for ax, of_quantity in zip(row, ranks.T, strict=True):
            draw(ax, of_quantity, bands)
        row[0].set_ylabel(configuration.name, fontsize=8)
        tails = sbc.least_tails(sbc.ecdf_counts(ranks), n)
        ess = np.quantile([result["ess"] for result in results], [0.05, 0.5])
        diverging = sum(result["divergences"] > 0 for result in results)
        numbers = " | ".join(f"{tail:.2g}" for tail in tails)
        print(f"| {configuration.name} | {numbers} | {ess[0]:.0f}, {ess[1]:.0f} | {diverging} |")
    for ax, quantity in zip(axes[0], sbc.QUANTITIES, strict=True):
        ax.set_title(quantity, fontsize=8)
    for ax in axes[-1]:
        ax.set_xlabel("rank / 100", fontsize=8)
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    plt.rcParams |= {"xtick.labelsize": 7, "ytick.labelsize": 7}
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "docs/figures/validation-sbc.png")
