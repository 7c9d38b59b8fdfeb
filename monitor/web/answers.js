// The first screen: are the lists fresh, good and stable, and is an arm winning? Each answer is a verdict, one figure and
// what stands behind it. The thresholds here are for the eye; alerts have their own (configs/).

import { el, redraw, status } from "./dom.js";
import * as format from "./format.js";
import { contenders, differs, recentMean } from "./overview.js";

const BEHIND_S = 10; // lag that takes longer than this to work off is worth saying
const CHURN_RATIO = 2; // churn now against the median of the window
const CHURN_FLOOR = 0.02; // below it nobody notices
export const GOOD_STEPS = 60; // 5 min: a hit rate of one step is mostly noise
const STABLE_STEPS = 12; // 1 min
const STEPS_MIN = 24; // fewer make no median to compare with

const answer = (level, verdict, figure, unit, rows) => ({ level, verdict, figure, unit, rows });

function freshVerdict(o) {
  const down = ["kafka", "redis", "state"].find((name) => o.health[name].up === false);
  if (down) return ["bad", `${{ kafka: "Kafka", redis: "Redis", state: "The state" }[down]} is down`];
  const lag = o.health.kafka.lag;
  const rate = format.latest(o.series.events_per_s);
  if (lag > 0 && !(rate > 0)) return ["warn", "Behind, and not moving"];
  if (lag > rate * BEHIND_S) return ["warn", `Behind: ${format.duration(lag / rate)} of events`];
  return format.known(o.latency.p50) ? ["good", "Fresh"] : ["unknown", "No list yet"];
}

function fresh(o) {
  return answer(...freshVerdict(o), format.milliseconds(o.latency.p50), "from event to list, median", [
    ["99th percentile", format.milliseconds(o.latency.p99)],
    ["lag, records", format.count(o.health.kafka.lag)],
    ["lists owed", format.count(o.totals.owed)],
    ["gap closed by an event", format.percent(format.median(o.series.gap_closed.filter(format.known).slice(-GOOD_STEPS)))],
  ]);
}

function goodVerdict(hit, baselines) {
  if (hit === null) return ["unknown", "Not known yet"];
  const [best] = baselines.filter(([, value]) => value !== null).sort((a, b) => b[1] - a[1]);
  if (!best) return ["unknown", "Nothing to compare with yet"];
  const [name, value] = best;
  if (hit <= value) return ["warn", `No better than ${name}`];
  return ["good", value > 0 ? `${format.number(hit / value)}× the best trend` : `Better than ${name}`];
}

function good(o) {
  const { hit20, hit20_popular, hit20_recent, events_per_s } = o.series;
  const now = (series) => recentMean(series, GOOD_STEPS, events_per_s);
  const baselines = [["recent", now(hit20_recent)], ["popular", now(hit20_popular)]];
  return answer(...goodVerdict(now(hit20), baselines), format.percent(now(hit20)), "hit rate @20, new to their user, 5 min", [
    ...baselines.map(([name, value]) => [`${name} items instead`, format.percent(value)]),
    ["NDCG@20 of the generation", format.distance(o.generation.ndcg20)],
    ["generation's age", format.duration(o.generation.age_s)],
  ]);
}

function stableVerdict(churn, now) {
  const values = churn.filter(format.known);
  if (!values.length) return ["unknown", "Not known yet"];
  const usual = format.median(values);
  const up = values.length >= STEPS_MIN && now > CHURN_FLOOR && now > usual * CHURN_RATIO;
  return up ? ["warn", `Churn is ${format.number(now / usual)}× the usual`] : ["good", "As usual"];
}

function stable(o) {
  const { churn_rbo, churn_jaccard, drift, lists_per_s, events_per_s } = o.series;
  const now = (series, weights) => recentMean(series, STABLE_STEPS, weights);
  const churn = now(churn_rbo, lists_per_s);
  const { held, lists } = o.totals;
  return answer(...stableVerdict(churn_rbo, churn), format.distance(churn), "churn of a rewrite, 1 − RBO, 1 min", [
    ["1 − Jaccard@20", format.distance(now(churn_jaccard, lists_per_s))],
    ["user drift", format.distance(now(drift, events_per_s))],
    ["rewrites held back", format.percent(held + lists > 0 ? held / (held + lists) : null)],
    ["lists written", format.count(lists)],
  ]);
}

const byUplift = (a, b) => (b.uplift?.mean ?? -Infinity) - (a.uplift?.mean ?? -Infinity);

function armVerdict(o, arms, ahead, best) {
  if (o.experiment.sample_ratio_alarm) return ["bad", "The split of users is off"];
  if (!arms.length) return ["unknown", "No arm to compare"];
  if (o.experiment.state === "waiting") return ["unknown", "Not begun"];
  if (ahead) return ["good", `${ahead.name} is ahead`];
  const stopped = arms.filter((arm) => arm.state === "stopped");
  if (stopped.length === arms.length) return ["bad", arms.length === 1 ? `${stopped[0].name} is stopped` : "All arms are stopped"];
  if (stopped.length) return ["warn", `${stopped.map((arm) => arm.name).join(", ")} stopped`];
  if (best && differs(best, o.experiment)) return ["warn", "Control is ahead"];
  return ["unknown", "No difference shown yet"];
}

function winning(o) {
  const arms = contenders(o);
  const measured = arms.filter((arm) => arm.uplift).sort(byUplift);
  const running = measured.filter((arm) => arm.state !== "stopped");
  const ahead = running.find((arm) => differs(arm, o.experiment) && arm.uplift.mean > 0);
  const best = ahead ?? running[0] ?? measured[0];
  const uplift = best?.uplift ?? {};
  return answer(...armVerdict(o, arms, ahead, running[0]), format.change(uplift.relative), best ? `hit rate @20, ${best.name} to control` : "hit rate @20 to control", [
    ["difference, points", format.points(uplift.mean)],
    ["interval", format.interval(uplift, format.points)],
    ["p, valid at any time", format.probability(uplift.p)],
    ["users in it", format.count(best?.users)],
  ]);
}

const QUESTIONS = [["Are the lists fresh?", fresh], ["Are they good?", good], ["Are they stable?", stable], ["Is an arm winning?", winning]];

function card(question, { level, verdict, figure, unit, rows }) {
  return el("article", { class: "card answer", "data-status": level },
    el("h3", {}, question),
    el("p", { class: "verdict" }, status(level, verdict)),
    el("p", { class: "figure" }, el("strong", {}, figure), " ", el("span", {}, unit)),
    el("dl", {}, ...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

export function showAnswers(node, overview) {
  const answers = QUESTIONS.map(([question, make]) => [question, make(overview)]);
  redraw(node, JSON.stringify(answers), () => answers.map(([question, made]) => card(question, made)));
}
