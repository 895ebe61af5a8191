"""A figure as an SVG element that can stand inside an HTML page beside others."""

import io
import re
from html import escape

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bayesgmm.plots.style import house_style

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def to_svg(figure: Figure, name: str, label: str) -> str:
    """`figure` as one `<svg>` element: no prolog, no metadata, no style rules of its own, the same text for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
        Put before every id in the element. Two figures on a page need two names, or the second would use the clip paths
        and markers of the first. Letters, digits and hyphens.
    label : str
        What the figure shows, for readers who do not see it.
    """
    text = _drawn(figure)
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    names: dict[str, str] = {}
    text = re.sub(r"<[^>]*>", lambda tag: _tidy_tag(tag[0], name, names), text)
    start = text.index(">")
    return f'{_without_fixed_size(text[:start])} role="img" aria-label="{escape(label)}"{text[start:].strip()}'


def _drawn(figure: Figure) -> str:
    """The figure as matplotlib's SVG, drawn once: savefig draws it twice, although the layout is part of each drawing."""
    canvas, dpi, buffer = figure.canvas, figure.get_dpi(), io.StringIO()
    with house_style():
        try:
            FigureCanvasSVG(figure).print_svg(buffer, metadata=_NO_METADATA)
        finally:
            figure.set_canvas(canvas)
            figure.set_dpi(dpi)
    return buffer.getvalue()


def _tidy_tag(tag: str, prefix: str, names: dict[str, str]) -> str:
    """New ids, kept in `names`, and coordinates in points with two decimals: matplotlib writes six, half of the file.

    Matplotlib's ids are no use here: some are the same in every figure, and those of clip paths hash numbers whose last digits
    the layout does not reproduce. Only what stands inside a tag is touched: matplotlib writes > as &gt; in text and
    attributes, so a label cannot look like a tag.
    """

    def renamed(found: re.Match[str]) -> str:
        return found[1] + names.setdefault(found[2], f"{prefix}-{len(names)}")

    tag = re.sub(r'(\bid=")([^"]+)', renamed, tag.replace('xlink:href="', 'href="'))
    tag = re.sub(r"(url\(#)([^)]+)", renamed, tag)
    tag = re.sub(r'(\bhref="#)([^"]+)', renamed, tag)
    return re.sub(r'\b(?:d|x|y|transform)="[^"]*"', _round_coordinates, tag)


def _round_coordinates(attribute: re.Match[str]) -> str:
    if "matrix" in attribute[0]:
        return attribute[0]
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), attribute[0])


def _without_fixed_size(tag: str) -> str:
    """The view box keeps the proportions; the page sets the width. HTML needs no namespace declarations."""
    return re.sub(r'\s(?:width|height|version|xmlns|xmlns:xlink)="[^"]*"', "", tag)
