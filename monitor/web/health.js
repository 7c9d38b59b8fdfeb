// What the daemon depends on, up or down and why; the live generation; what was counted since the state began.

import { el, redraw, status } from "./dom.js";
import * as format from "./format.js";

const upOrDown = (part) => (part.up === true ? ["good", "up"] : part.up === false ? ["bad", "down"] : ["unknown", "not known"]);

function trainer(part) {
  const refused = part.refused_in_a_row;
  const last = format.known(part.last_s) ? `last run took ${format.duration(part.last_s)}` : "no run yet";
  if (part.up === false) return ["bad", "failing", part.why || last];
  if (part.running) return ["good", "training now", part.why || last];
  if (refused > 0) return ["warn", `${refused} refused`, part.why || last];
  return part.up === true ? ["good", "idle", part.why || last] : ["unknown", "not known", part.why];
}

function generation(part) {
  if (!format.known(part.number) || part.number <= 0) return ["unknown", "none yet", "trend alone until the first"];
  return ["good", `number ${part.number}`, `${format.count(part.items)} items, rank ${part.rank ?? format.NONE}, ${format.duration(part.age_s)} old`];
}

function rows(o) {
  const { kafka, redis, state } = o.health;
  const lag = format.known(kafka.lag) ? `lag ${format.count(kafka.lag)}` : "";
  return [
    ["Kafka", ...upOrDown(kafka), kafka.why || lag],
    ["Redis", ...upOrDown(redis), redis.why || (o.totals.owed > 0 ? `${format.count(o.totals.owed)} lists owed` : "")],
    ["State", ...upOrDown(state), state.why || (o.totals.items > 0 ? `${format.count(o.totals.items)} items known` : "")],
    ["Trainer", ...trainer(o.health.trainer)],
    ["Generation", ...generation(o.generation)],
  ];
}

const cell = ([name, level, words, why]) =>
  el("li", { class: "card", "data-status": level }, el("h3", {}, name), el("p", {}, status(level, words)), el("p", { class: "why" }, why || " "));

export function showHealth(node, overview) {
  const drawn = rows(overview);
  redraw(node, JSON.stringify(drawn), () => drawn.map(cell));
}

const TOTALS = [["events", "events"], ["lists", "lists written"], ["held", "held back"], ["owed", "owed"], ["dead", "dead letters"], ["items", "items"]];

export function showTotals(node, totals) {
  const drawn = TOTALS.map(([key, name]) => [name, format.count(totals[key])]);
  redraw(node, JSON.stringify(drawn), () => drawn.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
