/* The answers to "overview" and "arms": what the dashboard, `freshet top` and `freshet arms` show.
 * docs/openapi.json has their shape. No user is named. */
#include "daemon/daemon.h"
#include "base/clock.h"

#include <math.h>

/* -- arms -------------------------------------------------------------------------------------- */

static void write_estimate(struct json_writer *w, const char *key,
                           const struct rate_interval *estimate)
{
    json_begin_object(w, key);
    json_real6(w, "mean", estimate->mean);
    json_real6(w, "low", estimate->low);
    json_real6(w, "high", estimate->high);
    json_end_object(w);
}

static void write_uplift(struct json_writer *w, const char *key, const struct uplift *uplift)
{
    json_begin_object(w, key);
    json_real6(w, "mean", uplift->mean);
    json_real6(w, "low", uplift->low);
    json_real6(w, "high", uplift->high);
    json_real6(w, "relative", uplift->relative);
    json_real6(w, "p", uplift->p);
    json_end_object(w);
}

/* A shadow arm has no trial: what its lists would have hit, in this process, without intervals. */
static void write_shadow_hits(struct json_writer *w, const struct watch_figures *figures)
{
    const struct accuracy_count *count = &figures->hits.counts[ACCURACY_NEW];
    double events = (double)count->events;
    struct rate_interval hit20 = {(double)count->hits20 / events, NAN, NAN};
    struct rate_interval mrr20 = {count->reciprocal_ranks / events, NAN, NAN};
    json_text(w, "users", NULL);
    json_int(w, "events", (int64_t)count->events);
    json_real6(w, "hit10", (double)count->hits10 / events);
    write_estimate(w, "hit20", &hit20);
    write_estimate(w, "mrr20", &mrr20);
    json_text(w, "uplift", NULL);
}

static void write_trial(struct json_writer *w, const struct scoreboard_arm *arm)
{
    json_int(w, "users", (int64_t)arm->sums.users);
    json_int(w, "events", (int64_t)arm->sums.events);
    json_real6(w, "hit10", arm->hit10);
    write_estimate(w, "hit20", &arm->hit20);
    write_estimate(w, "mrr20", &arm->mrr20);
    if (arm->control)
        json_text(w, "uplift", NULL);
    else
        write_uplift(w, "uplift", &arm->uplift);
}

static uint64_t held_lists(const struct churn *churn)
{
    uint64_t held = 0;
    for (int hold = HOLD_NOTHING + 1; hold < HOLD_COUNT; hold++)
        held += churn->held[hold];
    return held;
}

static void write_lists(struct json_writer *w, const struct watch_figures *figures)
{
    struct churn_sums total = churn_total(&figures->churn);
    double rewrites = (double)total.rewrites;
    json_real6(w, "churn_rbo", total.rbo / rewrites);
    json_real6(w, "churn_jaccard", total.jaccard / rewrites);
    json_int(w, "lists", (int64_t)(total.rewrites + figures->churn.first));
    json_int(w, "held", (int64_t)held_lists(&figures->churn));
}

static const char *state_of(const struct daemon *daemon, uint32_t arm)
{
    if (experiment_why_stopped(daemon->experiment, arm) != NULL)
        return "stopped";
    bool control = experiment_scoreboard(daemon->experiment)->arms[arm].control;
    enum experiment_phase phase = experiment_phase(daemon->experiment);
    return experiment_phase_names[control ? EXPERIMENT_RUNNING : phase];
}

