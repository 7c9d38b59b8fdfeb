/* The answer to "/metrics": what the stations know. */
#include "daemon/metrics.h"
#include "base/log.h"
#include "daemon/daemon.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

static void add_health(struct daemon *daemon, struct exposition *e)
{
    bool state_up = settling_trouble(line_settling(daemon->line)) == NULL;
    exposition_add(e, "freshet_build_info", METRIC_LABELS({"version", FRESHET_VERSION}), 1);
    exposition_add(e, "freshet_draining", NULL, daemon->draining || daemon->leaving);
    exposition_add(e, "freshet_kafka_up", NULL, daemon->kafka_up);
    exposition_add(e, "freshet_redis_up", NULL, daemon_redis_is_up(daemon));
    exposition_add(e, "freshet_state_up", NULL, state_up);
    exposition_add_histogram(e, "freshet_loop_lag_seconds", NULL, &daemon->pulse.lateness);
}

static void add_records(struct daemon *daemon, struct exposition *e)
{
    for (int c = 0; c < COUNTER_COUNT; c++)
        exposition_add(e, "freshet_records_total", METRIC_LABELS({"kind", counter_names[c]}),
                       (double)history_counter(daemon->history, (enum counter)c));
    for (int r = 0; r < DEAD_REASON_COUNT; r++)
        exposition_add(e, "freshet_dead_letters_total",
                       METRIC_LABELS({"reason", dead_reason_name((enum dead_reason)r)}),
                       (double)history_dead_count(daemon->history, (enum dead_reason)r));
    exposition_add(e, "freshet_learned_records_total", NULL,
                   (double)line_figures(daemon->line)->events);
    exposition_add(e, "freshet_dead_letters_full", NULL, history_dead_full(daemon->history));
    exposition_add(e, "freshet_items", NULL, items_count(history_items(daemon->history)));
}

static void add_partition(struct exposition *e, int32_t partition,
                          const struct partition_record *record)
{
    char number[16];
    snprintf(number, sizeof number, "%d", partition);
    const struct metric_label *labels = METRIC_LABELS({"partition", number});
    bool has_time = record->stream_ts_ms != INT64_MIN;
    exposition_add(e, "freshet_kafka_next_offset", labels, (double)record->next_offset);
    exposition_add(e, "freshet_stream_timestamp_seconds", labels,
                   has_time ? (double)record->stream_ts_ms / 1e3 : NAN);
}

static void add_partitions(struct daemon *daemon, struct exposition *e)
{
    int32_t partitions[PARTITIONS_MAX];
    size_t count = history_partitions(daemon->history, partitions, PARTITIONS_MAX);
    int64_t lag = consumer_lag(daemon->consumer);
    exposition_add(e, "freshet_kafka_assigned_partitions", NULL, (double)count);
    exposition_add(e, "freshet_kafka_lag_records", NULL, lag >= 0 ? (double)lag : NAN);
    for (size_t i = 0; i < count; i++) {
        const struct partition_record *record =
            history_partition(daemon->history, false, partitions[i]);
        if (record != NULL)
            add_partition(e, partitions[i], record);
    }
}

static void add_outcome(struct exposition *e, const char *outcome, uint64_t lists)
{
    exposition_add(e, "freshet_lists_total", METRIC_LABELS({"outcome", outcome}), (double)lists);
}

static void add_publisher(struct daemon *daemon, struct exposition *e)
{
    const struct publisher_figures *figures = publisher_figures(daemon->publisher);
    add_outcome(e, "stored", figures->stored);
    add_outcome(e, "older", figures->older);
    add_outcome(e, "refused", figures->refused);
    add_outcome(e, "unsent", figures->unsent);
    exposition_add(e, "freshet_list_bytes_total", NULL, (double)figures->bytes);
    exposition_add(e, "freshet_changes_refused_total", NULL, (double)figures->changes_refused);
    exposition_add(e, "freshet_redis_connects_total", NULL, (double)figures->connects);
    exposition_add(e, "freshet_redis_losses_total", NULL, (double)figures->losses);
}

