/* What the lists do, as JSON: the figures of monitor/watch.h, for "status". docs/METRICS.md has the
 * formulas and the names. */
#include "daemon/daemon.h"
#include "publisher/budget.h"

#include <math.h>

static double share(double part, uint64_t of)
{
    return of > 0 ? part / (double)of : NAN;
}

static void write_mean(struct json_writer *w, const char *key, const struct response_mean *mean)
{
    json_begin_object(w, key);
    json_int(w, "count", (int64_t)mean->count);
    json_real6(w, "mean", response_mean(mean));
    json_end_object(w);
}

/* -- churn ------------------------------------------------------------------------------------- */

static void write_churn_sums(struct json_writer *w, const struct churn_sums *sums)
{
    json_int(w, "rewrites", (int64_t)sums->rewrites);
    json_int(w, "changed", (int64_t)sums->changed);
    json_int(w, "gone", (int64_t)sums->gone);
    json_real6(w, "jaccard", share(sums->jaccard, sums->rewrites));
    json_real6(w, "rbo", share(sums->rbo, sums->rewrites));
    json_real6(w, "net_jaccard", share(sums->net_jaccard, sums->net_rewrites));
    json_real6(w, "net_rbo", share(sums->net_rbo, sums->net_rewrites));
}

static void write_churn(struct json_writer *w, const struct churn *churn)
{
    struct churn_sums total = churn_total(churn);
    json_begin_object(w, "churn");
    json_int(w, "first", (int64_t)churn->first);
    write_churn_sums(w, &total);
    json_begin_object(w, "held");
    for (int hold = HOLD_NOTHING + 1; hold < HOLD_COUNT; hold++)
        json_int(w, hold_name((enum hold)hold), (int64_t)churn->held[hold]);
    json_end_object(w);
    json_begin_object(w, "by_cause");
    for (int cause = 0; cause < CAUSE_COUNT; cause++) {
        json_begin_object(w, slate_cause_name((enum slate_cause)cause));
        write_churn_sums(w, &churn->causes[cause]);
        json_end_object(w);
    }
    json_end_object(w);
    json_end_object(w);
}

/* -- response ---------------------------------------------------------------------------------- */

static void write_durations(struct json_writer *w, const char *key, const struct histogram *h)
{
    json_begin_object(w, key);
    json_int(w, "count", (int64_t)h->count);
    json_real6(w, "p50", histogram_quantile(h, 0.5));
    json_real6(w, "p90", histogram_quantile(h, 0.9));
    json_real6(w, "p99", histogram_quantile(h, 0.99));
    json_real6(w, "mean", share(h->sum_ms, h->count));
    json_end_object(w);
}

static void write_response(struct json_writer *w, const struct response *response)
{
    json_begin_object(w, "response");
    write_durations(w, "event_to_list_ms", &response->record_ms);
    write_durations(w, "event_time_to_list_ms", &response->ts_ms);
    write_mean(w, "events_to_change", &response->to_change);
    json_begin_array(w, "changes");
    for (int events = 1; events <= RESPONSE_EVENTS_MAX; events++)
        json_int(w, NULL, (int64_t)response->changes[events]);
    json_end_array(w);
    write_mean(w, "gap_closed", &response->gap_closed);
    write_mean(w, "neighbour_lift", &response->neighbour_lift);
    write_mean(w, "drift", &response->drift);
    json_end_object(w);
}

/* -- quality ----------------------------------------------------------------------------------- */

static void write_window(struct daemon *daemon, struct json_writer *w,
                         const struct quality *quality)
{
    struct quality_window window = quality_window(quality);
    const struct items *items = history_items(daemon->history);
    json_begin_object(w, "window");
    json_int(w, "lists", window.lists);
    json_int(w, "items", window.items);
    json_real6(w, "coverage", share(window.items, items_count(items)));
    if (window.top_item < items_count(items))
        json_string(w, "top_item", ids_text(&items->ids, window.top_item));
    else
        json_text(w, "top_item", NULL);
    json_real6(w, "top_share", share(window.top_lists, window.lists));
    json_end_object(w);
}

