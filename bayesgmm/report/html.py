"""The report as one HTML page."""

import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from bayesgmm.compare.comparison import Comparison
from bayesgmm.files import check_target, write_whole
from bayesgmm.plots.style import short_label
from bayesgmm.posterior.regions import has_strata
from bayesgmm.report import sections
from bayesgmm.report.figures import report_figures
from bayesgmm.report.table import table_from_frame

DEFAULT_TITLE = "Gaussian mixture: EM beside the posterior"
MAX_TITLE = 120

_environment = Environment(
    loader=PackageLoader("bayesgmm.report", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_report(comparison: Comparison, *, title: str = DEFAULT_TITLE) -> str:
    """The whole comparison as one self-contained HTML page: inline figures and styles, no script, no outside request.

    The same comparison gives the same text.

    Parameters
    ----------
    comparison : Comparison
    title : str
        Heading and document title.

    Returns
    -------
    str
    """
    em, diagnosis, agreement = comparison.em, comparison.diagnosis, comparison.agreement
    verdict, findings = sections.verdict_and_findings(comparison)
    priors, starts, attributes = sections.attribute_texts(comparison)
    return _environment.get_template("report.html.j2").render(
        title=short_label(title, MAX_TITLE),
        summary=sections.summary_line(comparison),
        ok=diagnosis.ok,
        verdict=verdict,
        em_converged=em.converged,
        em_status=em.status.value,
        findings=findings,
        level=f"{comparison.ci_prob:.0%}",
        n_flips=int(comparison.assignments["flips"].sum()),
        n_samples=em.n_samples,
        figures=report_figures(comparison),
        parameters=sections.parameter_table(comparison),
        components=sections.component_table(comparison),
        uncertain=sections.uncertain_table(comparison),
        agreement=None if agreement is None else table_from_frame("Agreement with the known labels", agreement),
        predictive=sections.predictive_table(comparison),
        quantities=sections.quantities_table(diagnosis),
        relabelled=sections.relabelled_table(diagnosis),
        structures=sections.structures_table(diagnosis),
        regions=sections.regions_table(comparison),
        strata=has_strata(comparison.tree),
        atlas=sections.atlas_table(comparison),
        sampler_facts=sections.sampler_facts(diagnosis),
        em_facts=sections.em_facts(em),
        modes=sections.modes_table(em),
        unfinished=sections.unfinished_table(em),
        priors=priors,
        starts=starts,
        attributes=attributes,
    )


def write_report(comparison: Comparison, path: str | os.PathLike[str], *, title: str = DEFAULT_TITLE) -> Path:
    """Write the comparison as one self-contained HTML file, which can be mailed, printed and read on a phone.

    Parameters
    ----------
    comparison : Comparison
    path : path-like
        The file to write; an existing one is replaced only once the new one is complete.
    title : str
        Heading and document title.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    InputError
        If the folder does not exist, `path` is a folder, or the file cannot be written; the message says why.
    """
    target = check_target(path)
    page = render_report(comparison, title=title).encode("utf-8", errors="replace")
    return write_whole(target, lambda path: path.write_bytes(page))
