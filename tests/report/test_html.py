"""The page: valid structure, everything in it, nothing outside it, user text as text."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bayesgmm.compare.comparison import Comparison, compare
from bayesgmm.errors import InputError
from bayesgmm.posterior.diagnose import diagnose
from bayesgmm.report.html import render_report, write_report
from bayesgmm.report.sections import atlas_table, regions_table, structures_table
from tests.posterior import constructed
from tests.posterior.constructed import SETTINGS, make_problem
from tests.regions import with_regions
from tests.representatives import representative_values

VOID = {"meta", "br", "hr", "img", "link", "input", "path", "use", "image", "rect", "circle", "line"}


class Page(HTMLParser):
    """Tags with their attributes, text outside of style rules, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="session")
def parsed(page: str) -> Page:
    return Page(page)


@pytest.fixture(scope="session")
def parsed_hostile(hostile_page: str) -> Page:
    return Page(hostile_page)


@pytest.mark.parametrize("name", representative_values(["parsed", "parsed_hostile"], 0, others=pytest.mark.slow))
def test_tags_are_closed_and_ids_are_unique(name: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(name)
    assert page.open == []
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {href[1:] for href in page.attributes("href") if href.startswith("#")} <= set(ids)


@pytest.mark.parametrize("name", representative_values(["page", "hostile_page"], 0, others=pytest.mark.slow))
def test_nothing_is_fetched_and_no_script_runs(name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name)
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not page.attributes("src")
    assert all(href.startswith(("#", "data:image/png;base64,")) for href in page.attributes("href"))
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'")


def test_every_finding_and_every_parameter_is_there(parsed: Page, comparison: Comparison) -> None:
    for finding in comparison.findings:
        assert finding in parsed.text
    for label in comparison.parameters.index:
        assert label in parsed.text
    for name in comparison.diagnosis.quantities.index:
        assert name in parsed.text


def test_every_section_and_figure_is_there(parsed: Page) -> None:
    ids = set(parsed.attributes("id"))
    sections = {"verdict", "findings", "parameters", "data", "memberships", "predictive", "convergence", "em", "provenance"}
    assert sections <= ids
    figures = {"density", "forest", "memberships", "entropy", "predictive", "diagnostics"}
    assert {f"figure-{name}" for name in figures} <= ids
    tags = [tag for tag, _ in parsed.tags]
    assert tags.count("figure") == tags.count("figcaption") == tags.count("svg") == len(figures)
    assert all(a.get("role") == "img" and a.get("aria-label") for tag, a in parsed.tags if tag == "svg")


def test_the_number_in_the_table_is_that_of_the_comparison(parsed: Page, comparison: Comparison) -> None:
    row = comparison.parameters.loc["means[0, x0]"]
    text = parsed.text[parsed.text.index("means[0, x0]") :][:200]
    em, mean = (float(number) for number in re.findall(r"\d+\.\d+", text)[:2])
    assert em == pytest.approx(row["em"], abs=row["sd"] / 10)
    assert mean == pytest.approx(row["mean"], abs=row["sd"] / 10)


def test_flips_are_counted_and_flagged(parsed: Page, comparison: Comparison) -> None:
    assert f"3 of {comparison.em.n_samples} observations change label" in parsed.text


def test_optima_and_collapsed_starts_are_told(parsed: Page) -> None:
    assert "7 of 10" in parsed.text
    assert "2 of 10" in parsed.text
    assert "component 1 collapsed onto row 17" in parsed.text


def test_priors_starts_and_settings_are_there(parsed: Page) -> None:
    for text in ("weights: Dirichlet(1, 1)", "correlations: LKJ(2)", "chain 1: EM optimum 1", "pymc version", "6.4.0"):
        assert text in parsed.text


def test_known_labels_are_a_section(parsed: Page) -> None:
    assert "Agreement with the known labels" in parsed.text
    assert "adjusted rand" in parsed.text


def test_an_analysis_that_did_not_converge_says_so_first(parsed_hostile: Page, parsed: Page) -> None:
    headline = "This analysis did not converge"
    assert parsed_hostile.text.index(headline) < parsed_hostile.text.index("Findings")
    assert headline not in parsed.text


def test_user_text_is_text(parsed_hostile: Page, hostile_page: str, page: str) -> None:
    assert "means[0, <script>alert('x')</script>]" in parsed_hostile.text
    assert "means[0, $$]" in parsed_hostile.text
    assert "<script" not in hostile_page
    assert "x" * 200 not in hostile_page
    assert "<title>Geysers &amp; &lt;others&gt;</title>" in page


@pytest.mark.slow
def test_the_same_comparison_gives_the_same_page(comparison: Comparison, page: str) -> None:
    assert render_report(comparison, title="Geysers & <others>") == page


@pytest.mark.slow
def test_the_page_is_written_whole_and_replaces_an_older_one(comparison: Comparison, page: str, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    assert write_report(comparison, str(target), title="Geysers & <others>") == target
    assert target.read_text(encoding="utf-8") == page
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_or_a_folder_in_place_of_a_file_is_named(comparison: Comparison, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder .*nowhere does not exist.*create the folder"):
        write_report(comparison, tmp_path / "nowhere" / "report.html")
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        write_report(comparison, tmp_path)


@pytest.mark.slow
def test_groupings_are_a_table_where_there_are_several() -> None:
    problem = make_problem(SETTINGS[0])
    diagnosis = diagnose(constructed.one_chain_stuck(problem))
    table = structures_table(diagnosis)
    assert table is not None
    (rows,) = table.groups
    assert sorted(row.cells[1] for row in rows.rows) == ["25.0%", "75.0%"]
    assert rows.rows[0].cells[-1] == "the reference"
    assert structures_table(diagnose(constructed.well_mixed(problem))) is None


@pytest.mark.slow
def test_regions_and_modes_are_tables_where_there_are_several(comparison: Comparison, parsed: Page) -> None:
    assert "Regions of the posterior" not in parsed.text
    assert "Modes of the posterior" not in parsed.text
    several = compare(comparison.em, with_regions(comparison.tree, without_draws=0.03))
    page = Page(render_report(several))
    assert page.open == []
    for text in ("Regions of the posterior", "Modes of the posterior", "0.50, 0.50", "chains in the largest region"):
        assert text in page.text
    for finding in several.findings:
        assert finding in page.text
    regions, modes = regions_table(several), atlas_table(several)
    assert regions is not None
    assert [row.cells[1:3] for row in regions.groups[0].rows] == [("80.0%", "1.2%"), ("20.0%", "1.2%")]
    assert modes is not None
    assert [row.cells[:4] for row in modes.groups[0].rows] == [
        ("0", "77.60%", "0", "4"),
        ("1", "19.40%", "1", "2"),
        ("2", "3.0%", "–", "1"),
    ]