static void write_quality(struct daemon *daemon, struct json_writer *w,
                          const struct quality *quality)
{
    json_begin_object(w, "quality");
    json_int(w, "lists", (int64_t)quality->lists);
    json_int(w, "places", (int64_t)quality->places);
    json_int(w, "explored", (int64_t)quality->explored);
    json_real6(w, "new_item_share", share((double)quality->new_items, quality->places));
    json_real6(w, "fallback_share", share((double)quality->fallback, quality->lists));
    write_mean(w, "diversity", &quality->diversity);
    write_mean(w, "novelty", &quality->novelty);
    write_window(daemon, w, quality);
    json_end_object(w);
}

/* -- hits -------------------------------------------------------------------------------------- */

static void write_count(struct json_writer *w, const char *key, const struct accuracy_count *count)
{
    json_begin_object(w, key);
    json_int(w, "events", (int64_t)count->events);
    json_int(w, "hits10", (int64_t)count->hits10);
    json_int(w, "hits20", (int64_t)count->hits20);
    json_real6(w, "hit@10", share((double)count->hits10, count->events));
    json_real6(w, "hit@20", share((double)count->hits20, count->events));
    json_real6(w, "mrr@20", share(count->reciprocal_ranks, count->events));
    json_end_object(w);
}

static void write_types(struct daemon *daemon, struct json_writer *w, const struct hits *hits)
{
    json_begin_object(w, "by_type");
    for (size_t type = 0; type < daemon->settings->events.type_count; type++) {
        json_key(w, slice_of(daemon->settings->events.names[type]));
        json_begin_object(w, NULL);
        write_count(w, "all", &hits->types[type][ACCURACY_ALL]);
        write_count(w, "new", &hits->types[type][ACCURACY_NEW]);
        json_end_object(w);
    }
    json_end_object(w);
}

static void write_values(struct json_writer *w, const struct hits *hits)
{
    json_begin_array(w, "rhr");
    for (int slice = 0; slice < HITS_VALUES; slice++) {
        if (hits->values[slice].events == 0)
            continue;
        json_begin_object(w, NULL);
        json_real6(w, "from", hits_value_from[slice]);
        write_count(w, "count", &hits->values[slice]);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_hits(struct daemon *daemon, struct json_writer *w, const struct hits *hits,
                       bool shadow)
{
    json_begin_object(w, "hits");
    write_count(w, "all", &hits->counts[ACCURACY_ALL]);
    write_count(w, "new", &hits->counts[ACCURACY_NEW]);
    if (shadow)
        write_count(w, "beside", &hits->beside);
    write_types(daemon, w, hits);
    write_count(w, "chr", &hits->chosen);
    write_values(w, hits);
    json_begin_object(w, "attribution");
    for (int a = ATTRIBUTION_NONE; a < ATTRIBUTION_COUNT; a++)
        json_int(w, attribution_names[a], (int64_t)hits->attribution[a]);
    json_end_object(w);
    json_end_object(w);
}

/* -- arms -------------------------------------------------------------------------------------- */

static void write_shift(struct json_writer *w, const struct shift_figures *shift)
{
    json_begin_object(w, "shift");
    json_int(w, "from", (int64_t)shift->from);
    json_int(w, "to", (int64_t)shift->to);
    json_int(w, "users", shift->users);
    json_real6(w, "score_distance", shift->users > 0 ? shift->score_distance : NAN);
    json_real6(w, "rank_distance", shift->users > 0 ? shift->rank_distance : NAN);
    json_end_object(w);
}

static void write_figures(struct daemon *daemon, struct json_writer *w,
                          const struct watch_figures *figures)
{
    write_churn(w, &figures->churn);
    write_response(w, &figures->response);
    write_quality(daemon, w, &figures->quality);
    write_hits(daemon, w, &figures->hits, figures->shadow);
}

void daemon_status_figures(struct daemon *daemon, struct json_writer *w)
{
    write_figures(daemon, w, watch_figures(daemon->watch, WATCH_ALL));
    json_begin_array(w, "arms");
    for (uint32_t arm = 0; arm < watch_arm_count(daemon->watch); arm++) {
        const struct watch_figures *figures = watch_figures(daemon->watch, arm);
        json_begin_object(w, NULL);
        json_string(w, "name", figures->name);
        json_bool(w, "shadow", figures->shadow);
        write_figures(daemon, w, figures);
        write_shift(w, &figures->shift);
        json_end_object(w);
    }
    json_end_array(w);
}
