// A card per UAV: its state, its cameras and its map.

import { CameraView } from 'rsdfm/camera';
import { MapView } from 'rsdfm/map';
import { LEVELS, healthOf } from 'rsdfm/state';

export class Panel {
  constructor(agent) {
    this.agent = agent;
    this.element = document.createElement('section');
    this.element.className = 'm-card';
    this.element.dataset.uav = agent;
    this.title = document.createElement('h3');
    this.health = document.createElement('p');
    this.health.className = 'm-health';
    this.map = new MapView(canvas('m-map', `map of ${agent}`), agent);
    this.cameras = new Map();
    const sized = document.createElement('div'), views = document.createElement('div');
    sized.className = 'm-sized';
    views.className = 'm-views';
    views.append(this.map.canvas);
    sized.append(views);
    this.element.append(this.title, sized, this.health);
  }

  // Its views, cameras first.
  get views() {
    return [...this.cameras.values(), this.map];
  }

  draw(mission, layers, pointed) {
    for (const name of Object.keys(mission.instant?.content.uavs[this.agent]?.cameras ?? {})) {
      if (this.cameras.has(name)) continue;
      const view = new CameraView(canvas('m-camera', `${name} of ${this.agent}`), this.agent, name);
      this.cameras.set(name, view);
      this.map.canvas.before(view.canvas);
    }
    this.tell(mission);
    for (const view of this.views) view.draw(mission, layers, pointed);
  }

  tell(mission) {
    const entry = mission.instant?.content.uavs[this.agent], facts = entry?.facts, health = healthOf(mission, this.agent);
    const dot = document.createElement('span'), small = document.createElement('small');
    dot.className = 'm-dot';
    dot.style.background = LEVELS[health.level];
    const camera = Object.values(entry?.cameras ?? {})[0];
    const parts = [];
    if (camera) parts.push(`${camera.T[11].toFixed(0)} m high`);
    if (facts?.iou_collaborative !== undefined) {
      const alone = facts.iou_single === undefined ? '' : `${facts.iou_single.toFixed(2)} → `;
      parts.push(`IoU ${alone}${facts.iou_collaborative.toFixed(2)}`);
    }
    if (facts) parts.push(`${facts.peers?.length ?? 0} peers`, `${facts.objects ?? '–'} objects`);
    small.textContent = parts.join(' · ');
    this.title.replaceChildren(dot, this.agent, small);
    this.element.classList.toggle('m-silent', !facts);
    const said = [health.sentence];
    if (facts) {
      if (facts.rate_hz !== undefined) said.push(`${facts.rate_hz.toFixed(1)} Hz`);
      if (facts.bytes_sent_frame !== undefined) said.push(`${(facts.bytes_sent_frame / 1000).toFixed(1)} kB sent`);
      if (facts.latency_median_ms !== undefined) said.push(`latency ${facts.latency_median_ms.toFixed(0)} ms`);
      said.push(`${facts.packets_lost ?? 0} packets lost`, `${facts.packets_rejected ?? 0} refused`,
        `${facts.frames_dropped ?? 0} images dropped`);
    }
    this.health.textContent = said.join(' · ');
  }
}

function canvas(kind, label) {
  const element = document.createElement('canvas');
  element.className = kind;
  element.setAttribute('role', 'img');
  element.setAttribute('aria-label', label);
  return element;
}
