// Peers as a graph: an arrow from a UAV to each whose map its features enter.

import { fitted } from 'rsdfm/canvas';
import { LEVELS, healthOf, lossOf } from 'rsdfm/state';

const RADIUS = 15;

export class Graph {
  constructor(canvas) {
    this.canvas = canvas;
    this.edges = []; // of the last drawing, for pointing at them
  }

  draw(mission) {
    const { context: c, width, height } = fitted(this.canvas), agents = mission.about.agents;
    c.clearRect(0, 0, width, height);
    c.font = '11px system-ui, sans-serif';
    c.textAlign = 'center';
    const places = new Map(agents.map(({ name }, k) => {
      const angle = -Math.PI / 2 + 2 * Math.PI * k / agents.length;
      return [name, [width / 2 + (width / 2 - 84) * Math.cos(angle), height / 2 + (height / 2 - 26) * Math.sin(angle)]];
    }));
    this.edges = [];
    for (const { name } of agents) {
      const facts = mission.instant?.content.uavs[name]?.facts ?? {};
      (facts.peers ?? []).forEach((peer, k) => {
        if (places.has(peer)) this.edge(c, mission, peer, name, places.get(peer), places.get(name), facts.peer_ages_s?.[k]);
      });
    }
    for (const { name, colour } of agents) {
      const [u, v] = places.get(name), facts = mission.instant?.content.uavs[name]?.facts;
      c.fillStyle = facts ? colour : '#313a47';
      c.beginPath();
      c.arc(u, v, RADIUS, 0, 2 * Math.PI);
      c.fill();
      c.lineWidth = 3;
      c.strokeStyle = LEVELS[healthOf(mission, name).level];
      c.stroke();
      c.fillStyle = '#12161c';
      c.fillText(name.replace(/^uav/, '').slice(0, 4), u, v + 4);
      const loss = facts ? lossOf(facts) : null;
      c.fillStyle = '#98a4b4';
      if (loss !== null) {
        c.textAlign = u > width / 2 + 1 ? 'left' : u < width / 2 - 1 ? 'right' : 'left';
        c.fillText(`${(100 * loss).toFixed(loss < 0.1 ? 1 : 0)} % lost`, u + (c.textAlign === 'left' ? 20 : -20), v + 4);
        c.textAlign = 'center';
      }
    }
    c.textAlign = 'start';
  }

  // The edge under a point, as a sentence; '' if there is none.
  at(u, v) {
    for (const { a, b, text } of this.edges) {
      const d = [b[0] - a[0], b[1] - a[1]], n = Math.hypot(...d) || 1;
      const along = ((u - a[0]) * d[0] + (v - a[1]) * d[1]) / n, off = ((u - a[0]) * d[1] - (v - a[1]) * d[0]) / n;
      if (along > 0 && along < n && Math.abs(off) < 5) return text;
    }
    return '';
  }

  edge(c, mission, from, to, p, q, age) {
    const d = [q[0] - p[0], q[1] - p[1]], n = Math.hypot(...d) || 1, e = [d[0] / n, d[1] / n];
    const side = [-e[1] * 4, e[0] * 4]; // the two directions lie beside each other
    const a = [p[0] + e[0] * (RADIUS + 3) + side[0], p[1] + e[1] * (RADIUS + 3) + side[1]];
    const b = [q[0] - e[0] * (RADIUS + 5) + side[0], q[1] - e[1] * (RADIUS + 5) + side[1]];
    const link = mission.following ? mission.health.links[to]?.[from] : null;
    const loss = link?.loss ?? null;
    c.strokeStyle = c.fillStyle = loss > 0.2 ? LEVELS[2] : loss > 0.02 || age > 0.6 ? LEVELS[1] : mission.colour(from);
    c.lineWidth = 1.4;
    c.beginPath();
    c.moveTo(...a);
    c.lineTo(...b);
    c.stroke();
    c.beginPath();
    c.moveTo(...b);
    c.lineTo(b[0] - 7 * e[0] + 3.5 * e[1], b[1] - 7 * e[1] - 3.5 * e[0]);
    c.lineTo(b[0] - 7 * e[0] - 3.5 * e[1], b[1] - 7 * e[1] + 3.5 * e[0]);
    c.fill();
    const parts = [`${from} → ${to}`];
    if (age !== undefined && age !== null) parts.push(`its map is ${age.toFixed(2)} s old`);
    if (loss !== null) parts.push(`${(100 * loss).toFixed(1)} % of its packets are lost`);
    if (link?.bytes_per_s !== undefined && link?.bytes_per_s !== null) parts.push(`${(link.bytes_per_s / 1000).toFixed(1)} kB/s`);
    if (link?.sentence) parts.push(link.sentence);
    this.edges.push({ a, b, text: parts.join('\n') });
  }
}