static void add_lists(struct daemon *daemon, struct exposition *e)
{
    const struct line_figures *line = line_figures(daemon->line);
    for (int cause = 0; cause < CAUSE_COUNT; cause++)
        exposition_add(e, "freshet_lists_acknowledged_total",
                       METRIC_LABELS({"cause", slate_cause_name((enum slate_cause)cause)}),
                       (double)line->lists[cause]);
    exposition_add(e, "freshet_queued_users", NULL, (double)line_queued(daemon->line));
    exposition_add(e, "freshet_owed_users", NULL, (double)daemon_owed(daemon));
    exposition_add_histogram(e, "freshet_event_to_list_seconds", NULL,
                             watch_event_to_list(daemon->watch));
    exposition_add_histogram(e, "freshet_event_time_to_list_seconds", NULL,
                             &watch_figures(daemon->watch, WATCH_ALL)->response.ts_ms);
}

static void add_accuracy_count(struct exposition *e, const char *scope, const char *method,
                               const struct accuracy_count *count)
{
    const struct metric_label *labels = METRIC_LABELS({"scope", scope}, {"method", method});
    exposition_add(e, "freshet_accuracy_events_total", labels, (double)count->events);
    exposition_add(e, "freshet_accuracy_reciprocal_ranks_total", labels, count->reciprocal_ranks);
    exposition_add(e, "freshet_accuracy_hits_total",
                   METRIC_LABELS({"scope", scope}, {"method", method}, {"k", "10"}),
                   (double)count->hits10);
    exposition_add(e, "freshet_accuracy_hits_total",
                   METRIC_LABELS({"scope", scope}, {"method", method}, {"k", "20"}),
                   (double)count->hits20);
}

static void add_accuracy(struct daemon *daemon, struct exposition *e)
{
    static const char *const scopes[ACCURACY_SCOPES] = {"all", "new"};
    const struct accuracy *accuracy = watch_accuracy(daemon->watch);
    for (int scope = 0; scope < ACCURACY_SCOPES; scope++) {
        const struct accuracy_count *counts = accuracy->counts[scope];
        add_accuracy_count(e, scopes[scope], "freshet", &counts[ACCURACY_FRESHET]);
        add_accuracy_count(e, scopes[scope], "popular", &counts[ACCURACY_POPULAR]);
        for (int h = 0; h < HALF_LIFE_COUNT; h++) {
            char method[32];
            snprintf(method, sizeof method, "recent_%s", half_life_names[h]);
            add_accuracy_count(e, scopes[scope], method, &counts[ACCURACY_RECENT + h]);
        }
    }
}

/* When the file of a generation was written; NaN if it is not there any more. */
double daemon_generation_written_s(const struct daemon *daemon)
{
    const struct generation *generation;
    struct state_series live = daemon_live_series(daemon, &generation);
    char path[PATH_MAX];
    struct stat file;
    generation_path(path, sizeof path, daemon->settings->state.dir, live.key, live.generation);
    return stat(path, &file) == 0 ? (double)file.st_mtim.tv_sec : NAN;
}

static void add_live_generation(const struct daemon *daemon, struct exposition *e,
                                const struct generation *generation)
{
    const struct score_weights *weights = &generation->weights;
    exposition_add(e, "freshet_generation_written_timestamp_seconds", NULL,
                   daemon_generation_written_s(daemon));
    exposition_add(e, "freshet_generation_items", NULL, (double)generation->items);
    exposition_add(e, "freshet_generation_rank", NULL, generation->hyper.rank);
    exposition_add(e, "freshet_generation_ndcg20", NULL, generation->figures.ndcg20);
    exposition_add(e, "freshet_generation_ndcg20_recent", NULL, generation->figures.ndcg20_recent);
    exposition_add(e, "freshet_generation_weight", METRIC_LABELS({"term", "taste"}),
                   weights->taste);
    exposition_add(e, "freshet_generation_weight", METRIC_LABELS({"term", "trend"}),
                   weights->trend);
    exposition_add(e, "freshet_generation_weight", METRIC_LABELS({"term", "together"}),
                   weights->together);
}

