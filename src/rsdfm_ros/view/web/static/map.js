// The map of one UAV: cells of the chosen layer, and over them boxes, paths, fields of view.

import { CLASS, X, Y, cellsOf, corners2, footprint, inside, valuesOf } from 'rsdfm/geometry';
import { fitted } from 'rsdfm/canvas';

const MARGIN_M = 0.8; // around a box, for pointing at it

export class MapView {
  constructor(canvas, agent) {
    this.canvas = canvas;
    this.agent = agent;
  }

  // Metres of a point of the canvas (CSS pixels).
  metres(u, v, mission) {
    const [x0, y0, x1, y1] = bounds(mission);
    return [x0 + u / this.canvas.clientWidth * (x1 - x0), y1 - v / this.canvas.clientHeight * (y1 - y0)];
  }

  // The box under a point: {box, variant}; variant 'truth' for a true one. null if there is none.
  at(u, v, mission, layers) {
    const instant = mission.instant;
    if (!instant || !mission.about.window) return null;
    const [x, y] = this.metres(u, v, mission), variant = layers.variant;
    const boxes = layers.boxes ? instant.content.uavs[this.agent]?.[variant]?.boxes ?? [] : [];
    let box = boxes.find((b) => inside(b, x, y, MARGIN_M));
    if (box) return { box, variant };
    box = (instant.content.truth?.boxes ?? []).find((b) => inside(b, x, y, MARGIN_M));
    return box ? { box, variant: 'truth' } : null;
  }

  draw(mission, layers, pointed) {
    const { context: c, width, height } = fitted(this.canvas);
    c.clearRect(0, 0, width, height);
    const instant = mission.instant;
    if (!mission.about.window) return this.say(c, width, height, 'no map yet');
    const [x0, y0, x1, y1] = bounds(mission), s = width / (x1 - x0);
    const place = ([x, y]) => [(x - x0) * s, (y1 - y) * s];
    const line = (points, closed) => {
      c.beginPath();
      points.forEach((p, k) => (k ? c.lineTo(...place(p)) : c.moveTo(...place(p))));
      if (closed) c.closePath();
    };
    if (layers.scene) {
      for (const [name, colour] of [['roads', '#2c333d'], ['buildings', '#424a58']]) {
        c.fillStyle = colour;
        for (const polygon of mission.about[name]) {
          line(polygon, true);
          c.fill();
        }
      }
    }
    if (!instant) return this.say(c, width, height, 'loading …');
    const entry = instant.content.uavs[this.agent];
    const image = this.cells(mission, instant, layers.map);
    if (image) {
      c.imageSmoothingEnabled = false;
      c.drawImage(image, 0, 0, width, height);
    } else if (layers.map !== 'truth') this.say(c, width, height, layers.map === 'who' || (layers.map === 'alone' && entry?.collaborative) ? 'not known here' : 'no answer');
    c.lineWidth = 1;
    if (layers.fields) {
      for (const { name, colour } of mission.about.agents) {
        for (const camera of Object.values(instant.content.uavs[name]?.cameras ?? {})) {
          c.strokeStyle = `${colour}70`;
          line(footprint(camera), true);
          c.stroke();
        }
      }
    }
    if (layers.truth) {
      c.strokeStyle = mission.about.truth_colour;
      for (const box of instant.content.truth?.boxes ?? []) {
        line(corners2(box), true);
        c.stroke();
      }
    }
    const answer = entry?.[layers.variant];
    if (layers.paths) {
      c.strokeStyle = '#f0e442';
      for (const track of answer?.tracks ?? []) {
        const points = [];
        for (let k = 1; k + 1 < track.length; k += 2) points.push([track[k], track[k + 1]]);
        if (Math.hypot(points.at(-1)[0] - points[0][0], points.at(-1)[1] - points[0][1]) < 1) continue;
        line(points, false);
        c.stroke();
      }
    }
    if (layers.boxes) {
      for (const box of answer?.boxes ?? []) {
        c.strokeStyle = box === pointed ? '#ffffff' : mission.about.classes[box[CLASS]]?.[1] ?? '#ffffff';
        c.lineWidth = box === pointed ? 2.5 : 1.2;
        const corners = corners2(box);
        line(corners, true);
        c.stroke();
        const front = [(corners[0][0] + corners[3][0]) / 2, (corners[0][1] + corners[3][1]) / 2];
        line([[box[X], box[Y]], front], false);
        c.stroke();
      }
    }
    this.uavs(c, mission, instant, place, width, height);
  }

