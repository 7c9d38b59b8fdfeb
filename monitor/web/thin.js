// Fewer points than pixels: 720 steps in a chart 350 pixels wide are a smear. Steps are gathered into bins that lie fixed in
// time, so a point does not move as the window does; the last, which is not full yet, takes from the one before what it
// lacks. The table beside each chart has every step.

import { known } from "./format.js";

const POINTS_MAX = 150;

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const worst = (values) => Math.max(...values);
const HOW = { mean, worst };

/** How long a bin is, in ms; 0 if the steps are few enough as they are. */
export function binOf(t) {
  if (t.length <= POINTS_MAX) return 0;
  const step = (t.at(-1) - t[0]) / (t.length - 1);
  return step * Math.ceil(t.length / POINTS_MAX);
}

/** [{x, y}] for Chart.js; a bin is at its last step. `how`: "mean", or "worst" for what must not hide its peaks. */
export function thin(t, values, how) {
  const bin = binOf(t);
  if (!bin) return t.map((x, i) => ({ x, y: known(values[i]) ? values[i] : NaN }));
  const full = Math.ceil(t.length / POINTS_MAX);
  const points = [];
  for (let from = 0, to; from < t.length; from = to) {
    const number = Math.floor(t[from] / bin);
    for (to = from + 1; to < t.length && Math.floor(t[to] / bin) === number; ) to++;
    const inside = values.slice(to === t.length ? to - full : from, to).filter(known);
    points.push({ x: t[to - 1], y: inside.length ? HOW[how](inside) : NaN });
  }
  return points;
}
