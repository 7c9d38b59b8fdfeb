// What needs somebody's eye now, in words, at the top: the daemon away, a split that is off, arms that stopped, what is down.

import { el, redraw } from "./dom.js";
import * as format from "./format.js";

const NAMES = { kafka: "Kafka", redis: "Redis", state: "The state", trainer: "The trainer" };

function down(overview) {
  return Object.entries(overview.health)
    .filter(([, part]) => part.up === false)
    .map(([name, part]) => ["bad", `${NAMES[name]} is ${name === "trainer" ? "failing" : "down"}`, part.why]);
}

function split({ experiment }) {
  if (!experiment.sample_ratio_alarm) return [];
  const words = `p ${format.probability(experiment.sample_ratio_p)}: users are not in the arms in the shares that are set. Do not trust the comparison until that is explained.`;
  return [["bad", "The split of users is off", words]];
}

function stopped({ arms }) {
  return arms.filter((arm) => arm.state === "stopped").map((arm) => ["warn", `Arm ${arm.name} is stopped`, arm.why]);
}

const draining = ({ state }) => (state === "draining" ? [["warn", "The daemon is shutting down", "it sends what it owes first"]] : []);

const notice = ([level, what, why]) =>
  el("p", { class: "notice", "data-status": level }, el("strong", {}, what), why ? `: ${why}` : "");

export function showNotices(node, overview, lost) {
  const away = lost ? [["bad", "The daemon does not answer", lost]] : [];
  const all = overview ? [...away, ...down(overview), ...split(overview), ...stopped(overview), ...draining(overview)] : away;
  redraw(node, JSON.stringify(all), () => all.map(notice));
}
