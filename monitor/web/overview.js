// /api/overview, made whole: a daemon that has just started answers null nearly everywhere, and every reader of this
// page would have to ask for each. After whole() every object is there; numbers may still be null.

import { known } from "./format.js";

const SERIES = ["t", "events_per_s", "lists_per_s", "lag", "event_to_list_p50_ms", "event_to_list_p99_ms", "churn_rbo",
  "churn_jaccard", "gap_closed", "drift", "hit20", "hit20_popular", "hit20_recent"];

const object = (value) => (value && typeof value === "object" ? value : {});
const array = (value) => (Array.isArray(value) ? value : []);
const text = (value, otherwise = "") => (typeof value === "string" ? value : otherwise);

function wholeArm(arm) {
  const series = object(arm.series);
  return {
    ...arm,
    name: text(arm.name, "?"),
    state: text(arm.state, "unknown"),
    why: text(arm.why),
    hit20: object(arm.hit20),
    series: { hit20: array(series.hit20), churn_rbo: array(series.churn_rbo) },
  };
}

function wholeHealth(health) {
  const parts = ["kafka", "redis", "state", "trainer"].map((name) => [name, object(object(health)[name])]);
  return Object.fromEntries(parts.map(([name, part]) => [name, { ...part, why: text(part.why) }]));
}

export function whole(overview) {
  const o = object(overview);
  const series = object(o.series);
  return {
    now: o.now,
    version: text(o.version),
    state: text(o.state, "unknown"),
    uptime_s: o.uptime_s,
    health: wholeHealth(o.health),
    totals: object(o.totals),
    latency: object(object(o.latency).event_to_list_ms),
    generation: object(o.generation),
    series: Object.fromEntries(SERIES.map((name) => [name, array(series[name])])),
    generations: array(o.generations).map(object).map((g) => ({ ...g, name: generationName(g, array(o.arms).length) })).sort((a, b) => a.t - b.t),
    experiment: { state: "none", ...object(o.experiment) },
    arms: array(o.arms).map(object).map(wholeArm),
  };
}

/** The mean of a series' last `steps` that have a value, each step counted as its weight (a rate; equal without one). */
export function recentMean(values, steps, weights = []) {
  const recent = [];
  for (let i = values.length - 1; i >= 0 && recent.length < steps; i--)
    if (known(values[i])) recent.push([values[i], weights[i] > 0 ? weights[i] : 0]);
  const sum = (part) => recent.reduce((total, each) => total + part(each), 0);
  if (!recent.length) return null;
  const all = sum(([, weight]) => weight);
  return all > 0 ? sum(([value, weight]) => value * weight) / all : sum(([value]) => value) / recent.length;
}

/** Arms that are trained otherwise have generations of their own; one of all arms needs no names. */
function generationName({ number, arms }, armCount) {
  const whose = array(arms);
  return whose.length && whose.length < armCount ? `${number} (${whose.join(", ")})` : `${number}`;
}

/** The arms that are compared with control: neither it nor a shadow. */
export const contenders = (overview) => overview.arms.filter((arm) => !arm.control && !arm.shadow);

/** The false-positive rate that is accepted: `level` is 0.95 or 0.05, whichever way it is written. */
export function alpha(experiment) {
  const level = experiment.level;
  if (!(level > 0 && level < 1)) return 0.05;
  return level > 0.5 ? 1 - level : level;
}

export const differs = (arm, experiment) => Boolean(arm.uplift) && arm.uplift.p !== null && arm.uplift.p <= alpha(experiment);
