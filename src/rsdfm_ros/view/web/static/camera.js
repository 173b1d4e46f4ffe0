// The images of one UAV with boxes projected into them.

import { CLASS, projected } from 'rsdfm/geometry';
import { fitted } from 'rsdfm/canvas';

export class CameraView {
  constructor(canvas, agent, name) {
    this.canvas = canvas;
    this.agent = agent;
    this.name = name;
  }

  // The box under a point (CSS pixels) of the image: {box, variant}; the smallest in the image wins.
  at(u, v, mission, layers) {
    const found = [];
    for (const { box, variant, lines } of this.lines(mission, layers)) {
      const us = lines.flatMap((l) => [l[0], l[2]]), vs = lines.flatMap((l) => [l[1], l[3]]);
      const [a, b, c, d] = [Math.min(...us), Math.max(...us), Math.min(...vs), Math.max(...vs)];
      const [pu, pv] = this.toImage(u, v, mission);
      if (pu >= a && pu <= b && pv >= c && pv <= d) found.push({ box, variant, area: (b - a) * (d - c) });
    }
    found.sort((p, q) => p.area - q.area);
    return found[0] ?? null;
  }

  draw(mission, layers, pointed) {
    const { context: c, width, height } = fitted(this.canvas);
    c.clearRect(0, 0, width, height);
    const camera = this.camera(mission);
    const image = mission.instant?.images.get(`${this.agent}/${this.name}`);
    if (image) c.drawImage(image, 0, 0, width, height);
    if (!camera) {
      c.fillStyle = '#98a4b4';
      c.font = '14px system-ui, sans-serif';
      c.textAlign = 'center';
      c.fillText('no image', width / 2, height / 2);
      c.textAlign = 'start';
      return;
    }
    const s = width / camera.size[1];
    for (const { box, variant, lines } of this.lines(mission, layers)) {
      const colour = variant === 'truth' ? mission.about.truth_colour : mission.about.classes[box[CLASS]]?.[1] ?? '#ffffff';
      c.strokeStyle = box === pointed ? '#ffffff' : colour;
      c.lineWidth = box === pointed ? 2.5 : variant === 'truth' ? 0.7 : 1.3;
      c.beginPath();
      for (const [u0, v0, u1, v1] of lines) {
        c.moveTo(u0 * s, v0 * s);
        c.lineTo(u1 * s, v1 * s);
      }
      c.stroke();
    }
  }

  camera(mission) {
    const camera = mission.instant?.content.uavs[this.agent]?.cameras?.[this.name] ?? null;
    if (camera) this.canvas.style.aspectRatio = `${camera.size[1]} / ${camera.size[0]}`;
    return camera;
  }

  toImage(u, v, mission) {
    const s = this.camera(mission).size[1] / this.canvas.clientWidth;
    return [u * s, v * s];
  }

  *lines(mission, layers) {
    const camera = this.camera(mission), content = mission.instant?.content;
    if (!camera) return;
    const sets = [];
    if (layers.truth) sets.push(['truth', content.truth?.boxes ?? []]);
    if (layers.boxes) sets.push([layers.variant, content.uavs[this.agent]?.[layers.variant]?.boxes ?? []]);
    for (const [variant, boxes] of sets) {
      for (const box of boxes) {
        const lines = projected(box, camera);
        if (lines.length) yield { box, variant, lines };
      }
    }
  }
}
