// Panels with a chart: a legend with the latest values that switches lines, the drawing (Chart.js), its words for those
// who do not see it, and the same numbers as a table.

import { el, redraw, say, svg } from "./dom.js";
import * as format from "./format.js";
import { crosshair, followPointer, marks } from "./plugins.js";
import { binOf, thin } from "./thin.js";

const { Chart } = globalThis;
const TONES = 8; // colours; beyond them the dashes differ
const DASHES = [[], [6, 3], [2, 2], [9, 3, 2, 3]];
const AXIS_WIDTH = 58; // px, the same on all charts so that their times line up
const SPAN_MIN_MS = 60_000;
const TICKS_MAX = 6;
const TICK_STEPS_S = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800];
const INDEX_LINES_MAX = 6; // a tooltip of more lines would not fit
const NAME_MAX = 18;
const ROW_PX = 24;
const ROWS_PX_MIN = 190; // .plot has it too

Chart.defaults.animation = false;
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
Chart.defaults.font.size = 11;
Chart.defaults.maintainAspectRatio = false;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const toneOf = (tone) => (tone % TONES) + 1;

/** With few lines the dashes differ too, so that colour is never all that tells them apart. */
const dashOf = (tone, lines) => DASHES[(lines <= DASHES.length ? tone : Math.floor(tone / TONES)) % DASHES.length];

const shorten = (name) => (name.length > NAME_MAX ? `${name.slice(0, NAME_MAX - 1)}…` : name);

/** Full minutes, hours and days of the reader's own clock. */
function timeTicks(min, max) {
  const step = 1000 * (TICK_STEPS_S.find((s) => (max - min) / (1000 * s) <= TICKS_MAX) ?? TICK_STEPS_S.at(-1));
  const zone = new Date(max).getTimezoneOffset() * 60_000;
  const ticks = [];
  for (let t = Math.ceil((min - zone) / step) * step + zone; t <= max; t += step) ticks.push({ value: t });
  return ticks;
}

function timeLabel(value) {
  const { min, max } = this;
  if (max - min > 86_400_000) return format.dayTime(value);
  return max - min < 300_000 ? format.clock(value) : format.hourMinute(value);
}

/** Nothing is less than 0 or, while nothing is known, more than 1. */
const rateLimits = ({ min, max }) => (min < max && max <= 1 ? { min: Math.max(0, min), max } : { min: 0, max: 1 });