static void write_arm(struct daemon *daemon, struct json_writer *w, uint32_t i)
{
    const struct scoreboard_arm *arm = &experiment_scoreboard(daemon->experiment)->arms[i];
    const struct watch_figures *figures = watch_figures(daemon->watch, i);
    const struct generation *generation = scorer_generation(scorers_at(daemon->scorers, i));
    const char *why = experiment_why_stopped(daemon->experiment, i);
    json_begin_object(w, NULL);
    json_string(w, "name", figures->name);
    json_bool(w, "control", arm->control);
    json_bool(w, "shadow", arm->shadow);
    json_real6(w, "share", arm->shadow ? daemon->settings->arms[i].share : arm->share);
    json_text(w, "state", state_of(daemon, i));
    json_text(w, "why", why != NULL ? why : "");
    json_int(w, "generation", generation != NULL ? (int64_t)generation->number : 0);
    if (arm->shadow)
        write_shadow_hits(w, figures);
    else
        write_trial(w, arm);
    write_lists(w, figures);
    json_begin_object(w, "series");
    series_write_arm(recorder_series(daemon->recorder), figures->name, w);
    json_end_object(w);
    json_end_object(w);
}

static void write_time(struct json_writer *w, const char *key, int64_t ms)
{
    if (ms == INT64_MIN || ms == INT64_MAX)
        json_text(w, key, NULL);
    else
        json_int(w, key, ms);
}

static void write_experiment(struct daemon *daemon, struct json_writer *w)
{
    const struct settings *settings = daemon->settings;
    const struct scoreboard *board = experiment_scoreboard(daemon->experiment);
    json_begin_object(w, "experiment");
    json_text(w, "id", settings->experiment.id);
    json_text(w, "state",
              board->count < 2 ? "none"
                               : experiment_phase_names[experiment_phase(daemon->experiment)]);
    write_time(w, "start", settings->experiment.start_ms);
    write_time(w, "end", settings->experiment.end_ms);
    json_real6(w, "level", settings->experiment.level);
    json_real6(w, "sample_ratio_p", board->sample_ratio_p);
    json_bool(w, "sample_ratio_alarm", scoreboard_ratio_alarm(board));
    json_end_object(w);
}

void daemon_arms(struct daemon *daemon, struct json_writer *w)
{
    experiment_look(daemon->experiment);
    write_experiment(daemon, w);
    json_begin_array(w, "arms");
    for (uint32_t i = 0; i < daemon->settings->arm_count; i++)
        write_arm(daemon, w, i);
    json_end_array(w);
}

/* -- the rest of the overview ------------------------------------------------------------------ */

static void begin_part(struct json_writer *w, const char *name, bool up, const char *why)
{
    json_begin_object(w, name);
    json_bool(w, "up", up);
    json_text(w, "why", why);
}

static void write_trainer(struct daemon *daemon, struct json_writer *w, uint32_t refusals)
{
    const struct trainer_figures *trainer = trainer_figures(daemon->trainer);
    const char *follows = daemon->follower != NULL ? follower_why(daemon->follower) : "";
    const char *why = follows[0] != '\0' ? follows
                      : trainer->failing ? trainer->why
                      : refusals >= 3    ? "generations are refused by the gate"
                                         : "";
    begin_part(w, "trainer", why[0] == '\0', why);
    json_bool(w, "running", trainer->running);
    json_real6(w, "last_s", trainer->runs > 0 ? trainer->last_s : NAN);
    json_int(w, "refused_in_a_row", refusals);
    json_end_object(w);
}

static void write_health(struct daemon *daemon, struct json_writer *w, uint32_t refusals)
{
    const char *trouble = settling_trouble(line_settling(daemon->line));
    int64_t lag = consumer_lag(daemon->consumer);
    json_begin_object(w, "health");
    begin_part(w, "kafka", daemon->kafka_up, daemon->kafka_why);
    json_real6(w, "lag", lag >= 0 ? (double)lag : NAN);
    json_end_object(w);
    begin_part(w, "redis", daemon_redis_is_up(daemon), daemon_redis_why(daemon));
    json_end_object(w);
    begin_part(w, "state", trouble == NULL, trouble != NULL ? trouble : "");
    json_end_object(w);
    write_trainer(daemon, w, refusals);
    json_end_object(w);
}

