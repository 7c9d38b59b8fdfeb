// The scoreboard: a row an arm, with its uplift drawn on one scale for all. On a phone a row becomes a card, so the table's
// roles are written out: without them its meaning would go with its layout.

import { el, redraw, status, svg } from "./dom.js";
import * as format from "./format.js";
import { alpha, differs } from "./overview.js";

const WHISKER = { width: 120, height: 18, pad: 4 };

const STATES = { running: "good", stopped: "bad", waiting: "unknown", ended: "unknown" };

/** The largest bound of any interval, so that all whiskers share a scale with zero in its middle. */
function reach(arms) {
  const bounds = arms.flatMap((arm) => (arm.uplift ? [arm.uplift.low, arm.uplift.high, arm.uplift.mean] : [])).filter(format.known);
  return Math.max(1e-9, ...bounds.map(Math.abs));
}

function whisker(uplift, scale, tone) {
  const { width, height, pad } = WHISKER;
  const x = (value) => width / 2 + (Math.max(-1, Math.min(1, value / scale)) * (width - 2 * pad)) / 2;
  const y = height / 2;
  const ends = format.known(uplift.low) && format.known(uplift.high);
  return svg("svg", { class: `whisker ${tone}`, viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    svg("line", { class: "zero", x1: width / 2, x2: width / 2, y1: 0, y2: height }),
    ends ? svg("line", { x1: x(uplift.low), x2: x(uplift.high), y1: y, y2: y }) : null,
    format.known(uplift.mean) ? svg("circle", { cx: x(uplift.mean), cy: y, r: 3.5 }) : null);
}

const small = (text) => (text.includes(format.NONE) ? null : el("small", {}, text));

function nameCell(arm) {
  const tags = [arm.control ? "control" : null, arm.shadow ? "shadow: measured, not published" : null].filter(Boolean);
  return [el("span", { class: "arm-name" }, arm.name), ...tags.filter((tag) => tag !== arm.name).map((tag) => el("small", {}, tag))];
}

function stateCell(arm) {
  return [status(STATES[arm.state] ?? "unknown", arm.state), ...(arm.why ? [el("small", {}, arm.why)] : [])];
}

function upliftCell(arm, experiment, scale) {
  if (!arm.uplift) return [arm.control ? el("span", { class: "muted" }, "the baseline") : format.NONE];
  const tone = differs(arm, experiment) ? (arm.uplift.mean > 0 ? "up" : "down") : "even";
  const text = el("span", { class: "numbers" }, `${format.points(arm.uplift.mean)} (${format.change(arm.uplift.relative)})`,
    small(format.interval(arm.uplift, format.points)));
  return [el("span", { class: "uplift" }, whisker(arm.uplift, scale, tone), text)];
}

const withInterval = (estimate) => [format.percent(estimate?.mean), small(format.interval(estimate, format.percent))];

/** [heading, kind of cell, what it holds]; the headings are the labels of a card on a phone. */
function columns(experiment, scale) {
  return [
    ["Arm", "name", nameCell],
    ["State", "text", stateCell],
    ["Share", "number", (arm) => [format.percent(arm.share)]],
    ["Users", "number", (arm) => [format.count(arm.users)]],
    ["Events", "number", (arm) => [format.count(arm.events)]],
    ["Hit rate @20", "number", (arm) => withInterval(arm.hit20)],
    ["MRR@20", "number", (arm) => [format.distance(arm.mrr20?.mean)]],
    ["To control, points", "wide", (arm) => upliftCell(arm, experiment, scale)],
    ["p, always valid", "number", (arm) => [arm.uplift ? format.probability(arm.uplift.p) : format.NONE]],
    ["Churn", "number", (arm) => [format.distance(arm.churn_rbo), small(`${format.distance(arm.churn_jaccard)} Jaccard`)]],
    ["Lists", "number", (arm) => [format.count(arm.lists), small(`${format.count(arm.held)} held`)]],
    ["Gen.", "number", (arm) => [arm.generation > 0 ? format.count(arm.generation) : "none yet"]],
  ];
}

const made = (parts) => parts.filter((part) => part !== null);

function row(arm, cells) {
  return el("tr", { role: "row", "data-state": arm.state }, ...cells.map(([heading, kind, make]) =>
    kind === "name"
      ? el("th", { role: "rowheader", scope: "row", class: kind }, ...made(make(arm)))
      : el("td", { role: "cell", class: kind, "data-label": heading }, el("span", { class: "value" }, ...made(make(arm))))));
}

function table(arms, experiment) {
  const cells = columns(experiment, reach(arms));
  return el("table", { class: "arms", role: "table", "aria-labelledby": "experiment-title" },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
      ...cells.map(([heading, kind]) => el("th", { role: "columnheader", scope: "col", class: kind }, heading)))),
    el("tbody", { role: "rowgroup" }, ...arms.map((arm) => row(arm, cells))));
}

const empty = () => el("p", { class: "empty-card" }, "No figures of the arms yet.");

/** What the table shows and nothing else: the series change at every step, and have charts of their own. */
const shown = ({ series, ...rest }) => rest;

export function showArms(node, overview) {
  const { arms, experiment } = overview;
  redraw(node, JSON.stringify([experiment, arms.map(shown)]), () => [arms.length ? table(arms, experiment) : empty()]);
}

export function experimentWords({ id, state, start, end, sample_ratio_p: p, ...rest }) {
  if (state === "none") return "no experiment is named in the settings";
  const when = [format.known(start) ? `from ${format.day(start)}` : null, format.known(end) ? `to ${format.day(end)}` : null];
  const words = [`experiment ${id ?? ""}`.trim(), state, ...when, `level ${format.number(alpha(rest) * 100)}%`];
  if (format.known(p)) words.push(`split of users as set: p ${format.probability(p)}`);
  return words.filter(Boolean).join(" · ");
}