/** What all panels share: heading, legend, canvas, table. */
class Panel {
  constructor(parent, { id, title, hint, show, how = "mean", zero = true }) {
    Object.assign(this, { title, show, how, zero });
    this.hidden = new Set();
    this.legend = el("ul", { class: "legend", "aria-label": `Lines of ${title}` });
    this.canvas = el("canvas", { role: "img", "aria-label": `${title}: no data yet` });
    this.none = el("p", { class: "no-data" }, "No data yet");
    this.plot = el("div", { class: "plot" }, this.canvas, this.none);
    this.scroll = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}, as a table` });
    this.details = el("details", {}, el("summary", {}, "Table", el("span", { class: "visually-hidden" }, ` of ${title}`)), this.scroll);
    this.details.addEventListener("toggle", () => this.fillTable());
    parent.append(el("article", { class: "card panel", id: `chart-${id}` },
      el("header", {}, el("h3", {}, title), el("p", { class: "hint" }, hint)), this.legend, this.plot, this.details));
  }

  colours() {
    const ink = css("--muted");
    const scale = { grid: { color: css("--grid"), drawBorder: false, tickLength: 0 }, ticks: { color: ink, padding: 6 } };
    const tooltip = {
      backgroundColor: css("--tooltip"), titleColor: css("--tooltip-ink"), bodyColor: css("--tooltip-ink"), padding: 8,
      boxWidth: 8, boxHeight: 8, boxPadding: 4, caretSize: 0, cornerRadius: 4,
    };
    return { ink, scale, tooltip };
  }

  fillTable() {
    if (!this.details.open || !this.headings) return;
    const head = el("tr", {}, ...this.headings.map((heading) => el("th", { scope: "col" }, heading)));
    const body = this.rows().map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first), ...rest.map((cell) => el("td", {}, cell))));
    this.scroll.replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
  }
}

/** Lines over time. update() may be called with any number of lines, named anew each time. */
export class TimeChart extends Panel {
  constructor(parent, spec) {
    super(parent, spec);
    this.chart = new Chart(this.canvas, { type: "line", data: { datasets: [] }, options: this.options(), plugins: [marks, crosshair] });
    followPointer(this.chart);
  }

  options() {
    const { ink, scale, tooltip } = this.colours();
    const label = (item) => ` ${item.dataset.label}: ${this.show(item.parsed.y)}`;
    return {
      parsing: false,
      normalized: true,
      layout: { padding: { top: 14, right: 8 } },
      elements: { line: { borderWidth: 1.75, tension: 0 }, point: { hoverRadius: 3, hitRadius: 6 } },
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { ...scale, type: "linear", grid: { display: false, drawBorder: false }, afterBuildTicks: (axis) => (axis.ticks = timeTicks(axis.min, axis.max)),
          ticks: { ...scale.ticks, callback: timeLabel, maxRotation: 0, autoSkip: false } },
        y: { ...scale, beginAtZero: this.zero, afterFit: (axis) => (axis.width = AXIS_WIDTH), ticks: { ...scale.ticks, maxTicksLimit: 5, precision: this.show === format.count ? 0 : undefined, callback: this.show } },
      },
      plugins: {
        legend: { display: false },
        marks: { colour: ink },
        crosshair: { colour: ink },
        tooltip: { ...tooltip, itemSort: (a, b) => b.parsed.y - a.parsed.y, callbacks: { title: ([item]) => this.when(item), label } },
      },
    };
  }

  when(item) {
    const bin = binOf(this.t);
    const gathered = bin ? `, ${this.how} of ${format.duration(bin / 1000)}` : "";
    return item ? format.clock(item.parsed.x) + gathered : "";
  }

  update(t, lines, generations) {
    const key = JSON.stringify([t.at(-1), t.length, lines.map((line) => [line.name, line.values.at(-1)]), generations.length]);
    if (key === this.drawn) return;
    this.drawn = key;
    Object.assign(this, { t, lines, generations });
    this.draw();
    this.showLegend();
    this.describe();
    this.fillTable();
  }

  draw() {
    const { t, lines, generations, chart } = this;
    const last = t.at(-1) ?? Date.now();
    chart.data.datasets = lines.map((line) => this.dataset(line));
    Object.assign(chart.options.scales.x, { min: Math.min(t[0] ?? last, last - SPAN_MIN_MS), max: last });
    chart.options.interaction.mode = lines.length > INDEX_LINES_MAX ? "nearest" : "index";
    chart.generations = generations;
    chart.update("none");
    this.none.hidden = lines.some((line) => line.values.some(format.known));
  }

  dataset({ name, values, tone }) {
    const alone = values.filter(format.known).length < 3; // a line of one point would be invisible
    return {
      label: name,
      hidden: this.hidden.has(name),
      data: thin(this.t, values, this.how),
      borderColor: css(`--series-${toneOf(tone)}`),
      backgroundColor: css(`--series-${toneOf(tone)}`),
      borderDash: dashOf(tone, this.lines.length),
      pointRadius: alone ? 2 : 0,
    };
  }

  showLegend() {
    redraw(this.legend, JSON.stringify(this.lines.map((line) => line.name)), () => {
      this.values = this.lines.map(() => el("span", { class: "latest" }));
      return this.lines.map((line, i) => el("li", {}, this.legendButton(line, i)));
    });
    this.lines.forEach((line, i) => say(this.values[i], this.show(format.latest(line.values))));
  }

  legendButton({ name, tone }, i) {
    const swatch = svg("svg", { class: `swatch series-${toneOf(tone)}`, viewBox: "0 0 20 8", width: 20, height: 8, "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 20, y1: 4, y2: 4, "stroke-dasharray": dashOf(tone, this.lines.length).join(" ") }));
    const button = el("button", { type: "button", "aria-pressed": String(!this.hidden.has(name)) }, swatch, el("span", { class: "line-name" }, name), " ", this.values[i]);
    button.addEventListener("click", () => this.toggle(name, button));
    return button;
  }

  toggle(name, button) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    button.setAttribute("aria-pressed", String(!this.hidden.has(name)));
    this.draw();
  }

  describe() {
    const { t, lines, generations, title } = this;
    const values = lines.map((line) => `${line.name} ${this.show(format.latest(line.values))}`).join(", ");
    const inside = generations.filter((generation) => generation.t >= t[0]);
    const swaps = inside.map((generation) => `${generation.name} at ${format.hourMinute(generation.t)}`).join(", ");
    const words = t.length ? `${title} from ${format.hourMinute(t[0])} to ${format.hourMinute(t.at(-1))}. Latest: ${values}.` : `${title}: no data yet`;
    this.canvas.setAttribute("aria-label", words + (swaps ? ` New generations: ${swaps}.` : ""));
    this.headings = ["Time", ...lines.map((line) => line.name), "Generation"];
  }

  /** Newest first. */
  rows() {
    const { t, lines, generations } = this;
    const swap = (i) => generations.filter((g) => g.t <= t[i] && (i === 0 ? g.t === t[0] : g.t > t[i - 1])).map((g) => g.name);
    return t.map((at, i) => [format.clock(at), ...lines.map((line) => this.show(line.values[i])), swap(i).join(", ")]).reverse();
  }

  retheme() {
    if (!this.lines) return;
    this.chart.options = this.options();
    this.draw();
  }
}

/** An arm's rate with its interval, a row each, and single values to compare with below. */
export class ArmChart extends Panel {
  constructor(parent, spec) {
    super(parent, spec);
    this.legend.remove();
    this.arms = [];
    this.others = [];
    this.chart = new Chart(this.canvas, { type: "bar", data: { labels: [], datasets: [] }, options: this.options() });
  }

  options() {
    const { scale, tooltip } = this.colours();
    return {
      indexAxis: "y",
      layout: { padding: { right: 12 } },
      scales: {
        x: { ...scale, beginAtZero: false, grace: "10%", afterDataLimits: (axis) => Object.assign(axis, rateLimits(axis)), ticks: { ...scale.ticks, callback: this.show, maxTicksLimit: 6, maxRotation: 0 } },
        y: { ...scale, grid: { display: false, drawBorder: false }, ticks: { ...scale.ticks, autoSkip: false, color: css("--ink") } },
      },
      plugins: {
        legend: { display: false },
        tooltip: { ...tooltip, displayColors: false, filter: (item) => item.datasetIndex === 0, callbacks: { title: () => "", label: (item) => this.words(item.dataIndex) } },
      },
    };
  }

  update(arms, others) {
    const key = JSON.stringify([arms.map((arm) => [arm.name, arm.hit20]), others]);
    if (key === this.drawn) return;
    this.drawn = key;
    this.entries = [...arms.map((arm) => [arm.name, arm.hit20]), ...others.map(([name, mean]) => [name, { mean }])];
    this.own = arms.length;
    this.draw();
    this.canvas.setAttribute("aria-label", `${this.title}. ${this.entries.map((_, i) => this.words(i)).join("; ")}.`);
    this.headings = ["Arm", "Rate", "Interval"];
    this.fillTable();
  }

  words(i) {
    const [name, estimate] = this.entries[i];
    const interval = format.interval(estimate, this.show);
    return `${name} ${this.show(estimate.mean)}${interval === format.NONE ? "" : `, ${interval}`}`;
  }

  rows() {
    return this.entries.map(([name, estimate]) => [name, this.show(estimate.mean), format.interval(estimate, this.show)]);
  }

  draw() {
    const { entries, own, chart } = this;
    const colours = entries.map((_, i) => (i < own ? css(`--series-${toneOf(i)}`) : css("--muted")));
    const bounds = entries.map(([, e]) => (format.known(e.low) && format.known(e.high) ? [e.low, e.high] : null));
    chart.data.labels = entries.map(([name]) => shorten(name));
    chart.data.datasets = [
      { type: "line", showLine: false, data: entries.map(([, e]) => e.mean), pointBackgroundColor: colours, pointBorderColor: colours,
        pointRadius: 4.5, pointStyle: entries.map((_, i) => (i < own ? "circle" : "rectRot")) },
      { data: bounds, backgroundColor: colours, barThickness: 3 },
    ];
    this.plot.style.height = `${Math.max(ROWS_PX_MIN, (entries.length + 2) * ROW_PX)}px`;
    chart.update("none");
    this.none.hidden = entries.some(([, e]) => format.known(e.mean));
  }

  retheme() {
    if (!this.entries) return;
    this.chart.options = this.options();
    this.draw();
  }
}
