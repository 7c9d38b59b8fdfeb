// The dashboard: asks the daemon for /api/overview and shows it. Everything it knows is in that one answer.

import { ArmChart, TimeChart } from "./charts.js";
import { GOOD_STEPS, showAnswers } from "./answers.js";
import { experimentWords, showArms } from "./arms.js";
import { byId, el, redraw, say } from "./dom.js";
import * as format from "./format.js";
import { showHealth, showTotals } from "./health.js";
import { showNotices } from "./notices.js";
import { recentMean, whole } from "./overview.js";

const POLL_MS = 2000;
const ANSWER_MS = 5000;
const TOKEN_KEY = "freshet-token";

const TIME_CHARTS = [
  { id: "throughput", title: "Throughput", hint: "per second", show: format.number,
    lines: [["events", "events_per_s"], ["lists", "lists_per_s"]] },
  { id: "latency", title: "Event to list", hint: "from Kafka's timestamp to Redis' answer", show: format.milliseconds, how: "worst",
    lines: [["median", "event_to_list_p50_ms"], ["99th percentile", "event_to_list_p99_ms"]] },
  { id: "lag", title: "Lag", hint: "records not yet taken", show: format.count, how: "worst", lines: [["lag", "lag"]] },
  { id: "hits", title: "Hit rate @20", hint: "of items new to their user, beside lists of popular and recent items", show: format.percent,
    lines: [["freshet", "hit20"], ["recent", "hit20_recent"], ["popular", "hit20_popular"]] },
  { id: "churn", title: "Churn", hint: "distance of a list to the one before", show: format.distance,
    lines: [["1 − RBO", "churn_rbo"], ["1 − Jaccard@20", "churn_jaccard"]] },
  { id: "response", title: "Responsiveness", hint: "what one event changes", show: format.distance,
    lines: [["gap closed", "gap_closed"], ["user drift", "drift"]] },
];

const ARM_SERIES = [
  { id: "arm-hits", title: "Hit rate @20 over time", hint: "by arm, of items new to their user", show: format.percent, zero: false, key: "hit20" },
  { id: "arm-churn", title: "Churn over time", hint: "by arm, 1 − RBO", show: format.distance, key: "churn_rbo" },
];

const charts = TIME_CHARTS.map((spec) => ({ spec, chart: new TimeChart(byId("charts"), spec) }));
const intervals = new ArmChart(byId("arm-charts"), {
  id: "arm-intervals", title: "Hit rate @20 by arm", hint: "since it began, with interval; trends of 5 min", show: format.percent,
});
const armCharts = ARM_SERIES.map((spec) => ({ spec, chart: new TimeChart(byId("arm-charts"), spec) }));

let overview = null; // the last answer
let lost = null; // words, while there is none
let timer = null;
let asking = false;

function showBar() {
  const { version, state, uptime_s } = overview;
  say(byId("daemon"), [state, version, format.known(uptime_s) ? `up ${format.duration(uptime_s)}` : ""].filter(Boolean).join(" · "));
  say(byId("as-of"), `as of ${format.clock(overview.now)}`);
}

function showConnection() {
  const node = byId("connection");
  const state = lost ? "lost" : overview ? "live" : "connecting";
  node.dataset.state = state;
  say(node, lost ? "no answer" : state);
  document.title = lost ? "(no answer) Freshet" : "Freshet";
}

function showCharts() {
  const { series, generations, arms } = overview;
  const line = (name, values, tone) => ({ name, values, tone });
  for (const { spec, chart } of charts)
    chart.update(series.t, spec.lines.map(([name, key], tone) => line(name, series[key], tone)), generations);
  for (const { spec, chart } of armCharts)
    chart.update(series.t, arms.map((arm, tone) => line(arm.name, arm.series[spec.key], tone)), generations);
  const trend = (values) => recentMean(values, GOOD_STEPS, series.events_per_s);
  intervals.update(arms, [["recent items", trend(series.hit20_recent)], ["popular items", trend(series.hit20_popular)]]);
  const t = series.t;
  say(byId("span"), t.length > 1 ? `the last ${format.duration((t[t.length - 1] - t[0]) / 1000)}` : "");
}

function showAll() {
  showBar();
  showAnswers(byId("answers"), overview);
  showHealth(byId("health"), overview);
  showTotals(byId("totals"), overview.totals);
  say(byId("experiment"), experimentWords(overview.experiment));
  showArms(byId("arms"), overview);
  showCharts();
}

// -- asking -----------------------------------------------------------------------------------------------------------

function headers() {
  const token = sessionStorage.getItem(TOKEN_KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function ask() {
  const response = await fetch("api/overview", { headers: headers(), cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  byId("token").hidden = response.status !== 401 && response.status !== 403;
  if (!response.ok) throw new Error(`it says ${response.status} to /api/overview`);
  return whole(await response.json());
}

function lostWords(error) {
  const since = overview ? `The figures are of ${format.clock(overview.now)}.` : "";
  const why = error.message.startsWith("it says") ? `${error.message}. ` : "";
  return `${why}${since} Asking again every ${POLL_MS / 1000} s.`.trim();
}

async function poll() {
  if (asking) return;
  asking = true;
  try {
    overview = await ask();
    lost = null;
  } catch (error) {
    lost ??= lostWords(error);
  }
  asking = false;
  schedule();
  showConnection();
  showNotices(byId("notices"), overview, lost);
  if (overview && !lost) showAll();
}

function schedule() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, POLL_MS);
}

function showVisible() {
  if (document.hidden) clearTimeout(timer);
  else poll();
}

function useToken(event) {
  event.preventDefault();
  sessionStorage.setItem(TOKEN_KEY, byId("token-text").value.trim());
  byId("token-text").value = "";
  poll();
}

byId("token").addEventListener("submit", useToken);
document.addEventListener("visibilitychange", showVisible);
document.addEventListener("themechange", () => [...charts, ...armCharts, { chart: intervals }].forEach(({ chart }) => chart.retheme()));
poll();
