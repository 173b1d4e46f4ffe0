"""The look of report.html: neutral, light or dark as the reader's system is."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1a212b; --paper: #f7f8fa; --card: #fff; --line: #dde2e9;
  --muted: #5c6878; --good: #0b7d61; --bad: #b42332; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #12161c; --card: #1b212a;
  --line: #313a47; --muted: #98a4b4; --good: #4fd0ab; --bad: #ff7d88; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 30px; margin: 0 0 8px; }
h2 { font-size: 21px; margin: 44px 0 8px; }
h3 { font-size: 14px; font-weight: 500; color: var(--muted); margin: 0; }
.lead { font-size: 17px; max-width: 75ch; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 14px;
  margin: 24px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 18px; }
.card p { font-size: 29px; font-weight: 650; margin: 2px 0 0; }
.card small { color: var(--muted); font-size: 14px; }
h4 { font-size: 16px; margin: 0 0 8px; } h4 small { color: var(--muted); font-weight: 400; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px 14px; margin: 0; }
.facts dt { color: var(--muted); font-size: 13px; } .facts dd { margin: 0; font-size: 15px;
  overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; list-style: none; margin: 10px 0; padding: 0;
  font-size: 14px; }
.legend span { display: inline-block; width: 13px; height: 13px; border-radius: 3px; margin-right: 6px;
  vertical-align: -1px; border: 1px solid var(--line); }
.uavs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 16px;
  margin: 10px 0 14px; }
.uav { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px; }
.maps { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; margin-top: 10px; }
.maps figure { margin: 0; }
.maps figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 8px;
  color: var(--ink); margin: 0 0 4px; }
.from { color: var(--muted); font-weight: 400; }
img, video { width: 100%; height: auto; border-radius: 8px; display: block; background: #12161c; }
figure { margin: 0 0 20px; } figcaption, .note { color: var(--muted); font-size: 14px; margin: 6px 0 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 20px; }
.plot { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px;
  margin: 0; }
.plot svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; background: var(--card); font-size: 15px; }
th, td { text-align: right; padding: 7px 10px; border: 1px solid var(--line);
  font-variant-numeric: tabular-nums; font-weight: 400; }
td { white-space: nowrap; } td.about, .origin td { white-space: normal; }
thead th { color: var(--muted); font-size: 13px; vertical-align: bottom; }
th:first-child, th.about { text-align: left; min-width: 230px; }
tbody th { white-space: nowrap; font-weight: 600; }
.about { text-align: left; color: var(--muted); font-size: 14px; }
.good { color: var(--good); } .bad { color: var(--bad); }
table.origin td { text-align: left; overflow-wrap: anywhere; }
table.origin th { white-space: normal; min-width: 100px; }
.next { padding-left: 20px; } .next pre { margin: 4px 0 10px; }
details { margin-top: 10px; } summary { cursor: pointer; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px;
  overflow-x: auto; font-size: 13px; }
"""
