"""The report as one HTML file: it needs nothing else, runs nothing, and prints.

Names and addresses come from customers; every text passes ``escape``. The page forbids itself all but its own style and
pictures.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from vigia_training.app import report_charts as charts
from vigia_training.app.report_pictures import Mask, picture
from vigia_training.domain.dataset import Entry
from vigia_training.domain.intervals import Estimate, Rate
from vigia_training.domain.report import Evaluated, LabelFigures, Report, Shown, Why, report, worth_a_look
from vigia_training.domain.suspicions import DataWarning
from vigia_vision.manifest import Label

#: Of one test image: its bytes, and where known the label indices of truth and answer, ``[H, W]``.
Show = Callable[[Entry], tuple[bytes, Mask | None, Mask | None]]

_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_REASONS: Final[dict[Why, str]] = {
    "miss": "Misses: anomalous parts that were accepted, the clearest first",
    "false reject": "False rejects: normal parts that were rejected, the clearest first",
    "lowest overlap": "Found, but marked most differently",
    "closest call": "Right, but closest to the threshold",
}


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The report for people and for programs."""

    html: bytes
    json: bytes


def report_files(given: Evaluated, show: Show, labels: Sequence[Label]) -> ReportFiles:
    """The report of a version. ``show`` is called for the few images that are shown, one after the other."""
    numbers = report(given)
    colors = [label.color for label in labels]
    pictures = [picture(*show(judged.entry), colors) for judged, _ in worth_a_look(given.results)]
    return ReportFiles(page(numbers, pictures, labels), numbers.to_json())


def page(numbers: Report, pictures: Sequence[bytes], labels: Sequence[Label]) -> bytes:
    """The HTML file. ``pictures``: JPEGs of ``numbers.shown``, in that order."""
    title = f"{numbers.project}, version {numbers.model_version}: evaluation"
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
        _head(numbers),
        _warnings(numbers.warnings),
        _errors(numbers),
        _threshold(numbers),
        _ranking(numbers),
        _labels(numbers.labels, labels),
        _sizes(numbers),
        _shown(numbers.shown, pictures, labels),
        _provenance(numbers),
        "</main></body></html>\n",
    ]
    return "".join(parts).encode("utf-8", "replace")


def _head(numbers: Report) -> str:
    image = numbers.image
    counts = image.confusion
    normal, anomalous = image.false_reject_rate.total, image.miss_rate.total
    tiles = [
        ("False rejects", _percent(image.false_reject_rate.value), _span(image.false_reject_rate),
         f"{counts.normal_rejected} of {normal} normal images"),
        ("Misses", _percent(image.miss_rate.value), _span(image.miss_rate),
         f"{counts.anomalous_missed} of {anomalous} anomalous images"),
        ("F1", _number(image.f1.value), _span(image.f1), "at the threshold"),
    ]  # fmt: skip
    if image.roc_auc is not None:
        tiles.append(("AUROC", _number(image.roc_auc.value), _span(image.roc_auc), "at any threshold"))
    cells = "".join(
        f'<div class="tile"><h3>{name}</h3><p class="big">{value}</p><p>{span}</p><p class="quiet">{what}</p></div>'
        for name, value, span, what in tiles
    )
    return (
        f"<header><h1>{escape(numbers.project)} <small>version {escape(numbers.model_version)}</small></h1>"
        f"<p>Learnt from {numbers.training_images} images, judged on {numbers.test_images} others, "
        f"{normal} normal and {anomalous} anomalous, on {escape(numbers.evaluated_at[:16].replace('T', ' '))} UTC. "
        f"An image is anomalous from a score of {_threshold_text(numbers.threshold)} on.</p>"
        '<p class="quiet">Ranges are 95 % intervals: where the truth may lie, as so few images were measured. '
        "They count every image as one part; where several show the same part, the truth is less certain. "
        "They hold for parts like those tested, and for nothing else.</p></header>"
        f'<section class="tiles">{cells}</section>'
    )


