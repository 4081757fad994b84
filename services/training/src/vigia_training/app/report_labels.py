"""The report of a version that gives labels as one HTML file: it needs nothing else, runs nothing, and prints."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from vigia_training.app import report_charts as charts
from vigia_training.app.report_boxes import MEANINGS, SIGNS, in_words, overlay, sample
from vigia_training.app.report_parts import (
    ReportFiles,
    Tile,
    count,
    document,
    figure,
    header,
    moment,
    number,
    percent,
    provenance_section,
    share,
    span,
    table,
    threshold_text,
    warnings_section,
)
from vigia_training.app.report_pictures import picture
from vigia_training.domain.intervals import Estimate, Rate
from vigia_training.domain.label_evaluated import LabelsEvaluated
from vigia_training.domain.label_report import LEAST_SURE, Cell, LabelFigures, LabelReport, SizeFigures, label_report
from vigia_training.domain.label_worth import ShownLabels, Why
from vigia_vision import probe

_REASONS: Final[dict[Why, str]] = {
    "confused": "Taken for another label, the surest first",
    "missed": "Missed, the most and clearest first",
    "false": "Said, but not there, the surest first",
    "closest call": "Right, but closest to the threshold",
}
#: Labels with a matrix of their own lines and columns, and with charts of their own; pairs of labels in a list.
_MOST_LINES = 16
_MOST_CHARTS = 8
_MOST_PAIRS = 30
#: Characters of a name in captions.
_NAME = 60
_MOST_WORDS = 12


def label_report_files(given: LabelsEvaluated, read: Callable[[str], bytes]) -> ReportFiles:
    """The report of a version. ``read`` is called for the few images that are shown, one after the other."""
    numbers = label_report(given)
    pictures = [picture(read(one.uri), None, None, ()) for one in numbers.shown]
    return ReportFiles(label_page(numbers, pictures), numbers.to_json())


def label_page(numbers: LabelReport, pictures: Sequence[bytes]) -> bytes:
    """The HTML file. ``pictures``: JPEGs of ``numbers.shown``, in that order."""
    sections = [
        _head(numbers),
        warnings_section(numbers.warnings),
        _labels(numbers),
        _confusion(numbers),
        _threshold(numbers),
        _curves(numbers),
        _confidence(numbers),
        _sizes(numbers.sizes),
        _shown(numbers.shown, pictures),
        provenance_section(numbers.provenance),
    ]
    return document(f"{numbers.project}, version {numbers.model_version}: evaluation", sections)


def _boxes(numbers: LabelReport) -> bool:
    return numbers.kind == "object-detection"


def _head(numbers: LabelReport) -> str:
    overall = numbers.overall
    tiles = [Tile("F1", number(overall.f1.value), span(overall.f1), "mean over labels, at their thresholds")]
    if overall.accuracy is not None:
        right = f"{count(overall.accuracy)} images: the surest label is theirs"
        tiles.insert(0, Tile("Accuracy", percent(overall.accuracy.value), span(overall.accuracy), right))
    average = "mAP, IoU 0.5" if _boxes(numbers) else "Average precision"
    tiles += [
        Tile(average, number(overall.average_precision.value), span(overall.average_precision), "at any threshold"),
        Tile("Precision", number(overall.precision.value), span(overall.precision), "of what is said, right"),
        Tile("Recall", number(overall.recall.value), span(overall.recall), "of what is there, said"),
    ]
    what = {
        "classification": "one label an image",
        "multilabel-classification": "several labels an image",
        "object-detection": "labelled objects; a box is right where it overlaps one of its label by half",
    }[numbers.kind]
    about = (
        f"Learnt from {numbers.training_images} images, tested on {numbers.test_images} others, "
        f"on {moment(numbers.evaluated_at)}: {what}."
    )
    things = "object" if _boxes(numbers) else "image"
    caution = (
        f"They count every {things} for itself; where several show the same part, the truth is less certain. A label's "
        "threshold is where F1 over these very images is best, so at thresholds the next images do a little worse."
    )
    return header(numbers.project, numbers.model_version, about, caution, tiles)


def _labels(numbers: LabelReport) -> str:
    thing = "objects" if _boxes(numbers) else "images"
    rows = [
        (
            f'<span class="label">{escape(one.name)}</span>',
            str(one.training_images),
            str(one.test_images),
            threshold_text(one.threshold),
            *(
                _figures(e) if one.test_images else "–"
                for e in (one.precision, one.recall, one.f1, one.average_precision)
            ),
            f"{SIGNS['right']}&nbsp;{one.right} {SIGNS['missed']}&nbsp;{one.missed} {SIGNS['false']}&nbsp;{one.false}",
        )
        for one in sorted(numbers.labels, key=lambda one: (not one.test_images, one.f1.value, one.name))
    ]
    heads = ("label", "training images", "test images", "threshold", "precision", "recall", "F1", "average precision",
             f"test {thing}")  # fmt: skip
    return (
        "<section><h2>Labels, the poorest first</h2>"
        f"<p>Counts at the threshold: {SIGNS['right']} there and said, {SIGNS['missed']} there but not said, "
        f"{SIGNS['false']} said but not there.</p>{table(heads, rows, 'wide')}</section>"
    )


def _figures(found: Estimate | Rate) -> str:
    low, high = (f"{bound:.3f}" if bound is not None else "–" for bound in (found.low, found.high))
    return f"{number(found.value)}<br><small>{low} to {high}</small>"


def _confusion(numbers: LabelReport) -> str:
    """A matrix of few labels, or the most frequent pairs of many; one of two by two for labels that stand alone."""
    if numbers.kind == "multilabel-classification":
        rows = [
            (
                f'<span class="label">{escape(one.name)}</span>',
                *map(str, (one.right, one.missed, one.false, one.absent)),
            )
            for one in numbers.labels
        ]
        heads = ("label", "there, said", "there, not said", "not there, said", "neither")
        return f"<section><h2>Right and wrong, label by label</h2>{table(heads, rows)}</section>"
    nothing = "background" if _boxes(numbers) else "none"
    names = [label.name for label in numbers.labels]
    if len(names) <= _MOST_LINES:
        body = _matrix(numbers.confusion, names, nothing, _boxes(numbers))
    else:
        wrong = [cell for cell in numbers.confusion if cell.true != cell.said][:_MOST_PAIRS]
        rows = [(escape(cell.true or nothing), escape(cell.said or nothing), str(cell.count)) for cell in wrong]
        body = f"<p>The most frequent mistakes of all.</p>{table(('what is there', 'said', 'times'), rows)}"
    words = (
        "Objects by their label (lines) and what the model says is there (columns), at the labels' thresholds. "
        f"<em>{nothing}</em>: boxes where nothing is, and objects without a box."
        if _boxes(numbers)
        else "Test images by their label (lines) and the surest label that reaches its threshold (columns)."
    )
    return f"<section><h2>What is taken for what</h2><p>{words}</p>{body}</section>"


def _matrix(cells: Sequence[Cell], names: Sequence[str], nothing: str, boxes: bool) -> str:
    def named(name: str | None) -> str:
        return f'<span class="cell">{escape(name or nothing)}</span>'

    counts = {(cell.true, cell.said): cell.count for cell in cells}
    columns: list[str | None] = [*names, None]
    rows = []
    for true in columns if boxes else names:
        total = sum(counts.get((true, said), 0) for said in columns)
        line = []
        for said in columns:
            found = counts.get((true, said), 0)
            if true is None and said is None:
                line.append('<td class="quiet">–</td>')
                continue
            css = "right" if true == said else "wrong"
            part = f' style="--part:{round(60 * found / total) if total else 0}%"' if found else ""
            line.append(f'<td class="{css if found else "quiet"}"{part}>{found}</td>')
        rows.append(f'<tr><th scope="row">{named(true)}</th>{"".join(line)}<td>{total}</td></tr>')
    heads = "".join(f'<th scope="col">{named(name)}</th>' for name in columns)
    return (
        f'<div class="scroll"><table class="matrix"><thead><tr><td></td>{heads}<th scope="col">all</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _threshold(numbers: LabelReport) -> str:
    rows = [
        (
            "own thresholds" if row.min_confidence is None else f"{100 * row.min_confidence:g}",
            str(row.right),
            str(row.missed),
            str(row.false),
            f"{percent(row.precision.value)}<br><small>{span(row.precision)}</small>",
            f"{percent(row.recall.value)}<br><small>{span(row.recall)}</small>",
        )
        for row in numbers.trade_off
        if row.min_confidence is None or round(row.min_confidence * 100) % 10 == 0
    ]
    asked = [(row.min_confidence, row) for row in numbers.trade_off if row.min_confidence is not None]
    series = [
        ("precision", [(at, row.precision.value) for at, row in asked if row.precision.value is not None]),
        ("recall", [(at, row.recall.value) for at, row in asked if row.recall.value is not None]),
    ]
    chart = charts.lines(series, None, "MinConfidence / 100", "Precision and recall by MinConfidence")
    heads = ("MinConfidence", f"{SIGNS['right']} right", f"{SIGNS['missed']} missed", f"{SIGNS['false']} false",
             "precision", "recall")  # fmt: skip
    marks = ["current", *[""] * (len(rows) - 1)]
    return (
        "<section><h2>False answers against misses</h2><p>All labels together, where a caller asks for answers from "
        "one confidence on instead of leaving it to each label's threshold.</p>"
        f'<div class="beside"><figure>{chart}<p class="key">{charts.key([name for name, _ in series])}</p></figure>'
        f"{table(heads, rows, '', marks)}</div></section>"
    )


def _curves(numbers: LabelReport) -> str:
    figures = {label.name: label for label in numbers.labels}
    seen = [curves for curves in numbers.curves if figures[curves.name].test_images]
    poorest = sorted(seen, key=lambda curves: (figures[curves.name].f1.value, curves.name))[:_MOST_CHARTS]
    if not poorest:
        return ""
    groups = []
    for curves in poorest:
        label = figures[curves.name]
        here = (label.recall.value or 0.0, 1.0 if label.precision.value is None else label.precision.value)
        ranking = charts.curve(curves.precision_recall, here, "recall", "precision", "Precision-recall curve")
        known = [(at, p, r) for at, p, r in curves.thresholds if p is not None]
        series = [
            ("precision", [(at, p) for at, p, _ in known]),
            ("recall", [(at, r) for at, _, r in curves.thresholds]),
            ("F1", [(at, 2 * p * r / (p + r) if p + r else 0.0) for at, p, r in known]),
        ]
        trade = charts.lines(series, label.threshold, "threshold", "Precision, recall and F1 by threshold")
        groups.append(_pair(label, ranking, trade))
    more = len(seen) - len(poorest)
    rest = f"<p>The {len(poorest)} labels with the lowest F1; the JSON file has all {len(seen)}.</p>" if more else ""
    key = f'<p class="key">{charts.key(["precision", "recall", "F1"], threshold=True)}</p>'
    return f'<section><h2>Curves of each label</h2>{rest}{key}<div class="each">{"".join(groups)}</div></section>'


def _pair(label: LabelFigures, ranking: str, trade: str) -> str:
    average = f"AP {number(label.average_precision.value)} ({span(label.average_precision)})"
    best = f"best F1 {number(label.f1.value)} at {threshold_text(label.threshold)}"
    return (
        f'<div><h3 class="label">{escape(label.name)}</h3><div class="pair">'
        f"{figure(ranking, 'Precision and recall', average)}{figure(trade, 'Threshold', best)}</div></div>"
    )


def _confidence(numbers: LabelReport) -> str:
    of = {
        "classification": "the surest label of each image",
        "multilabel-classification": f"every label of every image with a confidence from {LEAST_SURE:g} on",
        "object-detection": f"every box with a confidence from {LEAST_SURE:g} on",
    }[numbers.kind]
    lowest = numbers.reliability[0].low
    chart = figure(
        charts.reliability(numbers.reliability, lowest),
        "Is confidence what it says?",
        f"expected calibration error {number(numbers.calibration_error)}",
    )
    return (
        f"<section><h2>Confidence</h2><p>Of {of}: how many of those with about the same confidence are right. Points "
        "on the diagonal are as sure as they are right, those below it too sure. The small numbers above count the "
        "answers.</p>"
        f'<div class="charts">{chart}</div></section>'
    )


def _sizes(sizes: Sequence[SizeFigures]) -> str:
    if not sizes:
        return ""
    pixels = [one for one in sizes if one.measure == "side in model pixels"]
    shares = [one for one in sizes if one.measure == "share of the image"]
    by_pixels = [(_side(one), count(one.found), percent(one.found.value), span(one.found)) for one in pixels]
    by_share = [
        (f"{share(one.above)} to {share(one.up_to or 1)}", count(one.found), percent(one.found.value), span(one.found))
        for one in shares
    ]
    heads = ("found", "recall", "95 % interval")
    return (
        "<section><h2>Found by size of object</h2><p>Sides are square roots of areas, in pixels of what the model "
        "sees: it scales images down or up.</p>"
        f'<div class="two">{table(("side, model pixels", *heads), by_pixels)}'
        f"{table(('share of the image', *heads), by_share)}</div></section>"
    )


def _side(one: SizeFigures) -> str:
    name = {0.0: "small", 32.0: "medium", 96.0: "large"}[one.above]
    return f"{name}, over {one.above:g}" if one.up_to is None else f"{name}, {one.above:g} to {one.up_to:g}"


def _shown(shown: Sequence[ShownLabels], pictures: Sequence[bytes]) -> str:
    if not shown:
        return ""
    groups = []
    for why, heading in _REASONS.items():
        cards = "".join(_card(one, data) for one, data in zip(shown, pictures, strict=True) if one.why == why)
        if cards:
            groups.append(f'<h3>{heading}</h3><div class="cards large">{cards}</div>')
    boxes = any(mark.box is not None for one in shown for mark in one.marks)
    seen = {mark.verdict for one in shown for mark in one.marks}
    key = " ".join(
        f'<span class="entry">{sample(verdict) if boxes else ""}{sign} {MEANINGS[verdict]}</span>'
        for verdict, sign in SIGNS.items()
        if verdict in seen
    )
    return f'<section><h2>Images worth a look</h2><p class="key">{key}</p>{"".join(groups)}</section>'


def _card(one: ShownLabels, data: bytes) -> str:
    source = base64.b64encode(data).decode()
    info = probe(data)
    boxes = overlay(one.marks, info.width, info.height) if any(mark.box for mark in one.marks) else ""
    # What is right is seen in a picture with boxes; where there are none the names must say it.
    listed = [mark for mark in one.marks if mark.verdict != "right" or not boxes][:_MOST_WORDS]
    items = "".join(f"<li><b>{SIGNS[mark.verdict]}</b>{escape(in_words(mark, _NAME))}</li>" for mark in listed)
    named = sum(mark.verdict == "right" for mark in listed)
    for left, word in ((one.wrong - len(listed) + named, "more"), (one.right - named, "right")):
        items += f"<li>{'and ' if items else ''}{left} {word}</li>" if left else ""
    return (
        f'<figure class="card"><div class="picture"><img src="data:image/jpeg;base64,{source}" alt="">{boxes}</div>'
        f'<figcaption><ul class="marks">{items}</ul><span class="uri">{escape(one.uri)}</span>'
        "</figcaption></figure>"
    )
