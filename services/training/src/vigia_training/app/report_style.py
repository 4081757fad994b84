"""How reports look: in light and dark, narrow and wide, and on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ground:#fff;--panel:#f5f6f8;--text:#1a1d21;--quiet:#5b636e;--line:#d9dde3;
--normal:#2b6cb0;--anomalous:#c2570c;--third:#3d6b35;--good:#1c7c4a;--bad:#b3261e;--note:#fff4dc;--mark:#e8eefc}
@media (prefers-color-scheme:dark){:root{--ground:#15181c;--panel:#1e2329;--text:#e6e9ed;--quiet:#9aa4b0;
--line:#343b44;--normal:#6cabf0;--anomalous:#f2935a;--third:#a3cf98;--good:#5cc48b;--bad:#f28b82;--note:#3a2f16;--mark:#24304a}}
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
.line{fill:none;stroke:var(--normal);stroke-width:2}.stroke2{stroke:var(--anomalous);stroke-dasharray:7 3}
.stroke3{stroke:var(--third);stroke-dasharray:2 3}svg text.few{font-size:10px}
svg.stroke{display:inline-block;width:34px;height:10px;margin:0 6px 0 4px;vertical-align:0}
.entry{white-space:nowrap;margin-right:14px}
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
.matrix{font-size:13px}.matrix td{text-align:center;min-width:44px;padding:6px 8px;border:1px solid var(--line)}
.matrix th{font-size:12px;padding:5px 6px}
.cell{display:inline-block;min-width:76px;max-width:140px;overflow-wrap:anywhere}
.matrix td.right{background:color-mix(in srgb,var(--good) var(--part),transparent);font-weight:600}
.matrix td.wrong{background:color-mix(in srgb,var(--bad) var(--part),transparent)}
.label{overflow-wrap:anywhere}table .label{display:inline-block;min-width:100px;max-width:240px}
.picture{position:relative}.picture svg{position:absolute;inset:0;width:100%;height:100%;max-width:none}
.card .picture svg text{font-size:10px;font-weight:600;fill:#fff;stroke:#000;stroke-width:3px;paint-order:stroke;
stroke-linejoin:round}
.box{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
.case{fill:none;stroke:#000;stroke-opacity:.65;stroke-width:4;vector-effect:non-scaling-stroke}
.box.right{stroke:#5ee08f}.box.false{stroke:#ff8f6b;stroke-dasharray:7 4}.box.missed{stroke:#fff;stroke-dasharray:2 3}
.box.confused{stroke:#ffd447;stroke-dasharray:9 3 2 3}
svg.stroke.boxed{width:30px;height:16px;vertical-align:-4px}.cards.large{grid-template-columns:repeat(auto-fill,minmax(300px,1fr))}
.marks{list-style:none;margin:2px 0;padding:0;overflow-wrap:anywhere}.marks b{display:inline-block;width:1.3em}
td small,.count{white-space:nowrap}.beside{display:flex;flex-wrap:wrap;gap:20px}.beside figure{flex:1 1 300px}
.beside th,.beside td{padding:5px 10px 5px 6px}
.each{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr));gap:4px 28px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:14px;font-size:13px}
.pair svg text{font-size:14px}
@media print{:root{color-scheme:light;--ground:#fff;--panel:#f5f6f8;--text:#1a1d21;--quiet:#5b636e;--line:#d9dde3;
--normal:#2b6cb0;--anomalous:#c2570c;--third:#3d6b35;--good:#1c7c4a;--bad:#b3261e;--note:#fff4dc;--mark:#e8eefc}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
main{max-width:none;padding:0}tr,figure,.tile,.warning{break-inside:avoid}h2,h3{break-after:avoid}}
"""
