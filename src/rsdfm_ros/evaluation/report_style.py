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
.from { color: var(--muted); font-weight: 400; }
img, video { width: 100%; height: auto; border-radius: 8px; display: block; background: #12161c; }
figure { margin: 0 0 20px; } figcaption, .note { color: var(--muted); font-size: 14px; margin: 6px 0 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 20px; }
.plot { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px;
  margin: 0; }
.plot svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; background: var(--card); font-size: 15px; }
th, td { text-align: right; padding: 7px 10px; border: 1px solid var(--line);
  font-variant-numeric: tabular-nums; font-weight: 400; }
thead th { color: var(--muted); font-size: 13px; vertical-align: bottom; }
th:first-child, th.about { text-align: left; }
tbody th { white-space: nowrap; font-weight: 600; }
.about { text-align: left; color: var(--muted); font-size: 14px; }
.good { color: var(--good); } .bad { color: var(--bad); }
details { margin-top: 10px; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px;
  overflow-x: auto; font-size: 13px; }
"""
