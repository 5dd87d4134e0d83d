"""What a study found, as report.md, a self-contained report.html, and tables as CSV."""

from __future__ import annotations

import base64
import csv
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from allabel_core.simulation.statistics import Correlation, Estimate
from allabel_core.simulation.strategies import FULL

from .analysis import (
    TARGET,
    Cell,
    Closeness,
    LabelCurve,
    Setting,
    closeness,
    grouped,
    label_curves,
    needed,
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


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report; its table is also written as ``NAME.csv``, its plot is ``NAME.png``."""

    name: str
    title: str
    words: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plots: tuple[str, ...] = ()


def write_report(out: Path, finished: Sequence[Finished], command: str) -> None:
    """report.md, report.html, plots and tables in ``out``.

    :raises MissingExtraError: matplotlib is not installed.
    """
    groups = grouped(finished)
    cells = summary(groups)
    sections = [
        _summary(out, cells),
        _needed(cells),
        _closeness(out, closeness(groups)),
        _labels(out, label_curves(groups)),
    ]
    kept = [section for section in sections if section.rows]
    for section in kept:
        _write_table(out / f"{section.name}.csv", section)
    introduction = [*verdicts(cells), *_introduction(finished, command)]
    (out / "report.md").write_text(_markdown(introduction, kept), "utf-8")
    (out / "report.html").write_text(_html(out, introduction, kept), "utf-8")


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


def _summary(out: Path, cells: Sequence[Cell]) -> Section:
    plots = _plotted(
        out,
        ("curves", lambda path: plot_curves(path, cells)),
        ("k", lambda path: plot_ks(path, cells)),
        ("similarity", lambda path: plot_similarities(path, cells)),
    )
    header = ("strategy", "budget", "seeds", "F1", "span F1", "of full", "over random", "over allabel")
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
        )
        for cell in cells
    )
    words = (
        "'of full' is F1 as a part of full annotation's, every other text being annotated. 'over random' and "
        "'over allabel' are paired differences of F1; an interval without 0 is a difference."
    )
    return Section("summary", "Strategies", words, (*_SETTING, *header), rows, plots)


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


def _closeness(out: Path, found: Sequence[Closeness]) -> Section:
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
    plots = _plotted(out, ("closeness", lambda path: plot_closeness(path, found)))
    return Section("closeness", "Does a closer demonstration help?", words, header, rows, plots)


def _labels(out: Path, curves: Sequence[LabelCurve]) -> Section:
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
    plots = _plotted(out, ("labels", lambda path: plot_labels(path, curves)))
    return Section("labels", "Labels, as more is annotated", words, header, rows, plots)


def _plotted(out: Path, *plots: tuple[str, Callable[[Path], bool]]) -> tuple[str, ...]:
    return tuple(name for name, plot in plots if plot(out / f"{name}.png"))


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
        parts += [f"![{section.title}]({name}.png)" for name in section.plots]
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
        for name in section.plots:
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
