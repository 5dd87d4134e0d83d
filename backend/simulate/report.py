"""What a study found, as report.md, a self-contained report.html, and tables as CSV."""

from __future__ import annotations

import base64
import csv
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from allabel_core.errors import MissingExtraError
from allabel_core.simulation.statistics import Correlation, Estimate
from allabel_core.simulation.strategies import FULL

from .analysis import (
    TARGET,
    Cell,
    Closeness,
    LabelCurve,
    Setting,
    SourceCell,
    closeness,
    grouped,
    label_curves,
    needed,
    source_cells,
    summary,
)
from .plots import plot_closeness, plot_curves, plot_ks, plot_labels, plot_similarities
from .records import Finished
from .verdict import verdicts

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}"
    "th,td{border-bottom:1px solid #ccc;padding:.2rem .6rem;text-align:left;white-space:nowrap}"
    "img{max-width:100%}"
)
_SETTING = ("data", "extractor", "similarity", "k")


Plot: TypeAlias = tuple[str, Callable[[Path], bool]]
"""A name, and what draws it into a file; False where there is nothing to draw."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report; its table is also written as ``NAME.csv``, its plot is ``NAME.png``."""

    name: str
    title: str
    words: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plots: tuple[Plot, ...] = ()


def write_report(out: Path, finished: Sequence[Finished], command: str) -> str:
    """Tables, report.md and report.html in ``out``, then plots, which the reports then show as well.

    :returns: why there are no plots; empty where there are.
    """
    groups = grouped(finished)
    cells = summary(groups)
    sections = [
        _summary(cells),
        _sources(source_cells(groups)),
        _needed(cells),
        _closeness(closeness(groups)),
        _labels(label_curves(groups)),
    ]
    kept = [section for section in sections if section.rows]
    for section in kept:
        _write_table(out / f"{section.name}.csv", section)
    introduction = [*verdicts(cells), *_introduction(finished, command)]
    _write_pages(out, introduction, [replace(section, plots=()) for section in kept])
    try:
        plotted = [replace(section, plots=_plotted(out, section.plots)) for section in kept]
    except MissingExtraError as error:
        return f"There are no plots: {error}"
    _write_pages(out, introduction, plotted)
    return ""


def _write_pages(out: Path, introduction: Sequence[str], sections: Sequence[Section]) -> None:
    (out / "report.md").write_text(_markdown(introduction, sections), "utf-8")
    (out / "report.html").write_text(_html(out, introduction, sections), "utf-8")


def _plotted(out: Path, plots: Sequence[Plot]) -> tuple[Plot, ...]:
    """Those that there is something to plot for."""
    return tuple((name, plot) for name, plot in plots if plot(out / f"{name}.png"))


def _introduction(finished: Sequence[Finished], command: str) -> list[str]:
    lines = []
    if command:
        lines.append(f"Made by `{command}`.")
    for name in dict.fromkeys(run.row.dataset for run in finished):
        runs = [run for run in finished if run.row.dataset == name]
        failures = sum(run.scores.failures for run in runs)
        note = f" {failures} answers failed and count as empty." if failures else ""
        lines.append(f"{name}: {runs[0].texts} texts, {len(runs)} runs.{note}")
    lines.append(
        "F1 is of entities, each a pair of words and label, micro-averaged over the texts that the strategy "
        "did not annotate. Square brackets hold 95% bootstrap intervals over texts and seeds. Strategies "
        "leave different texts, so F1 of two strategies is not of quite the same texts; 'of full' and the "
        "differences compare on common texts only."
    )
    return lines


def _summary(cells: Sequence[Cell]) -> Section:
    plots: tuple[Plot, ...] = (
        ("curves", lambda path: plot_curves(path, cells)),
        ("k", lambda path: plot_ks(path, cells)),
        ("similarity", lambda path: plot_similarities(path, cells)),
    )
    header = (
        "strategy",
        "budget",
        "seeds",
        "F1",
        "span F1",
        "of full",
        "over random",
        "over allabel",
        "calibration",
    )
    rows = tuple(
        (
            *_setting(cell.setting),
            cell.strategy,
            cell.budget,
            str(cell.seeds),
            _interval(cell.f1),
            f"{cell.span_f1:.3f}",
            "" if cell.strategy == FULL else _interval(cell.of_full),
            _interval(cell.over_random),
            _interval(cell.over_allabel),
            "" if cell.calibration is None else f"{cell.calibration:.3f} of {cell.confidences} spans",
        )
        for cell in cells
    )
    words = (
        "'of full' is F1 as a part of full annotation's, every other text being annotated. 'over random' and "
        "'over allabel' are paired differences of F1; an interval without 0 is a difference. 'calibration' "
        "is the expected calibration error of the confidences, where the extractor gives any."
    )
    return Section("summary", "Strategies", words, (*_SETTING, *header), rows, plots)