def _warnings(warnings: Sequence[DataWarning]) -> str:
    if not warnings:
        return "<section><h2>Data</h2><p>Nothing was found that makes these figures doubtful.</p></section>"
    items = []
    for warning in warnings:
        names = "".join(f"<li>{escape(uri)}</li>" for uri in warning.images)
        more = warning.count - len(warning.images)
        rest = f"<li>and {more} more</li>" if warning.images and more else ""
        listed = f"<details><summary>images: {warning.count}</summary><ul>{names}{rest}</ul></details>" if names else ""
        items.append(f'<li class="warning {warning.kind}">{escape(warning.message)}{listed}</li>')
    return f'<section><h2>Data: before you trust the figures</h2><ul class="warnings">{"".join(items)}</ul></section>'


def _errors(numbers: Report) -> str:
    image, counts = numbers.image, numbers.image.confusion
    confusion = _table(
        ("", "accepted as normal", "rejected as anomalous"),
        [
            ("normal", _cell(counts.normal_accepted, True), _cell(counts.normal_rejected, False)),
            ("anomalous", _cell(counts.anomalous_missed, False), _cell(counts.anomalous_found, True)),
        ],
        "confusion",
    )
    figures: list[tuple[str, str, str, str]] = [
        ("False-reject rate", _percent(image.false_reject_rate.value), _span(image.false_reject_rate),
         "of normal images, those rejected"),
        ("Miss rate", _percent(image.miss_rate.value), _span(image.miss_rate), "of anomalous images, those accepted"),
        ("Precision", _number(image.precision.value), _span(image.precision), "of rejected images, those anomalous"),
        ("Recall", _number(image.recall.value), _span(image.recall), "of anomalous images, those rejected"),
        ("F1", _number(image.f1.value), _span(image.f1), "precision and recall in one"),
    ]  # fmt: skip
    table = _table(("figure", "value", "95 % interval", "meaning"), figures)
    return f'<section><h2>At the threshold</h2><div class="two">{confusion}{table}</div></section>'


def _threshold(numbers: Report) -> str:
    rows = []
    for row in numbers.trade_off:
        note = " · ".join(text for text, here in (("this version", row.current), ("none is better", row.best)) if here)
        rows.append(
            (_threshold_text(row.threshold), _count(row.false_rejects), _span(row.false_rejects),
             _count(row.misses), _span(row.misses), note)
        )  # fmt: skip
    marks = ["current" if row.current else "best" if row.best else "" for row in numbers.trade_off]
    table = _table(("threshold", "false rejects", "95 % interval", "misses", "95 % interval", ""), rows, "wide", marks)
    key = (
        '<p class="key"><span class="swatch normal"></span>normal, false rejects '
        '<span class="swatch anomalous"></span>anomalous, misses <span class="swatch threshold"></span>threshold</p>'
    )
    return (
        "<section><h2>Other thresholds: false rejects against misses</h2>"
        "<p>What these test images say a different threshold would have done. <em>None is better</em>: no threshold "
        "has fewer errors of one kind without more of the other. A threshold picked here because it looks best on "
        "these images will do a little worse on the next.</p>"
        f'<div class="charts"><figure>{charts.histogram(numbers.scores, numbers.threshold)}</figure>'
        f"<figure>{charts.trade_off(numbers.curves.errors, numbers.threshold)}</figure></div>{key}{table}</section>"
    )


def _ranking(numbers: Report) -> str:
    image = numbers.image
    figures = []
    if image.roc_auc is not None and image.average_precision is not None:
        here = (image.false_reject_rate.value or 0.0, image.recall.value or 0.0)
        roc = charts.curve(numbers.curves.roc, here, "false-reject rate", "recall", "ROC curve")
        figures.append(_figure(roc, "ROC", f"AUROC {_number(image.roc_auc.value)} ({_span(image.roc_auc)})"))
        at = (image.recall.value or 0.0, 1.0 if image.precision.value is None else image.precision.value)
        pr = charts.curve(numbers.curves.precision_recall, at, "recall", "precision", "Precision-recall curve")
        average = image.average_precision
        figures.append(
            _figure(pr, "Precision and recall", f"average precision {_number(average.value)} ({_span(average)})")
        )
    figures.append(
        _figure(
            charts.reliability(numbers.reliability),
            "Is confidence what it says?",
            f"mean distance from the diagonal {_number(numbers.calibration_error)}",
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
            f"{_swatch(colors.get(one.name, '#888888'))}{escape(one.name)}",
            str(one.test_images),
            *(f"{_number(e.value)}<br><small>{_span(e)}</small>" for e in (one.precision, one.recall, one.f1, one.iou)),
        )
        for one in figures
    ]
    table = _table(("label", "test images", "precision", "recall", "F1", "mean IoU"), rows, "wide")
    return (
        "<section><h2>Labels, pixel by pixel</h2>"
        "<p>Intervals by resampling images; labels in fewer than five test images have none.</p>"
        f"{table}</section>"
    )


