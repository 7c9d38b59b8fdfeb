/* The answer to "status": what docs/METRICS.md defines, as one JSON object. */
#include "daemon/daemon.h"
#include "base/clock.h"
#include "model/generation_manifest.h"

#include <math.h>

static void write_records(struct daemon *daemon, struct json_writer *w)
{
    uint64_t total = 0;
    json_begin_object(w, "records");
    for (int c = 0; c < COUNTER_COUNT; c++) {
        uint64_t count = history_counter(daemon->history, (enum counter)c);
        json_int(w, counter_names[c], (int64_t)count);
        total += count;
    }
    json_int(w, "total", (int64_t)total);
    json_int(w, "this_run", (int64_t)line_figures(daemon->line)->events);
    json_end_object(w);
    json_begin_object(w, "dead");
    for (int r = 0; r < DEAD_REASON_COUNT; r++)
        json_int(w, dead_reason_name((enum dead_reason)r),
                 (int64_t)history_dead_count(daemon->history, (enum dead_reason)r));
    json_end_object(w);
}

static void write_partitions(struct daemon *daemon, struct json_writer *w)
{
    int32_t partitions[PARTITIONS_MAX];
    size_t count = history_partitions(daemon->history, partitions, PARTITIONS_MAX);
    json_int(w, "assigned", (int64_t)count);
    json_begin_array(w, "partitions");
    for (size_t i = 0; i < count; i++) {
        const struct partition_record *record =
            history_partition(daemon->history, false, partitions[i]);
        json_begin_object(w, NULL);
        json_int(w, "partition", partitions[i]);
        if (record != NULL) {
            json_int(w, "next_offset", record->next_offset);
            json_int(w, "stream_ts", record->stream_ts_ms);
        }
        json_end_object(w);
    }
    json_end_array(w);
}

size_t daemon_owed(const struct daemon *daemon)
{
    bool scanning = renewal_running(daemon->renewal) && renewal_left(daemon->renewal) == 0;
    return renewal_left(daemon->renewal) + line_queued(daemon->line) + (scanning ? 1 : 0);
}

static void write_lists(struct daemon *daemon, struct json_writer *w)
{
    const struct publisher_figures *figures = publisher_figures(daemon->publisher);
    const struct line_figures *line = line_figures(daemon->line);
    json_begin_object(w, "lists");
    json_int(w, "sent", (int64_t)figures->sent);
    json_int(w, "stored", (int64_t)figures->stored);
    json_int(w, "older", (int64_t)figures->older);
    json_int(w, "refused", (int64_t)figures->refused);
    json_int(w, "unsent", (int64_t)figures->unsent);
    json_int(w, "bytes", (int64_t)figures->bytes);
    json_begin_object(w, "by_cause");
    for (int cause = 0; cause < CAUSE_COUNT; cause++)
        json_int(w, slate_cause_name((enum slate_cause)cause), (int64_t)line->lists[cause]);
    json_end_object(w);
    json_end_object(w);
    json_int(w, "queued", (int64_t)line_queued(daemon->line));
    json_int(w, "owed", (int64_t)daemon_owed(daemon));
}

static void write_latency(struct daemon *daemon, struct json_writer *w)
{
    const struct histogram *h = watch_event_to_list(daemon->watch);
    json_begin_object(w, "latency");
    json_begin_object(w, "event_to_list_ms");
    json_int(w, "count", (int64_t)h->count);
    json_real6(w, "p50", histogram_quantile(h, 0.5));
    json_real6(w, "p90", histogram_quantile(h, 0.9));
    json_real6(w, "p99", histogram_quantile(h, 0.99));
    json_real6(w, "max", histogram_quantile(h, 1.0));
    json_real6(w, "mean", h->count ? h->sum_ms / (double)h->count : NAN);
    json_end_object(w);
    json_end_object(w);
}

static void write_accuracy_count(struct json_writer *w, const char *key,
                                 const struct accuracy_count *count)
{
    double events = (double)count->events;
    json_begin_object(w, key);
    json_int(w, "events", (int64_t)count->events);
    json_int(w, "hits10", (int64_t)count->hits10);
    json_int(w, "hits20", (int64_t)count->hits20);
    json_real6(w, "hit@10", (double)count->hits10 / events);
    json_real6(w, "hit@20", (double)count->hits20 / events);
    json_real6(w, "mrr@20", count->reciprocal_ranks / events);
    json_end_object(w);
}

