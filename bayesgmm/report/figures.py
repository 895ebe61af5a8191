"""The figures of the report with their captions."""

from dataclasses import dataclass

from markupsafe import Markup

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.density import plot_density
from bayesgmm.plots.diagnostics import plot_diagnostics
from bayesgmm.plots.entropy import plot_entropy
from bayesgmm.plots.forest import plot_forest
from bayesgmm.plots.memberships import plot_memberships
from bayesgmm.plots.modes import plot_modes
from bayesgmm.plots.predictive import plot_predictive
from bayesgmm.plots.svg import to_svg


@dataclass(frozen=True)
class ReportFigure:
    """An inline picture; `svg` is markup made by us, `caption` is plain text."""

    name: str
    svg: Markup
    caption: str


def report_figures(comparison: Comparison) -> dict[str, ReportFigure]:
    """Every figure of the report by name."""
    level = f"{comparison.ci_prob:.0%}"
    one_feature = comparison.em.params.n_features == 1
    mixed = (
        "Draws of several regions are in random order: mixed colours do not mean that chains travel."
        if "regions" in comparison.tree.children
        else "Chains of one colour each are stuck, mixed colours travel."
    )
    drawn = (
        (
            "density",
            plot_density(comparison),
            "Histogram of the data with the mixture's density" if one_feature else "The data with each component's ellipse",
            f"The dashed line is EM, the solid line the posterior mean, the band holds {level} of the posterior at each "
            "point; ticks are the observations in the colour of their posterior label, dotted lines the components."
            if one_feature
            else "Colour and shape give the posterior label. Each ellipse holds 90% of its component: dashed at EM's "
            "estimate, solid at the posterior mean, thin for 40 single posterior draws. Where the thin ones spread, the "
            "data leave the component's place or shape open. Components with less than one row are left out. A ring marks an "
            "observation that EM labels differently.",
        ),
        (
            "forest",
            plot_forest(comparison),
            "Posterior intervals of the parameters with EM's estimates",
            f"Thin line: {level} interval; thick line: 50% interval; dot: posterior mean; open diamond: EM. "
            "Each panel has its own axis.",
        ),
        (
            "memberships",
            plot_memberships(comparison),
            "Membership probabilities with intervals",
            f"Observations that are not certain, sorted by their posterior probability. The bar is the {level} interval of "
            "the probability over the posterior draws; the diamond is what EM says, which has no interval.",
        ),
        (
            "entropy",
            plot_entropy(comparison),
            "Entropy of membership of the most uncertain observations",
            "Blue: uncertainty that would remain if the parameters were known, because components overlap. Amber: "
            "uncertainty that comes from not knowing the parameters, which more data would remove. Diamonds: EM's entropy.",
        ),
        (
            "predictive",
            plot_predictive(comparison),
            "Data beside the densities that the posterior implies",
            f"Grey: the data. Band: {level} of the posterior at each point. Dashed: EM. Bars that stand clear of "
            "the band show where the model does not fit.",
        ),
        (
            "diagnostics",
            plot_diagnostics(comparison.diagnosis),
            "Traces and rank histograms of the label-invariant quantities",
            "Left: the draws of each chain. Right: how often a chain's draws fall at each rank among all draws, relative to "
            "an even share. Chains that agree overlap on the left and stay near 1 on the right. ESS: bulk / tail.",
        ),
        (
            "modes",
            plot_modes(comparison.diagnosis),
            "Groupings of the rows along the chains",
            "One strip per chain, coloured by the grouping of each draw; grey has none of those below. Bars: share of the draws; "
            f"diamonds: share of the posterior by evidence. {mixed}",
        ),
    )
    return {
        name: ReportFigure(name, Markup(to_svg(figure, name, label)), f"{label}. {caption}")
        for name, figure, label, caption in drawn
    }
