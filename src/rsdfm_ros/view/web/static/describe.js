// What an object is, and who saw it, as text.

import { CLASS, ID, SCORE, VISIBLE, VX, VY, X, Y, inside } from 'rsdfm/geometry';
import { contributorAt } from 'rsdfm/map';

const SAME_M = 2; // detections whose middle is within this margin of a box are the same vehicle

const WORDS = { collaborative: 'together', single: 'alone', truth: 'truth' };

export function describe(mission, agent, { box, variant }) {
  const content = mission.instant.content, lines = [];
  const name = mission.about.classes[box[CLASS]]?.[0] ?? `class ${box[CLASS]}`;
  const id = box[ID] ? ` #${box[ID]}` : '';
  const score = variant === 'truth' ? '' : `, score ${box[SCORE].toFixed(2)}`;
  lines.push(`${name}${id} (${variant === 'truth' ? 'truth' : `${agent} ${WORDS[variant]}`}${score})`);
  lines.push(`${(3.6 * Math.hypot(box[VX], box[VY])).toFixed(0)} km/h, at ${box[X].toFixed(1)}, ${box[Y].toFixed(1)} m`);
  for (const kind of ['single', 'collaborative']) {
    if (!mission.about.agents.some(({ name: uav }) => content.uavs[uav]?.[kind]?.boxes)) continue; // not known
    const by = [];
    for (const { name: uav } of mission.about.agents) {
      const found = (content.uavs[uav]?.[kind]?.boxes ?? []).find((b) => inside(box, b[X], b[Y], SAME_M));
      if (found) by.push(`${uav} ${found[SCORE].toFixed(2)}`);
    }
    lines.push(`found ${WORDS[kind]} by ${by.join(', ') || 'none'}`);
  }
  const from = contributorAt(mission, agent, box[X], box[Y]);
  if (from) lines.push(`here the map of ${agent} comes mostly from ${from}`);
  const true_ = variant === 'truth' ? box : (content.truth?.boxes ?? []).find((b) => inside(b, box[X], box[Y], SAME_M));
  if (variant !== 'truth' && content.truth?.boxes) {
    lines.push(true_ ? `true: ${mission.about.classes[true_[CLASS]]?.[0]} #${true_[ID]}` : 'no true vehicle is here');
  }
  if (true_ && content.truth.agents.length) {
    const seen = content.truth.agents.map((uav, k) => [uav, true_[VISIBLE + k] ?? 0]).filter(([, share]) => share > 0);
    lines.push(`visible to ${seen.map(([uav, share]) => `${uav} ${Math.round(100 * share)} %`).join(', ') || 'none'}`);
  }
  return lines.join('\n');
}
