"""The report as one HTML file: it needs nothing else, runs nothing, and prints."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from vigia_training.app import report_charts as charts
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
    swatch,
    table,
    threshold_text,
    warnings_section,
)
from vigia_training.app.report_pictures import Mask, picture
from vigia_training.domain.dataset import Entry
from vigia_training.domain.report import Evaluated, LabelFigures, Report, Shown, Why, report, worth_a_look
from vigia_vision.manifest import Label

#: Of one test image: its bytes, and where known the label indices of truth and answer, ``[H, W]``.
Show = Callable[[Entry], tuple[bytes, Mask | None, Mask | None]]

_REASONS: Final[dict[Why, str]] = {
    "miss": "Misses: anomalous parts that were accepted, the clearest first",
    "false reject": "False rejects: normal parts that were rejected, the clearest first",
    "lowest overlap": "Found, but marked most differently",
    "closest call": "Right, but closest to the threshold",
}


def report_files(given: Evaluated, show: Show, labels: Sequence[Label]) -> ReportFiles:
    """The report of a version. ``show`` is called for the few images that are shown, one after the other."""
    numbers = report(given)
    colors = [label.color for label in labels]
    pictures = [picture(*show(judged.entry), colors) for judged, _ in worth_a_look(given.results)]
    return ReportFiles(page(numbers, pictures, labels), numbers.to_json())


def page(numbers: Report, pictures: Sequence[bytes], labels: Sequence[Label]) -> bytes:
    """The HTML file. ``pictures``: JPEGs of ``numbers.shown``, in that order."""
    sections = [
        _head(numbers),
        warnings_section(numbers.warnings),
        _errors(numbers),
        _threshold(numbers),
        _ranking(numbers),
        _labels(numbers.labels, labels),
        _sizes(numbers),
        _shown(numbers.shown, pictures, labels),
        provenance_section(numbers.provenance),
    ]
    return document(f"{numbers.project}, version {numbers.model_version}: evaluation", sections)


def _head(numbers: Report) -> str:
    image = numbers.image
    counts = image.confusion
    normal, anomalous = image.false_reject_rate.total, image.miss_rate.total
    tiles = [
        Tile("False rejects", percent(image.false_reject_rate.value), span(image.false_reject_rate),
             f"{counts.normal_rejected} of {normal} normal images"),
        Tile("Misses", percent(image.miss_rate.value), span(image.miss_rate),
             f"{counts.anomalous_missed} of {anomalous} anomalous images"),
        Tile("F1", number(image.f1.value), span(image.f1), "at the threshold"),
    ]  # fmt: skip
    if image.roc_auc is not None:
        tiles.append(Tile("AUROC", number(image.roc_auc.value), span(image.roc_auc), "at any threshold"))
    about = (
        f"Learnt from {numbers.training_images} images, judged on {numbers.test_images} others, "
        f"{normal} normal and {anomalous} anomalous, on {moment(numbers.evaluated_at)}. "
        f"An image is anomalous from a score of {threshold_text(numbers.threshold)} on."
    )
    caution = "They count every image as one part; where several show the same part, the truth is less certain."
    return header(numbers.project, numbers.model_version, about, caution, tiles)


def _errors(numbers: Report) -> str:
    image, counts = numbers.image, numbers.image.confusion
    confusion = table(
        ("", "accepted as normal", "rejected as anomalous"),
        [
            ("normal", _cell(counts.normal_accepted, True), _cell(counts.normal_rejected, False)),
            ("anomalous", _cell(counts.anomalous_missed, False), _cell(counts.anomalous_found, True)),
        ],
        "confusion",
    )
    figures: list[tuple[str, str, str, str]] = [
        ("False-reject rate", percent(image.false_reject_rate.value), span(image.false_reject_rate),
         "of normal images, those rejected"),
        ("Miss rate", percent(image.miss_rate.value), span(image.miss_rate), "of anomalous images, those accepted"),
        ("Precision", number(image.precision.value), span(image.precision), "of rejected images, those anomalous"),
        ("Recall", number(image.recall.value), span(image.recall), "of anomalous images, those rejected"),
        ("F1", number(image.f1.value), span(image.f1), "precision and recall in one"),
    ]  # fmt: skip
    values = table(("figure", "value", "95 % interval", "meaning"), figures)
    return f'<section><h2>At the threshold</h2><div class="two">{confusion}{values}</div></section>'


def _threshold(numbers: Report) -> str:
    rows = []
    for row in numbers.trade_off:
        note = " · ".join(text for text, here in (("this version", row.current), ("none is better", row.best)) if here)
        rows.append(
            (threshold_text(row.threshold), count(row.false_rejects), span(row.false_rejects),
             count(row.misses), span(row.misses), note)
        )  # fmt: skip
    marks = ["current" if row.current else "best" if row.best else "" for row in numbers.trade_off]
    choices = table(("threshold", "false rejects", "95 % interval", "misses", "95 % interval", ""), rows, "wide", marks)
    key = (
        f'<p class="key"><span class="entry"><span class="swatch normal"></span>{charts.stroke("line stroke1")}normal, '
        'false rejects</span> <span class="entry"><span class="swatch anomalous"></span>'
        f"{charts.stroke('line stroke2')}anomalous, misses</span> "
        f'<span class="entry">{charts.stroke("threshold")}threshold</span></p>'
    )
    return (
        "<section><h2>Other thresholds: false rejects against misses</h2>"
        "<p>What these test images say a different threshold would have done. <em>None is better</em>: no threshold "
        "has fewer errors of one kind without more of the other. A threshold picked here because it looks best on "
        "these images will do a little worse on the next.</p>"
        f'<div class="charts"><figure>{charts.histogram(numbers.scores, numbers.threshold)}</figure>'
        f"<figure>{charts.trade_off(numbers.curves.errors, numbers.threshold)}</figure></div>{key}{choices}</section>"
    )


def _ranking(numbers: Report) -> str:
    image = numbers.image
    figures = []
    if image.roc_auc is not None and image.average_precision is not None:
        here = (image.false_reject_rate.value or 0.0, image.recall.value or 0.0)
        roc = charts.curve(numbers.curves.roc, here, "false-reject rate", "recall", "ROC curve")
        figures.append(figure(roc, "ROC", f"AUROC {number(image.roc_auc.value)} ({span(image.roc_auc)})"))
        at = (image.recall.value or 0.0, 1.0 if image.precision.value is None else image.precision.value)
        pr = charts.curve(numbers.curves.precision_recall, at, "recall", "precision", "Precision-recall curve")
        average = image.average_precision
        figures.append(
            figure(pr, "Precision and recall", f"average precision {number(average.value)} ({span(average)})")
        )
    figures.append(
        figure(
            charts.reliability(numbers.reliability, 0.5),
            "Is confidence what it says?",
            f"expected calibration error {number(numbers.calibration_error)}",
        )
    )
    missing = "" if len(figures) > 1 else "<p>Without test images of both classes there are no curves of ranking.</p>"
    return (
        f'<section><h2>Ranking and confidence</h2>{missing}<div class="charts three">{"".join(figures)}</div></section>'
    )


def _labels(figures: Sequence[LabelFigures], labels: Sequence[Label]) -> str:
    if not figures:
        return ""
    colors = {label.name: label.color for label in labels}
    rows = [
        (
            f"{swatch(colors.get(one.name, '#888888'))}{escape(one.name)}",
            str(one.test_images),
            *(f"{number(e.value)}<br><small>{span(e)}</small>" for e in (one.precision, one.recall, one.f1, one.iou)),
        )
        for one in figures
    ]
    shown = table(("label", "test images", "precision", "recall", "F1", "mean IoU"), rows, "wide")
    return (
        "<section><h2>Labels, pixel by pixel</h2>"
        "<p>Intervals by resampling images; labels in fewer than five test images have none.</p>"
        f"{shown}</section>"
    )


def _sizes(numbers: Report) -> str:
    if not numbers.sizes:
        return ""
    rows = [
        (f"{share(one.above)} to {share(one.up_to)}", count(one.found), percent(one.found.value), span(one.found))
        for one in numbers.sizes
    ]
    found = table(("marked share of the image", "found", "recall", "95 % interval"), rows)
    return f"<section><h2>Found by size of defect</h2>{found}</section>"


def _shown(shown: Sequence[Shown], pictures: Sequence[bytes], labels: Sequence[Label]) -> str:
    if not shown:
        return ""
    groups = []
    for why, heading in _REASONS.items():
        cards = "".join(_card(one, data) for one, data in zip(shown, pictures, strict=True) if one.why == why)
        if cards:
            groups.append(f'<h3>{heading}</h3><div class="cards">{cards}</div>')
    found = "".join(f"{swatch(label.color)}{escape(label.name)} " for label in labels)
    key = f'<p class="key"><span class="outline"></span>marked by people &ensp; found by the model: {found}</p>'
    return f"<section><h2>Images worth a look</h2>{key if labels else ''}{''.join(groups)}</section>"


def _card(one: Shown, data: bytes) -> str:
    source = base64.b64encode(data).decode()
    truth, said = ("anomalous" if flag else "normal" for flag in (one.anomalous, one.judged_anomalous))
    overlap = "" if one.iou is None else f", IoU {number(one.iou)}"
    return (
        f'<figure class="card"><img src="data:image/jpeg;base64,{source}" alt="">'
        f"<figcaption>{truth}, judged <b>{said}</b><br>score {one.score:.4f}, confidence {one.confidence:.3f}{overlap}"
        f'<br><span class="uri">{escape(one.uri)}</span></figcaption></figure>'
    )


def _cell(count: int, right: bool) -> str:
    css = "right" if right else "wrong" if count else ""
    return f'<span class="count {css}">{count}</span>'
