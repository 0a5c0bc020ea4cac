//! The style of the page: one sheet for light, dark and paper, minified by hand.

/// Blue against orange and red tells what is well from what is not for every kind of colour
/// blindness; words say it too.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#f4f6f8;--card:#fff;--ink:#17202a;--dim:#566472;--line:#d9e0e6;\
--good:#0f5a86;--goodbg:#e2eff8;--warn:#7a4d00;--warnbg:#fdf0d5;--bad:#9c1f2e;--badbg:#fce6e8;--f:#a9d3c5;--fi:#123a2e}\
@media(prefers-color-scheme:dark){:root{--bg:#11161b;--card:#1a2128;--ink:#e7ecf0;--dim:#9aa8b5;--line:#2e3943;\
--good:#8cc7ee;--goodbg:#17293a;--warn:#f2c572;--warnbg:#33280f;--bad:#ff9ea5;--badbg:#3a191e;--f:#1d4438;--fi:#bfe6d8}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;overflow-wrap:anywhere}\
main{max-width:70rem;margin:0 auto;padding:1rem}\
h1{font-size:2rem;line-height:1.15;margin:0 0 .25rem;letter-spacing:-.01em}\
h2{font-size:1.15rem;margin:2.25rem 0 .75rem}h3{font-size:1rem;margin:0}h4{font-size:.8rem;margin:.75rem 0 .15rem;color:var(--dim);font-weight:600}\
p{margin:.25rem 0}ul{margin:0;padding:0;list-style:none}.m{color:var(--dim);font-size:.86rem}\
b,td,.n{font-variant-numeric:tabular-nums}\
.top{border-radius:.75rem;padding:1.25rem 1.4rem;background:var(--goodbg);border-left:.5rem solid var(--good)}.top h1{color:var(--good)}\
.top.warn{background:var(--warnbg);border-color:var(--warn)}.top.warn h1{color:var(--warn)}.top.bad{background:var(--badbg);border-color:var(--bad)}.top.bad h1{color:var(--bad)}\
.tiles,.cams{display:grid;gap:.75rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr))}\
.tiles{grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));margin-top:.75rem}\
.c{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}\
.tiles b{display:block;font-size:1.6rem;line-height:1.2}\
.hand li{background:var(--warnbg);border-left:.3rem solid var(--warn);border-radius:.35rem;padding:.45rem .8rem;margin:.4rem 0}.hand .bad{background:var(--badbg);border-color:var(--bad)}\
.net{display:grid;grid-template-columns:8rem 1fr}.rt{align-self:center;text-align:center;font-weight:600;background:var(--ink);color:var(--bg);border-radius:.6rem;padding:1.2rem .5rem}\
.zs>li{display:grid;grid-template-columns:11rem 1fr;align-items:center;border-left:3px solid var(--dim);padding:.4rem 0}.zs{margin:.75rem 0}\
.zs>li:first-child{border-image:linear-gradient(transparent 50%,var(--dim) 50%) 1}.zs>li:last-child{border-image:linear-gradient(var(--dim) 50%,transparent 50%) 1}.zs>li:only-child{border-color:transparent;border-image:none}\
.wire{border-bottom:3px solid var(--good);padding:0 .6rem .1rem;font-size:.86rem;transform:translateY(calc(2px - 50%))}.off .wire{border-bottom:3px dashed var(--bad);color:var(--bad)}.net{margin-left:0}\
.zs .c{display:block}.chips{display:flex;flex-wrap:wrap;gap:.35rem;margin-top:.4rem}.chips li{border:1px solid var(--good);border-radius:1rem;padding:.05rem .65rem;font-size:.86rem}\
.chips .silent,.chips .never{border-color:var(--warn);border-style:dashed;color:var(--warn)}.chips .other{border-color:var(--line);color:var(--dim)}.chips .bad{border-color:var(--bad);color:var(--bad);border-style:solid}\
.cams .c{border-top:.25rem solid var(--good)}.cams .silent,.cams .never{border-top-color:var(--warn)}.cams .bad{border-top-color:var(--bad)}\
.rows li{display:flex;justify-content:space-between;gap:.75rem;border-top:1px solid var(--line);padding:.2rem 0;font-size:.9rem}.rows .n{white-space:nowrap;text-align:right}.is{float:right;font-size:.86rem;color:var(--dim)}.silent .is,.never .is{color:var(--warn)}p.bad{color:var(--bad)}\
.wide{overflow-x:auto}table{border-collapse:collapse;background:var(--card);font-size:.86rem}td,th{border:1px solid var(--line);padding:.3rem .55rem;text-align:left;vertical-align:top;overflow-wrap:normal}\
th{font-weight:600}tr>th:first-child{position:sticky;left:0;background:var(--card)}.y{background:var(--goodbg)}.r{background:var(--warnbg)}.f{background:var(--f);color:var(--fi)}.w,.x{color:var(--dim)}td span{display:inline-block;white-space:nowrap;margin-right:.35em}\
dl{font-size:.86rem;color:var(--dim);margin:.5rem 0}dt{float:left;clear:left;min-width:3.5rem;font-weight:600;margin-right:.5rem}dd{margin:0 0 0 4rem}\
.c.wide{direction:rtl}.chart{direction:ltr;width:100%;min-width:34rem;max-width:56rem;height:auto;display:block;margin:0 auto}.chart text{font-size:11px;fill:var(--dim)}.chart .v{fill:var(--ink)}.chart rect{fill:#c8862a}.chart line{stroke:var(--line)}\
details{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.6rem 1rem;margin:.5rem 0}summary{cursor:pointer;font-weight:600}\
.ok::before{content:'\\2713\\a0';color:var(--good)}.no::before{content:'\\2717\\a0';color:var(--bad)}details li{padding:.15rem 0;font-size:.9rem}\
pre{margin:.5rem 0 0;overflow-x:auto;font:.8rem/1.5 ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;counter-reset:l}pre span{display:block;white-space:pre}pre span::before{counter-increment:l;content:counter(l);display:inline-block;width:2.5rem;margin-right:1rem;text-align:right;color:var(--dim)}\
footer{margin:2.5rem 0 1rem}\
@media(max-width:40rem){body{font-size:15px}h1{font-size:1.6rem}main{padding:.75rem}.net{display:block}.rt{padding:.5rem}.zs{margin:0 0 0 1rem}.zs>li{display:block;padding:.6rem 0 .2rem}\
.zs>li:first-child{border-image:none}.zs>li:last-child,.zs>li:only-child{border-color:var(--dim);border-image:none}.wire{transform:none}.zs .c{margin:.35rem 0 0 .6rem}.tiles{grid-template-columns:1fr 1fr}\
thead,td.n,td.w{display:none}table,tbody,tr,td,tr>th:first-child{display:block;position:static;border:0}tr{border:1px solid var(--line)}td::before{content:attr(data-to)': ';color:var(--dim)}}\
@media print{:root{color-scheme:light;--bg:#fff;--card:#fff;--ink:#000;--dim:#444;--line:#bbb;--good:#0f5a86;--goodbg:#e2eff8;--warn:#7a4d00;--warnbg:#fdf0d5;--bad:#9c1f2e;--badbg:#fce6e8;--f:#a9d3c5;--fi:#123a2e}\
body{font-size:10pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}main{max-width:none;padding:0}.wide,pre{overflow:visible}\
.c,li,tr,dd,pre span,header,details,table,.net{break-inside:avoid}h2,h3,h4,thead,summary{break-after:avoid}footer,.m+.wide{break-before:avoid}\
.file{break-inside:auto;-webkit-box-decoration-break:clone;box-decoration-break:clone}pre span{white-space:pre-wrap}\
.chips{gap:.2rem}.chips li{font-size:.75rem;padding:0 .45rem}td,th{overflow-wrap:anywhere}td span{white-space:normal}tr>th:first-child{position:static}\
.many{break-inside:auto}.many thead,.many td.n,.many td.w{display:none}.many,.many tbody,.many tr,.many td,.many tr>th:first-child{display:block;border:0}.many tr{border:1px solid var(--line)}.many td::before{content:attr(data-to)': ';color:var(--dim)}}";