def _sizes(numbers: Report) -> str:
    if not numbers.sizes:
        return ""
    rows = [
        (f"{_share(one.above)} to {_share(one.up_to)}", _count(one.found), _percent(one.found.value), _span(one.found))
        for one in numbers.sizes
    ]
    table = _table(("marked share of the image", "found", "recall", "95 % interval"), rows)
    return f"<section><h2>Found by size of defect</h2>{table}</section>"


def _shown(shown: Sequence[Shown], pictures: Sequence[bytes], labels: Sequence[Label]) -> str:
    if not shown:
        return ""
    groups = []
    for why, heading in _REASONS.items():
        cards = "".join(_card(one, data) for one, data in zip(shown, pictures, strict=True) if one.why == why)
        if cards:
            groups.append(f'<h3>{heading}</h3><div class="cards">{cards}</div>')
    found = "".join(f"{_swatch(label.color)}{escape(label.name)} " for label in labels)
    key = f'<p class="key"><span class="outline"></span>marked by people &ensp; found by the model: {found}</p>'
    return f"<section><h2>Images worth a look</h2>{key if labels else ''}{''.join(groups)}</section>"


def _card(one: Shown, data: bytes) -> str:
    source = base64.b64encode(data).decode()
    truth, said = ("anomalous" if flag else "normal" for flag in (one.anomalous, one.judged_anomalous))
    overlap = "" if one.iou is None else f", IoU {_number(one.iou)}"
    return (
        f'<figure class="card"><img src="data:image/jpeg;base64,{source}" alt="">'
        f"<figcaption>{truth}, judged <b>{said}</b><br>score {one.score:.4f}, confidence {one.confidence:.3f}{overlap}"
        f'<br><span class="uri">{escape(one.uri)}</span></figcaption></figure>'
    )


def _provenance(numbers: Report) -> str:
    rows = [(escape(key), f'<span class="uri">{escape(value)}</span>') for key, value in numbers.provenance.items()]
    return f"<section><h2>Where it comes from</h2>{_table(('', ''), rows, 'plain')}</section>"