/* Of control's last swap; NaN before there was one with users to look at. */
static double foldin_distance(const struct daemon *daemon)
{
    uint32_t control = scorers_control(daemon->scorers);
    const struct shift_figures *shift = &watch_figures(daemon->watch, control)->shift;
    return shift->users > 0 ? shift->score_distance : NAN;
}

static void add_generation(struct daemon *daemon, struct exposition *e)
{
    const struct state_meta *meta = history_meta(daemon->history);
    const struct generation *generation;
    struct state_series series = daemon_live_series(daemon, &generation);
    exposition_add(e, "freshet_generation_number", NULL, (double)series.generation);
    exposition_add(e, "freshet_generation_newest_number", NULL, (double)series.newest_generation);
    exposition_add(e, "freshet_generation_swaps_total", NULL, meta->swap);
    exposition_add(e, "freshet_generation_refusals_in_a_row", NULL, series.gate_refusals);
    exposition_add(e, "freshet_generation_foldin_distance", NULL, foldin_distance(daemon));
    if (generation != NULL)
        add_live_generation(daemon, e, generation);
}

static void add_trainer(struct daemon *daemon, struct exposition *e)
{
    const struct trainer_figures *trainer = trainer_figures(daemon->trainer);
    exposition_add(e, "freshet_trainer_running", NULL, trainer->running);
    exposition_add(e, "freshet_trainer_interval_seconds", NULL,
                   (double)daemon->settings->train.every_ms / 1e3);
    exposition_add(e, "freshet_trainer_last_duration_seconds", NULL,
                   trainer->last_s > 0 ? trainer->last_s : NAN);
    bool follows = daemon->follower == NULL || follower_why(daemon->follower)[0] == '\0';
    exposition_add(e, "freshet_train_follow_failing", NULL, !follows);
    exposition_add(e, "freshet_trainer_runs_total", NULL, (double)trainer->runs);
    exposition_add(e, "freshet_trainer_failures_total", NULL, (double)trainer->failures);
}

static void add_line(struct daemon *daemon, struct exposition *e)
{
    const struct line_figures *line = line_figures(daemon->line);
    const struct settling_figures *settling = settling_figures(line_settling(daemon->line));
    exposition_add(e, "freshet_batches_total", NULL, (double)line->batches);
    exposition_add(e, "freshet_slates_total", NULL, (double)line->slates);
    exposition_add(e, "freshet_commits_total", NULL, (double)settling->commits);
    exposition_add(e, "freshet_commit_failures_total", NULL, (double)settling->failures);
    exposition_add(e, "freshet_learn_seconds_total", NULL, line->learn_s);
    exposition_add(e, "freshet_score_seconds_total", NULL, line->score_s);
}

static struct metric_sum sum_of(const struct response_mean *mean)
{
    return (struct metric_sum){mean->count, mean->sum};
}

static void take_churn(const struct churn *churn, struct arm_metrics *arm)
{
    for (int cause = 0; cause < CAUSE_COUNT; cause++) {
        const struct churn_sums *sums = &churn->causes[cause];
        arm->lists += sums->rewrites;
        arm->churn[cause][CHURN_RBO] = (struct metric_sum){sums->rewrites, sums->rbo};
        arm->churn[cause][CHURN_JACCARD] = (struct metric_sum){sums->rewrites, sums->jaccard};
        arm->churn[cause][CHURN_NET_RBO] = (struct metric_sum){sums->net_rewrites, sums->net_rbo};
        arm->churn[cause][CHURN_NET_JACCARD] =
            (struct metric_sum){sums->net_rewrites, sums->net_jaccard};
    }
    arm->lists += churn->first;
    for (int hold = 0; hold < HOLD_COUNT; hold++)
        arm->held[hold] = churn->held[hold];
}

static void take_hits(const struct hits *hits, struct arm_metrics *arm)
{
    for (int a = ATTRIBUTION_NONE; a < ATTRIBUTION_COUNT; a++)
        arm->attributed[a] = hits->attribution[a];
    arm->chr = hits->chosen;
}

