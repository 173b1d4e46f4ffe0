// The page of a mission: takes what the source has, shows one instant, and lets a person go through time.

import { Chart } from 'rsdfm/charts';
import { describe } from 'rsdfm/describe';
import { Graph } from 'rsdfm/graph';
import { Layers } from 'rsdfm/layers';
import { Panel } from 'rsdfm/panels';
import { openSource } from 'rsdfm/source';
import { Mission } from 'rsdfm/state';

const AHEAD = 3; // instants asked for before they are played
const SHORTEST_STEP_MS = 60, LONGEST_STEP_MS = 1500;

const byId = (id) => document.getElementById(id);
const mission = new Mission(), panels = new Map();
const graph = new Graph(byId('m-graph'));
const layers = new Layers(byId('m-layers'), byId('m-note'), () => {
  source.alone(layers.map === 'alone');
  render();
});
const charts = [
  new Chart(byId('m-bytes'), byId('m-bytes-title'), 'kB sent per image', [[0, 1.5]], (v) => (v / 1000).toFixed(1)),
  new Chart(byId('m-latency'), byId('m-latency-title'), 'latency, ms', [[1, 1.5]], (v) => v.toFixed(0)),
  new Chart(byId('m-iou'), byId('m-iou-title'), 'IoU, together and thin alone', [[3, 1.8], [2, 0.7]], (v) => v.toFixed(2), 1),
];
let pointed = null, connection = '', drawing = false, timer = null;

const source = openSource({
  about(about) {
    mission.about = about;
    if (!source.embedded && document.body.classList.contains('alone')) document.title = about.title;
    for (const { name } of about.agents) {
      if (panels.has(name)) continue;
      const panel = new Panel(name);
      panels.set(name, panel);
      const after = [...byId('m-uavs').children].find((e) => e.dataset.uav.localeCompare(name, undefined, { numeric: true }) > 0);
      byId('m-uavs').insertBefore(panel.element, after ?? null);
      watch(panel.map.canvas, name, () => panel.map);
    }
    if (mission.shown === null && !about.live) mission.following = false;
    for (const one of mission.instants.values()) one.drawn.clear();
    charts[1].name = about.lockstep ? 'latency, ms, with waiting for the slowest UAV (lockstep)' : 'latency, ms';
    layers.legend(mission);
    render();
  },
  index(rows) {
    mission.addRows(rows);
    if (!mission.about.live && mission.shown === null && mission.numbers.length) {
      show(mission.numbers[0]);
      play(true);
    }
    render();
  },
  instant(content, images, newest) {
    mission.addInstant(content, images);
    if (newest && mission.following) mission.shown = content.number;
    if (content.number === mission.shown) render();
  },
  gone(number) {
    const place = mission.numbers.indexOf(number);
    if (place < 0) return;
    mission.numbers.splice(place, 1);
    mission.rows.delete(number);
    if (mission.shown === number && mission.numbers.length) show(mission.numbers[Math.min(place, mission.numbers.length - 1)]);
  },
  health(health) {
    mission.health = health;
    render();
  },
  state(sentence) {
    connection = sentence;
    render();
  },
});

function show(number) {
  mission.shown = number;
  const place = mission.numbers.indexOf(number);
  for (const near of mission.numbers.slice(place, place + (mission.playing ? AHEAD : 1))) {
    if (!mission.instants.has(near)) source.want(near);
  }
  render();
}

function follow(on) {
  mission.following = on;
  if (on) play(false);
  source.live(on);
  if (on && mission.numbers.length) {
    const newest = [...mission.instants.keys()].reduce((a, b) => Math.max(a, b), -1);
    if (newest >= 0) mission.shown = newest;
  }
  render();
}

function play(on) {
  mission.playing = on;
  clearTimeout(timer);
  if (on) {
    if (mission.following) follow(false);
    mission.playing = true;
    timer = setTimeout(step, SHORTEST_STEP_MS);
  }
  render();
}