static void write_totals(struct daemon *daemon, struct json_writer *w)
{
    const struct line_figures *line = line_figures(daemon->line);
    uint64_t held = 0;
    for (int hold = HOLD_NOTHING + 1; hold < HOLD_COUNT; hold++)
        held += line->held[hold];
    json_begin_object(w, "totals");
    json_int(w, "events", (int64_t)history_counter(daemon->history, COUNTER_APPLIED));
    json_int(w, "lists", (int64_t)publisher_figures(daemon->publisher)->stored);
    json_int(w, "held", (int64_t)held);
    json_int(w, "owed", (int64_t)daemon_owed(daemon));
    json_int(w, "dead", (int64_t)history_counter(daemon->history, COUNTER_DEAD));
    json_int(w, "items", items_count(history_items(daemon->history)));
    json_end_object(w);
}

static void write_latency(struct daemon *daemon, struct json_writer *w)
{
    const struct histogram *h = watch_event_to_list(daemon->watch);
    json_begin_object(w, "latency");
    json_begin_object(w, "event_to_list_ms");
    json_real6(w, "p50", histogram_quantile(h, 0.5));
    json_real6(w, "p90", histogram_quantile(h, 0.9));
    json_real6(w, "p99", histogram_quantile(h, 0.99));
    json_end_object(w);
    json_end_object(w);
}

static void write_generation(struct daemon *daemon, struct json_writer *w,
                             const struct generation *generation, uint64_t number)
{
    double written_s = daemon_generation_written_s(daemon);
    json_begin_object(w, "generation");
    json_int(w, "number", (int64_t)number);
    json_real6(w, "age_s", (double)clock_wall_ms() * 1e-3 - written_s);
    if (generation != NULL) {
        json_int(w, "items", (int64_t)generation->items);
        json_int(w, "rank", generation->hyper.rank);
        json_real6(w, "ndcg20", generation->figures.ndcg20);
    } else {
        json_text(w, "items", NULL);
        json_text(w, "rank", NULL);
        json_text(w, "ndcg20", NULL);
    }
    json_end_object(w);
}

static void write_mark(struct daemon *daemon, struct json_writer *w,
                       const struct recorder_mark *mark)
{
    json_begin_object(w, NULL);
    json_int(w, "number", (int64_t)mark->number);
    json_int(w, "t", mark->wall_ms);
    json_begin_array(w, "arms");
    for (uint32_t i = 0; i < scorers_count(daemon->scorers); i++)
        if (scorers_series_of(daemon->scorers, i) == mark->series)
            json_string(w, NULL, watch_figures(daemon->watch, i)->name);
    json_end_array(w);
    json_end_object(w);
}

static void write_marks(struct daemon *daemon, struct json_writer *w)
{
    struct recorder_mark marks[RECORDER_MARKS_MAX];
    size_t count = recorder_marks(daemon->recorder, marks);
    json_begin_array(w, "generations");
    for (size_t i = 0; i < count; i++)
        write_mark(daemon, w, &marks[i]);
    json_end_array(w);
}

void daemon_overview(struct daemon *daemon, struct json_writer *w)
{
    const struct generation *generation;
    struct state_series live = daemon_live_series(daemon, &generation);
    json_int(w, "now", clock_wall_ms());
    json_text(w, "version", FRESHET_VERSION);
    json_text(w, "state", daemon->draining || daemon->leaving ? "draining" : "running");
    json_real6(w, "uptime_s", (double)(clock_monotonic_ns() - daemon->began_ns) * 1e-9);
    write_health(daemon, w, live.gate_refusals);
    write_totals(daemon, w);
    write_latency(daemon, w);
    write_generation(daemon, w, generation, live.generation);
    json_int(w, "step_s", SERIES_STEP_MS / 1000);
    json_begin_object(w, "series");
    series_write(recorder_series(daemon->recorder), w);
    json_end_object(w);
    write_marks(daemon, w);
    daemon_arms(daemon, w);
}