static void take_response(const struct response *response, struct arm_metrics *arm)
{
    arm->first_change = sum_of(&response->to_change);
    arm->gap_closed = sum_of(&response->gap_closed);
    arm->neighbour_lift = sum_of(&response->neighbour_lift);
    arm->drift = sum_of(&response->drift);
}

static void take_quality(const struct quality *quality, uint32_t items, struct arm_metrics *arm)
{
    struct quality_window window = quality_window(quality);
    arm->novelty = sum_of(&quality->novelty);
    arm->diversity = sum_of(&quality->diversity);
    arm->coverage = (double)window.items / (double)items;
    arm->top_item_share = (double)window.top_lists / (double)window.lists;
    arm->fallback_share = (double)quality->fallback / (double)quality->lists;
    arm->new_item_share = (double)quality->new_items / (double)quality->places;
}

static void take_trial(const struct scoreboard_arm *board, struct arm_metrics *arm)
{
    arm->users = (double)board->sums.users;
    arm->events = board->sums.events;
    arm->hits10 = board->sums.hits10;
    arm->hits20 = board->sums.hits20;
    arm->reciprocal_ranks = board->sums.rr;
    arm->hit_ratio = board->hit20.mean;
    arm->hit_ratio_low = board->hit20.low;
    arm->hit_ratio_high = board->hit20.high;
    arm->uplift = board->uplift.mean;
    arm->uplift_low = board->uplift.low;
    arm->uplift_high = board->uplift.high;
    arm->uplift_p = board->control || board->shadow ? NAN : board->uplift.p;
}

static void add_arm(struct daemon *daemon, struct exposition *e, uint32_t i)
{
    const struct watch_figures *figures = watch_figures(daemon->watch, i);
    const struct scoreboard_arm *board = &experiment_scoreboard(daemon->experiment)->arms[i];
    const struct generation *generation = scorer_generation(scorers_at(daemon->scorers, i));
    struct arm_metrics arm = {
        .name = daemon->settings->arms[i].name,
        .share = board->shadow ? daemon->settings->arms[i].share : board->share,
        .stopped = experiment_why_stopped(daemon->experiment, i) != NULL,
        .generation = generation != NULL ? generation->number : 0,
    };
    arm.counted = !board->shadow && history_partitions(daemon->history, NULL, 0) > 0;
    take_trial(board, &arm);
    take_churn(&figures->churn, &arm);
    take_hits(&figures->hits, &arm);
    take_response(&figures->response, &arm);
    take_quality(&figures->quality, items_count(history_items(daemon->history)), &arm);
    metrics_add_arm(e, &arm);
}

static void add_arms(struct daemon *daemon, struct exposition *e)
{
    experiment_look(daemon->experiment);
    metrics_add_experiment(
        e, &(struct experiment_metrics){
               .id = daemon->settings->experiment.id,
               .running = experiment_phase(daemon->experiment) == EXPERIMENT_RUNNING,
               .sample_ratio_p = experiment_scoreboard(daemon->experiment)->sample_ratio_p,
           });
    for (uint32_t i = 0; i < daemon->settings->arm_count; i++)
        add_arm(daemon, e, i);
    metrics_add_hits(e, &watch_figures(daemon->watch, WATCH_ALL)->hits,
                     daemon->settings->events.names, daemon->settings->events.type_count);
}

void daemon_metrics(struct daemon *daemon, struct buffer *out)
{
    struct exposition e;
    exposition_init(&e, metrics_rows, metrics_row_count);
    add_health(daemon, &e);
    add_records(daemon, &e);
    add_partitions(daemon, &e);
    add_publisher(daemon, &e);
    add_lists(daemon, &e);
    add_accuracy(daemon, &e);
    add_generation(daemon, &e);
    add_trainer(daemon, &e);
    add_line(daemon, &e);
    add_arms(daemon, &e);
    metrics_add_process(&e, (double)daemon->began_ms / 1e3);
    if (e.left_out > 0)
        log_error("metrics: %u series are not in the table", e.left_out);
    exposition_write(&e, out);
    exposition_deinit(&e);
}