def _sources(cells: Sequence[SourceCell]) -> Section:
    rows = tuple(
        (
            *_setting(cell.setting),
            cell.strategy,
            cell.budget,
            cell.source,
            _interval(cell.f1),
            _interval(cell.joined_over_it),
            _interval(cell.joined_of_full),
        )
        for cell in cells
    )
    words = (
        "What each source finds by itself: the language model, the tagger, the lexicon, and 'learned', which "
        "is tagger and lexicon. 'joined over it' is the paired difference of F1 of all sources joined; "
        "'joined of its full' is F1 of all sources joined as a part of what this source reaches with full "
        "annotation."
    )
    header = (*_SETTING, "strategy", "budget", "source", "F1", "joined over it", "joined of its full")
    return Section("sources", "What each source gives", words, header, rows)


def _needed(cells: Sequence[Cell]) -> Section:
    rows = tuple(
        (
            *_setting(setting),
            strategy,
            "not reached" if share is None else f"{100 * share:.1f}%",
            f"{_interval(last.of_full)} at {last.budget}",
        )
        for setting, strategy, share, last in needed(cells)
    )
    header = (*_SETTING, "strategy", f"share for {TARGET:.0%} of full", "reached at the largest budget")
    words = (
        f"The share of texts to annotate for {TARGET:.0%} of full annotation's F1, read off straight lines "
        "between budgets."
    )
    return Section("needed", "How many annotations are enough", words, header, rows)


def _closeness(found: Sequence[Closeness]) -> Section:
    rows = tuple(
        (
            *_setting(each.setting),
            each.strategy,
            each.budget,
            _correlation(each.f1),
            _correlation(each.perplexity),
            " ".join(f"{bin.f1:.2f}" for bin in each.bins),
        )
        for each in found
    )
    words = (
        "Closeness is S[q, d] / S[q, q] for a text q and its most similar demonstration d. The coefficients "
        "are Spearman's, over texts, of closeness with a text's F1 and with the perplexity of the model's "
        "answer; the last column is F1 in fifths of the texts, from the least to the most close."
    )
    header = (*_SETTING, "strategy", "budget", "with F1", "with perplexity", "F1 by fifths")
    plots: tuple[Plot, ...] = (("closeness", lambda path: plot_closeness(path, found)),)
    return Section("closeness", "Does a closer demonstration help?", words, header, rows, plots)


def _labels(curves: Sequence[LabelCurve]) -> Section:
    rows = tuple(
        (
            *_setting(curve.setting),
            curve.strategy,
            curve.label,
            " ".join(f"{budget}:{value:.3f}" for budget, _, value in curve.points),
            _interval(curve.drop),
            "worse" if curve.gets_worse else "",
        )
        for curve in curves
    )
    words = (
        "F1 of each label by budget, on the texts left unannotated at every budget. 'change' is the last "
        "budget's F1 less the best before it; a label gets worse where that interval is below 0."
    )
    header = (*_SETTING, "strategy", "label", "F1 by budget", "change", "")
    plots: tuple[Plot, ...] = (("labels", lambda path: plot_labels(path, curves)),)
    return Section("labels", "Labels, as more is annotated", words, header, rows, plots)


def _setting(setting: Setting) -> tuple[str, str, str, str]:
    return setting.dataset, setting.extractor, setting.similarity, str(setting.k)


def _interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _correlation(found: Correlation) -> str:
    if found.coefficient != found.coefficient:
        return ""
    return f"{found.coefficient:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _write_table(path: Path, section: Section) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(section.header)
        writer.writerows(section.rows)


def _markdown(introduction: Sequence[str], sections: Sequence[Section]) -> str:
    parts = ["# Simulation", *introduction]
    for section in sections:
        parts += [f"## {section.title}", section.words]
        parts += [f"![{section.title}]({name}.png)" for name, _ in section.plots]
        lines = [section.header, tuple("---" for _ in section.header), *section.rows]
        parts.append(
            "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        )
    return "\n\n".join(parts) + "\n"


def _html(out: Path, introduction: Sequence[str], sections: Sequence[Section]) -> str:
    """Plots are inside, so that the one file can be passed on."""
    parts = ["<h1>Simulation</h1>", *(f"<p>{html.escape(line)}</p>" for line in introduction)]
    for section in sections:
        parts += [f"<h2>{html.escape(section.title)}</h2>", f"<p>{html.escape(section.words)}</p>"]
        for name, _ in section.plots:
            image = base64.b64encode((out / f"{name}.png").read_bytes()).decode()
            parts.append(
                f'<p><img alt="{html.escape(section.title)}" src="data:image/png;base64,{image}"></p>'
            )
        parts.append(f"<table><tr>{_cells('th', section.header)}</tr>")
        parts += [f"<tr>{_cells('td', row)}</tr>" for row in section.rows]
        parts.append("</table>")
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><title>Simulation</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _cells(tag: str, row: Sequence[str]) -> str:
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