def _figure(chart: str, name: str, text: str) -> str:
    return f"<figure><figcaption><b>{name}</b><br>{text}</figcaption>{chart}</figure>"


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], css: str = "", marks: Sequence[str] | None = None
) -> str:
    """Cells are HTML already; the first of each row is its heading."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = []
    for number, (first, *rest) in enumerate(rows):
        mark = f' class="{marks[number]}"' if marks and marks[number] else ""
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        body.append(f'<tr{mark}><th scope="row">{first}</th>{cells}</tr>')
    above = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    return f'<div class="scroll"><table class="{css}">{above}<tbody>{"".join(body)}</tbody></table></div>'


def _cell(count: int, right: bool) -> str:
    css = "right" if right else "wrong" if count else ""
    return f'<span class="count {css}">{count}</span>'


def _swatch(color: str) -> str:
    return f'<span class="swatch" style="background:{escape(color)}"></span>'


def _count(rate: Rate) -> str:
    return f"{rate.count} of {rate.total}"


def _span(found: Estimate | Rate) -> str:
    """The interval, as percentages for rates."""
    if found.low is None or found.high is None:
        return "too few images"
    if isinstance(found, Rate) and not found.total:
        return "unknown"
    return f"{found.low:.1%} to {found.high:.1%}" if isinstance(found, Rate) else f"{found.low:.3f} to {found.high:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _share(value: float) -> str:
    return f"{100 * value:g} %"


def _threshold_text(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


_STYLE = """
:root{color-scheme:light dark;--ground:#fff;--panel:#f5f6f8;--text:#1a1d21;--quiet:#5b636e;--line:#d9dde3;
--normal:#2b6cb0;--anomalous:#c2570c;--good:#1c7c4a;--bad:#b3261e;--note:#fff4dc;--mark:#e8eefc}
@media (prefers-color-scheme:dark){:root{--ground:#15181c;--panel:#1e2329;--text:#e6e9ed;--quiet:#9aa4b0;
--line:#343b44;--normal:#6cabf0;--anomalous:#f2935a;--good:#5cc48b;--bad:#f28b82;--note:#3a2f16;--mark:#24304a}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:28px;margin:0 0 6px;overflow-wrap:anywhere}h1 small{font-weight:400;color:var(--quiet)}
h2{font-size:19px;margin:38px 0 10px;border-bottom:1px solid var(--line);padding-bottom:5px}
h3{font-size:15px;margin:20px 0 8px}p{margin:6px 0;max-width:80ch}
.quiet,small,figcaption{color:var(--quiet)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin-top:18px}
.tile{background:var(--panel);border-radius:8px;padding:12px 16px}.tile h3{margin:0;font-weight:500;color:var(--quiet)}
.tile p{margin:0}.big{font-size:30px;font-weight:600}
.warnings{list-style:none;padding:0}.warning{background:var(--note);border-left:4px solid var(--anomalous);
padding:8px 14px;margin:8px 0;border-radius:0 6px 6px 0}.warning ul{font-size:13px;overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--quiet)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}table.wide{width:100%}
th,td{text-align:left;padding:5px 14px 5px 8px;border-bottom:1px solid var(--line);vertical-align:top}
thead th{font-weight:500;color:var(--quiet);font-size:13px}tbody th{font-weight:500}
tr.current{background:var(--mark);font-weight:600}tr.best th{color:var(--good)}
.two{display:flex;flex-wrap:wrap;gap:32px;align-items:flex-start}
.confusion td{text-align:center;padding:10px 24px}.count{font-size:22px;font-weight:600}
.count.right{color:var(--good)}.count.wrong{color:var(--bad)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:20px;margin:12px 0}
figure{margin:0}figcaption b{color:var(--text)}
svg{width:100%;max-width:480px;height:auto;display:block}svg text{font-size:11px;fill:var(--quiet)}
svg .axis{fill:var(--text)}.grid{stroke:var(--line)}.guide{stroke:var(--quiet);stroke-dasharray:4 4}
.line{fill:none;stroke:var(--normal);stroke-width:2}.normal-line{stroke:var(--normal)}
.anomalous-line{stroke:var(--anomalous)}
rect.normal{fill:var(--normal)}rect.anomalous{fill:var(--anomalous)}.mark{fill:var(--bad)}.point{fill:var(--normal)}
line.threshold{stroke:var(--text);stroke-width:1.5;stroke-dasharray:5 3}.whisker{stroke:var(--quiet);stroke-width:1.5}
.key{font-size:13px;color:var(--quiet)}.swatch{display:inline-block;width:12px;height:12px;border-radius:3px;
margin:0 6px 0 8px;vertical-align:-1px;border:1px solid var(--line)}
.swatch.normal{background:var(--normal)}.swatch.anomalous{background:var(--anomalous)}
.swatch.threshold{background:var(--text);width:3px}
.outline{display:inline-block;width:14px;height:12px;border:2px solid #fff;outline:1px solid #000;margin:0 8px 0 2px;
vertical-align:-1px;background:#888}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:14px}
.card{background:var(--panel);border-radius:8px;overflow:hidden;font-size:13px}.card img{width:100%;display:block}
.card figcaption{padding:8px 12px}.uri{overflow-wrap:anywhere;font-size:12px}
@media print{:root{color-scheme:light;--ground:#fff;--panel:#f5f6f8;--text:#1a1d21;--quiet:#5b636e;--line:#d9dde3;
--normal:#2b6cb0;--anomalous:#c2570c;--good:#1c7c4a;--bad:#b3261e;--note:#fff4dc;--mark:#e8eefc}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
main{max-width:none;padding:0}tr,figure,.tile,.warning{break-inside:avoid}h2,h3{break-after:avoid}}
"""
