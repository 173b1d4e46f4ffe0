// Maps from run lengths, corners of boxes, and where points of the map lie in an image.

const NEAR_M = 0.5;
// Columns of a row of a box (view/web/encode.py).
export const CLASS = 0, SCORE = 1, X = 2, Y = 3, Z = 4, LENGTH = 5, WIDTH = 6, HEIGHT = 7, YAW = 8, VX = 9, VY = 10, ID = 11,
  VISIBLE = 12;
// Pairs of the corners of `corners3`: below, above, upright, and a cross on the front.
const EDGES = [[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7], [0, 5], [1, 4]];

// Cells of a map (size n) from alternating run lengths, those of 0 first; null if it was not sent.
export function cellsOf(holder, n) {
  if (!holder || !holder.cells) return null;
  if (!holder.decoded) {
    const out = new Uint8Array(n);
    let at = 0, value = 0;
    for (const length of holder.cells) {
      if (value) out.fill(1, at, at + length);
      at += length;
      value = 1 - value;
    }
    holder.decoded = out;
  }
  return holder.decoded;
}

// Values of a map from value and length of each run.
export function valuesOf(map) {
  const out = new Uint8Array(map.shape[0] * map.shape[1]);
  const bytes = Uint8Array.from(atob(map.runs ?? ''), (c) => c.charCodeAt(0)), count = bytes.length / 5;
  const lengths = new DataView(bytes.buffer, count);
  for (let k = 0, at = 0; k < count; k++) {
    const length = lengths.getUint32(4 * k, true);
    out.fill(bytes[k], at, at + length);
    at += length;
  }
  return out;
}

// Corners of a box seen from above: front left, back left, back right, front right.
export function corners2(box, margin = 0) {
  const l = box[LENGTH] / 2 + margin, w = box[WIDTH] / 2 + margin, c = Math.cos(box[YAW]), s = Math.sin(box[YAW]);
  return [[l, w], [-l, w], [-l, -w], [l, -w]].map(([a, b]) => [box[X] + a * c - b * s, box[Y] + a * s + b * c]);
}

// Whether a point of the map lies in a box, or within `margin` metres of it.
export function inside(box, x, y, margin) {
  const c = Math.cos(box[YAW]), s = Math.sin(box[YAW]), dx = x - box[X], dy = y - box[Y];
  return Math.abs(dx * c + dy * s) <= box[LENGTH] / 2 + margin && Math.abs(dy * c - dx * s) <= box[WIDTH] / 2 + margin;
}

// The eight corners with the front first: 0 and 1 are the front's below.
function corners3(box) {
  const [fl, bl, br, fr] = corners2(box), h = box[HEIGHT] / 2;
  const ring = [fl, fr, br, bl];
  return [...ring.map((p) => [...p, box[Z] - h]), ...ring.map((p) => [...p, box[Z] + h])];
}

function toCamera(T, p) {
  const d = [p[0] - T[3], p[1] - T[7], p[2] - T[11]];
  return [0, 1, 2].map((k) => T[k] * d[0] + T[4 + k] * d[1] + T[8 + k] * d[2]);
}

// Lines [u0, v0, u1, v1] in pixels of the edges of a box that are before the camera.
export function projected(box, camera) {
  const K = camera.K, points = corners3(box).map((p) => toCamera(camera.T, p)), lines = [];
  for (const [a, b] of EDGES) {
    let p = points[a], q = points[b];
    if (p[2] < NEAR_M && q[2] < NEAR_M) continue;
    if (p[2] < NEAR_M) [p, q] = [q, p];
    if (q[2] < NEAR_M) {
      const f = (p[2] - NEAR_M) / (p[2] - q[2]);
      q = p.map((v, k) => v + f * (q[k] - v));
    }
    lines.push([...pixel(K, p), ...pixel(K, q)]);
  }
  const [height, width] = camera.size;
  const seen = lines.some(([u0, v0, u1, v1]) => Math.max(u0, u1) > 0 && Math.min(u0, u1) < width &&
    Math.max(v0, v1) > 0 && Math.min(v0, v1) < height);
  return seen ? lines : [];
}

function pixel(K, p) {
  return [(K[0] * p[0] + K[1] * p[1]) / p[2] + K[2], K[4] * p[1] / p[2] + K[5]];
}

// Outline of the ground (height 0) that a camera sees, cut `far` metres from the point below it.
export function footprint(camera, far = 130) {
  const { K, T, size: [height, width] } = camera, out = [];
  const edge = [];
  for (let k = 0; k < 8; k++) edge.push([k / 8 * width, 0]);
  for (let k = 0; k < 8; k++) edge.push([width, k / 8 * height]);
  for (let k = 8; k > 0; k--) edge.push([k / 8 * width, height]);
  for (let k = 8; k > 0; k--) edge.push([0, k / 8 * height]);
  for (const [u, v] of edge) {
    const r = [(u - K[2]) / K[0], (v - K[5]) / K[4], 1];
    const d = [0, 1, 2].map((k) => T[4 * k] * r[0] + T[4 * k + 1] * r[1] + T[4 * k + 2] * r[2]);
    const flat = Math.hypot(d[0], d[1]) || 1e-9;
    const reach = Math.min(d[2] < -1e-6 ? T[11] / -d[2] : Infinity, far / flat);
    out.push([T[3] + d[0] * reach, T[7] + d[1] * reach]);
  }
  return out;
}