static void write_accuracy(struct daemon *daemon, struct json_writer *w)
{
    static const char *const scopes[ACCURACY_SCOPES] = {"all", "new"};
    const struct accuracy *accuracy = watch_accuracy(daemon->watch);
    json_begin_object(w, "accuracy");
    for (int scope = 0; scope < ACCURACY_SCOPES; scope++) {
        const struct accuracy_count *counts = accuracy->counts[scope];
        json_begin_object(w, scopes[scope]);
        write_accuracy_count(w, "freshet", &counts[ACCURACY_FRESHET]);
        write_accuracy_count(w, "popular", &counts[ACCURACY_POPULAR]);
        json_begin_object(w, "recent");
        for (int h = 0; h < HALF_LIFE_COUNT; h++)
            write_accuracy_count(w, half_life_names[h], &counts[ACCURACY_RECENT + h]);
        json_end_object(w);
        json_end_object(w);
    }
    json_text(w, "recent_best", half_life_names[accuracy_best_half_life(accuracy)]);
    json_end_object(w);
}

static void write_generation(struct daemon *daemon, struct json_writer *w)
{
    const struct state_meta *meta = history_meta(daemon->history);
    const struct generation *generation;
    struct state_series series = daemon_live_series(daemon, &generation);
    const struct trainer_figures *trainer = trainer_figures(daemon->trainer);
    json_begin_object(w, "generation");
    json_int(w, "number", (int64_t)series.generation);
    json_int(w, "swaps", meta->swap);
    json_int(w, "newest", (int64_t)series.newest_generation);
    json_int(w, "refused_in_a_row", series.gate_refusals);
    json_bool(w, "in_memory", generation != NULL);
    if (generation != NULL) {
        json_int(w, "items", (int64_t)generation->items);
        json_int(w, "rank", generation->hyper.rank);
        manifest_write_weights(w, &generation->weights);
        json_real6(w, "ndcg20", generation->figures.ndcg20);
        json_real6(w, "ndcg20_recent", generation->figures.ndcg20_recent);
    }
    json_end_object(w);
    json_begin_object(w, "trainer");
    json_bool(w, "running", trainer->running);
    json_int(w, "runs", (int64_t)trainer->runs);
    json_int(w, "failures", (int64_t)trainer->failures);
    json_bool(w, "failing", trainer->failing);
    json_text(w, "why", trainer->failing ? trainer->why : "");
    json_real6(w, "last_s", trainer->last_s);
    json_end_object(w);
    json_begin_object(w, "follow");
    json_text(w, "dir", daemon->settings->train.follow);
    json_text(w, "why", daemon->follower != NULL ? follower_why(daemon->follower) : "");
    json_end_object(w);
}

static void write_line(struct daemon *daemon, struct json_writer *w)
{
    const struct line_figures *line = line_figures(daemon->line);
    const struct settling_figures *settling = settling_figures(line_settling(daemon->line));
    json_begin_object(w, "line");
    json_int(w, "batches", (int64_t)line->batches);
    json_int(w, "slates", (int64_t)line->slates);
    json_int(w, "commits", (int64_t)settling->commits);
    json_int(w, "commit_failures", (int64_t)settling->failures);
    json_real6(w, "learn_s", line->learn_s);
    json_real6(w, "score_s", line->score_s);
    json_real6(w, "cpu_s", (double)clock_cpu_ns() * 1e-9);
    json_end_object(w);
}

void daemon_status(struct daemon *daemon, struct json_writer *w)
{
    const char *trouble = settling_trouble(line_settling(daemon->line));
    json_text(w, "state", daemon->draining || daemon->leaving ? "draining" : "running");
    json_real6(w, "uptime_s", (double)(clock_monotonic_ns() - daemon->began_ns) * 1e-9);
    json_text(w, "http", daemon->http != NULL ? http_listens(daemon->http) : NULL);
    json_begin_object(w, "kafka");
    json_bool(w, "up", daemon->kafka_up);
    json_text(w, "why", daemon->kafka_why);
    json_int(w, "lag", consumer_lag(daemon->consumer));
    json_end_object(w);
    json_begin_object(w, "redis");
    json_bool(w, "up", publisher_is_up(daemon->publisher));
    json_text(w, "why", daemon->redis_why);
    json_int(w, "epoch", history_meta(daemon->history)->epoch);
    json_end_object(w);
    json_begin_object(w, "disk");
    json_bool(w, "up", trouble == NULL);
    json_text(w, "why", trouble != NULL ? trouble : "");
    json_bool(w, "memory_full", history_is_full(daemon->history));
    json_end_object(w);
    write_records(daemon, w);
    write_partitions(daemon, w);
    write_lists(daemon, w);
    write_latency(daemon, w);
    write_generation(daemon, w);
    write_accuracy(daemon, w);
    daemon_status_figures(daemon, w);
    write_line(daemon, w);
    json_int(w, "items", items_count(history_items(daemon->history)));
    json_bool(w, "catching_up", history_is_catching_up(daemon->history));
    json_bool(w, "dead_letters_full", history_dead_full(daemon->history));
}
