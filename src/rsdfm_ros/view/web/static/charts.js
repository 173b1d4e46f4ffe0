// Figures of every UAV over time.

import { fitted } from 'rsdfm/canvas';

const LEFT = 44, BOTTOM = 18, TOP = 8, RIGHT = 8;
const POINTS = 1500; // per line: more would not be seen

export class Chart {
  // series: [index in a row's figures, width of the line]
  constructor(canvas, title, name, series, format, top = null) {
    Object.assign(this, { canvas, title, name, series, format, top });
  }

  draw(mission) {
    const { context: c, width, height } = fitted(this.canvas);
    c.clearRect(0, 0, width, height);
    const step = Math.max(1, Math.ceil(mission.numbers.length / POINTS));
    const numbers = mission.numbers.filter((n, k) => k % step === 0 || n === mission.shown);
    const rows = numbers.map((n) => mission.rows.get(n)).filter(Boolean);
    if (rows.length < 2) return;
    const t0 = rows[0].t, t1 = Math.max(rows.at(-1).t, t0 + 1e-6);
    let high = this.top ?? 0;
    if (this.top === null) {
      for (const row of rows) for (const f of Object.values(row.figures)) for (const [k] of this.series) high = Math.max(high, f[k] ?? 0);
    }
    high = high || 1;
    const place = (t, v) => [LEFT + (t - t0) / (t1 - t0) * (width - LEFT - RIGHT), height - BOTTOM - v / high * (height - BOTTOM - TOP)];
    this.axes(c, width, height, t1 - t0, high, place, t0);
    for (const { name, colour } of mission.about.agents) {
      for (const [k, line] of this.series) {
        c.strokeStyle = colour;
        c.lineWidth = line;
        c.beginPath();
        let pen = false;
        for (const row of rows) {
          const v = row.figures[name]?.[k];
          if (v === null || v === undefined) {
            pen = false; // a gap where it did not answer
            continue;
          }
          const p = place(row.t, v);
          if (pen) c.lineTo(...p);
          else c.moveTo(...p);
          pen = true;
        }
        c.stroke();
      }
    }
    this.cursor(c, mission, place, high);
  }

  axes(c, width, height, span, high, place, t0) {
    c.font = '11px system-ui, sans-serif';
    c.fillStyle = '#98a4b4';
    c.strokeStyle = '#262d37';
    c.lineWidth = 1;
    for (const f of [0, 0.5, 1]) {
      const [, v] = place(t0, f * high);
      c.beginPath();
      c.moveTo(LEFT, v);
      c.lineTo(width - RIGHT, v);
      c.stroke();
      c.textAlign = 'right';
      c.fillText(this.format(f * high), LEFT - 5, v + 4);
    }
    c.textAlign = 'left';
    c.fillText('0 s', LEFT, height - 4);
    c.textAlign = 'right';
    c.fillText(`${span.toFixed(0)} s`, width - RIGHT, height - 4);
    c.textAlign = 'start';
  }

  cursor(c, mission, place, high) {
    const row = mission.rows.get(mission.shown);
    if (!row) return;
    c.strokeStyle = '#ffffff60';
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(...place(row.t, 0));
    c.lineTo(...place(row.t, high));
    c.stroke();
    const parts = mission.about.agents.map(({ name }) => {
      const figures = row.figures[name];
      const values = this.series.map(([k]) => figures?.[k]).filter((v) => v !== null && v !== undefined);
      return values.length ? `${name} ${values.reverse().map(this.format).join(' → ')}` : '';
    });
    const said = parts.filter(Boolean).join(' · ');
    this.title.textContent = said ? `${this.name}: ${said}` : this.name;
  }
}
