// What the page knows of the mission, and which instant it shows.

const KEPT = 240; // instants with their images; others are asked for again

export class Mission {
  constructor() {
    this.about = { agents: [], classes: [], colours: {}, roads: [], buildings: [], window: null, title: '', live: false, ended: '' };
    this.rows = new Map(); // number -> {t, figures by UAV}
    this.numbers = []; // in order
    this.instants = new Map(); // number -> {content, images}, the newest use last
    this.health = { uavs: {}, links: {} };
    this.shown = null; // number
    this.following = true;
    this.playing = false;
  }

  addRows(rows) {
    for (const [number, t, figures] of rows) {
      if (!this.rows.has(number)) this.numbers.push(number);
      this.rows.set(number, { t, figures });
    }
    const t = (number) => this.rows.get(number).t;
    // Instants from before this page was opened come late.
    if (this.numbers.some((n, k) => k && t(n) < t(this.numbers[k - 1]))) this.numbers.sort((a, b) => t(a) - t(b));
  }

  addInstant(content, images) {
    const before = this.instants.get(content.number);
    if (before && !images.size) images = before.images;
    this.instants.delete(content.number);
    this.instants.set(content.number, { content, images, drawn: new Map() });
    for (const [number, old] of this.instants) {
      if (this.instants.size <= KEPT) break;
      if (number === this.shown) continue;
      for (const image of old.images.values()) image?.close();
      this.instants.delete(number);
    }
  }

  get instant() {
    return this.instants.get(this.shown) ?? null;
  }

  get place() {
    return this.numbers.indexOf(this.shown);
  }

  get time() {
    return this.rows.get(this.shown)?.t ?? null;
  }

  get start() {
    return this.numbers.length ? this.rows.get(this.numbers[0]).t : 0;
  }

  colour(agent) {
    return this.about.agents.find((a) => a.name === agent)?.colour ?? '#cccccc';
  }

  // Seconds since a UAV's last answer before the shown instant; null if it has never answered.
  silence(agent) {
    for (let k = this.place; k >= 0; k--) {
      const row = this.rows.get(this.numbers[k]);
      if (agent in row.figures) return this.time - row.t;
    }
    return null;
  }
}

// Levels of diagnostics, and of what can be told without them.
export const LEVELS = ['#34c7a0', '#fabe3c', '#e84855', '#60707c'];

export function healthOf(mission, agent) {
  const said = mission.health.uavs[agent];
  const facts = mission.instant?.content.uavs[agent]?.facts;
  const silence = mission.silence(agent);
  if (!facts && silence !== null && silence > 0.75) return { level: 2, sentence: `no answer for ${silence.toFixed(1)} s` };
  if (said && mission.following && !mission.about.ended) return { level: said[0], sentence: said[1] };
  if (!facts) return { level: 3, sentence: 'no answer yet' };
  const loss = lossOf(facts);
  if (loss !== null && loss > 0.2) return { level: 1, sentence: `${Math.round(100 * loss)} % of the packets are lost` };
  return { level: 0, sentence: 'answers' };
}

// Share of the packets from all peers that were lost, null without any.
export function lossOf(facts) {
  const all = (facts.packets_received ?? 0) + (facts.packets_lost ?? 0);
  return all ? facts.packets_lost / all : null;
}