  // UAVs as triangles, at the edge where they fly beyond it.
  uavs(c, mission, instant, place, width, height) {
    for (const { name, colour } of mission.about.agents) {
      const camera = Object.values(instant.content.uavs[name]?.cameras ?? {})[0];
      if (!camera) continue;
      const T = camera.T, [u, v] = place([T[3], T[7]]);
      const angle = Math.hypot(T[2], T[6]) > 1e-6 ? Math.atan2(T[6], T[2]) : 0;
      c.save();
      c.translate(Math.min(Math.max(u, 10), width - 22), Math.min(Math.max(v, 16), height - 10));
      c.fillStyle = colour;
      c.font = '11px system-ui, sans-serif';
      c.fillText(name.replace(/^uav/, ''), 8, -6);
      c.rotate(-angle);
      c.globalAlpha = name === this.agent ? 1 : 0.6;
      c.beginPath();
      c.moveTo(9, 0);
      c.lineTo(-6, 6);
      c.lineTo(-6, -6);
      c.fill();
      c.restore();
    }
  }

  // The cells of a layer as an image, made once per instant.
  cells(mission, instant, layer) {
    const key = `${this.agent} ${layer}`;
    if (!instant.drawn.has(key)) instant.drawn.set(key, this.paint(mission, instant, layer));
    return instant.drawn.get(key);
  }

  paint(mission, instant, layer) {
    const [, , ni, nj] = mission.about.window, colours = mission.about.colours, content = instant.content;
    const entry = content.uavs[this.agent] ?? {}, true_ = cellsOf(content.truth, ni * nj);
    if (layer === 'truth') return true_ && painted(ni, nj, (k) => (true_[k] ? colours.vehicle : null));
    if (layer === 'who') return this.paintWho(mission, content, entry, ni, nj);
    const answered = cellsOf(entry[layer === 'alone' ? 'single' : 'collaborative'], ni * nj);
    if (!answered) return null;
    if (!true_) return painted(ni, nj, (k) => (answered[k] ? colours.vehicle : null));
    return painted(ni, nj, (k) =>
      answered[k] ? (true_[k] ? colours.found : colours['false alarm']) : true_[k] ? colours.missed : null);
  }

  paintWho(mission, content, entry, ni, nj) {
    const several = mission.about.colours['several UAVs'];
    if (entry.contributors) {
      const names = [this.agent, ...(entry.facts?.peers ?? [])].map((n) => mission.colour(n));
      const values = valuesOf(entry.contributors), [ci, cj] = entry.contributors.shape;
      return painted(ci, cj, (k) => (values[k] ? names[values[k] - 1] ?? several : null));
    }
    const seen = mission.about.agents.map(({ name, colour }) =>
      [cellsOf({ cells: content.uavs[name]?.seen }, ni * nj), colour]).filter(([cells]) => cells);
    if (!seen.length) return null;
    return painted(ni, nj, (k) => {
      const by = seen.filter(([cells]) => cells[k]);
      return by.length > 1 ? several : by[0]?.[1] ?? null;
    });
  }

  say(c, width, height, text) {
    c.fillStyle = '#98a4b4';
    c.font = '14px system-ui, sans-serif';
    c.textAlign = 'center';
    c.fillText(text, width / 2, height / 2);
    c.textAlign = 'start';
  }
}

// Name of the UAV that weighs most at a place of a UAV's map; '' where that is not known.
export function contributorAt(mission, agent, x, y) {
  const entry = mission.instant?.content.uavs[agent], w = mission.about.window;
  if (!entry?.contributors || !w) return '';
  const [ci, cj] = entry.contributors.shape, [x0, y0, x1, y1] = bounds(mission);
  const i = Math.floor((x - x0) / (x1 - x0) * ci), j = Math.floor((y - y0) / (y1 - y0) * cj);
  if (i < 0 || j < 0 || i >= ci || j >= cj) return '';
  const value = valuesOf(entry.contributors)[i * cj + j];
  return value ? [agent, ...(entry.facts?.peers ?? [])][value - 1] ?? 'several UAVs' : '';
}

function bounds(mission) {
  const [i0, j0, ni, nj, cell] = mission.about.window;
  return [i0 * cell, j0 * cell, (i0 + ni) * cell, (j0 + nj) * cell];
}

// An image, north up, of cells (ni, nj) whose index is i * nj + j; colour(k): '#rrggbb' or null.
function painted(ni, nj, colour) {
  const canvas = new OffscreenCanvas(ni, nj), context = canvas.getContext('2d'), image = context.createImageData(ni, nj);
  const pixels = new Uint32Array(image.data.buffer), known = new Map();
  for (let i = 0; i < ni; i++) {
    for (let j = 0; j < nj; j++) {
      const css = colour(i * nj + j);
      if (!css) continue;
      if (!known.has(css)) known.set(css, abgr(css));
      pixels[(nj - 1 - j) * ni + i] = known.get(css);
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function abgr(css) {
  const v = parseInt(css.slice(1), 16);
  return (0xff000000 | ((v & 255) << 16) | (v & 0xff00) | (v >> 16)) >>> 0;
}