// Shows the next instant after as much time as lies between the two, once it is here.
function step() {
  const place = mission.place, next = mission.numbers[place + 1];
  if (!mission.playing) return;
  if (next === undefined) {
    if (mission.about.live && !mission.about.ended) follow(true);
    else if (mission.numbers.length > 1) show(mission.numbers[0]); // again from the start
    timer = setTimeout(step, 1000);
    return;
  }
  if (!mission.instants.has(next)) {
    source.want(next);
    timer = setTimeout(step, SHORTEST_STEP_MS);
    return;
  }
  show(next);
  const after = mission.numbers[place + 2];
  const gap = after === undefined ? 0.5 : mission.rows.get(after).t - mission.rows.get(next).t;
  timer = setTimeout(step, Math.min(Math.max(1000 * gap, SHORTEST_STEP_MS), LONGEST_STEP_MS));
}

function scrub(place) {
  play(false);
  if (mission.following) follow(false);
  const number = mission.numbers[Math.min(Math.max(place, 0), mission.numbers.length - 1)];
  if (number !== undefined) show(number);
}

function render() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  layers.legend(mission);
  for (const panel of panels.values()) {
    const before = panel.cameras.size;
    panel.draw(mission, layers, pointed);
    if (panel.cameras.size !== before) {
      for (const view of panel.cameras.values()) watch(view.canvas, panel.agent, () => view);
      render();
    }
  }
  graph.draw(mission);
  for (const chart of charts) chart.draw(mission);
  const here = mission.place, scrubber = byId('m-scrub');
  scrubber.max = Math.max(mission.numbers.length - 1, 0);
  if (here >= 0) scrubber.value = here;
  byId('m-clock').textContent = mission.time === null ? '' : `${(mission.time - mission.start).toFixed(1)} s`;
  byId('m-title').textContent = mission.about.title || 'Fleet';
  byId('m-play').textContent = mission.playing || mission.following ? 'pause' : 'play';
  byId('m-live').hidden = byId('m-rate').hidden = !mission.about.live;
  byId('m-live').setAttribute('aria-pressed', String(mission.following));
  byId('m-state').textContent = stateOf();
  byId('mission').dataset.shown = mission.shown ?? '';
  byId('mission').dataset.instants = mission.numbers.length;
}

function stateOf() {
  if (mission.about.ended) return mission.about.ended;
  if (connection) return connection;
  if (!mission.numbers.length) return mission.about.live ? 'waiting for the first images …' : 'loading …';
  const silent = mission.about.agents.filter(({ name }) => mission.instant && !mission.instant.content.uavs[name]?.facts);
  return silent.length ? `no answer from ${silent.map((a) => a.name).join(', ')}` : '';
}

// Tells what lies under the pointer of a canvas.
function watch(canvas, agent, viewOf) {
  if (canvas.dataset.watched) return;
  canvas.dataset.watched = '1';
  canvas.addEventListener('pointermove', (event) => {
    const found = mission.instant && viewOf().at(event.offsetX, event.offsetY, mission, layers);
    pointed = found?.box ?? null;
    tip(found ? describe(mission, agent, found) : '', event);
    render();
  });
  canvas.addEventListener('pointerleave', () => {
    pointed = null;
    tip('');
    render();
  });
}

function tip(text, event) {
  const element = byId('m-tip');
  element.hidden = !text;
  if (!text) return;
  element.textContent = text;
  element.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - element.offsetWidth - 8))}px`;
  element.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - element.offsetHeight - 8))}px`;
}

byId('m-graph').addEventListener('pointermove', (event) => tip(graph.at(event.offsetX, event.offsetY), event));
byId('m-graph').addEventListener('pointerleave', () => tip(''));
byId('m-play').addEventListener('click', () => (mission.playing || mission.following ? scrub(mission.place) : play(true)));
byId('m-live').addEventListener('click', () => follow(true));
byId('m-rate').addEventListener('change', (event) => source.rate(Number(event.target.value)));
byId('m-scrub').addEventListener('input', (event) => scrub(Number(event.target.value)));
document.addEventListener('keydown', (event) => {
  if (event.target instanceof HTMLButtonElement || (event.target instanceof HTMLInputElement && event.target.id !== 'm-scrub')) return;
  if (event.key === ' ' && document.body.classList.contains('alone')) {
    event.preventDefault();
    byId('m-play').click();
  }
});
new ResizeObserver(render).observe(byId('mission'));
