#include "daemon/explain_write.h"

#include <math.h>

/* "item" and "title" of an object that has begun; the title only if there is one. */
static void write_item(struct json_writer *w, const struct explain_context *context, uint32_t item)
{
    const struct item_info *info = items_info(context->items, item);
    json_string(w, "item", ids_text(&context->items->ids, item));
    if (info != NULL && info->title.length > 0)
        json_string(w, "title", info->title);
}

/* null for a type that the settings no longer have. */
static void write_type(struct json_writer *w, const char *key,
                       const struct explain_context *context, uint16_t type)
{
    int index = history_type_index(context->history, type);
    json_text(w, key, index >= 0 ? context->settings->events.names[index] : NULL);
}

static void write_time(struct json_writer *w, const char *key, int64_t ts_ms)
{
    if (ts_ms == INT64_MIN || ts_ms == INT64_MAX)
        json_text(w, key, NULL);
    else
        json_int(w, key, ts_ms);
}

/* null: not in the list. */
static void write_rank(struct json_writer *w, const char *key, uint32_t rank)
{
    if (rank == 0)
        json_text(w, key, NULL);
    else
        json_int(w, key, rank);
}

static void write_user(struct json_writer *w, const struct explain_context *context,
                       struct slice arm, int64_t now_ms, uint64_t generation)
{
    json_string(w, "user", context->user);
    json_bool(w, "kept", context->kept);
    write_time(w, "now", now_ms);
    json_string(w, "arm", arm);
    json_int(w, "generation", (int64_t)generation);
}

/* -- explain ----------------------------------------------------------------------------------- */

static void begin_reason(struct json_writer *w, const char *reason)
{
    json_begin_object(w, NULL);
    json_text(w, "reason", reason);
}

static void write_seen(struct json_writer *w, const struct explain_context *context, uint64_t types)
{
    begin_reason(w, "seen");
    json_begin_array(w, "types");
    for (uint16_t type = 0; type < EVENT_TYPES_MAX; type++)
        if ((types >> type & 1) != 0)
            write_type(w, NULL, context, type);
    json_end_array(w);
    json_end_object(w);
}

static void write_availability(struct json_writer *w, const struct explain_context *context,
                               const struct explain *explain)
{
    const struct item_info *info = items_info(context->items, explain->item);
    if ((explain->out & EXPLAIN_NOT_YET) != 0) {
        begin_reason(w, "not_yet");
        write_time(w, "from", info->from_ms);
        json_end_object(w);
    }
    if ((explain->out & EXPLAIN_NO_LONGER) != 0) {
        begin_reason(w, "no_longer");
        write_time(w, "until", info->until_ms);
        json_end_object(w);
    }
}

static void write_reasons(struct json_writer *w, const struct explain_context *context,
                          const struct explain *explain)
{
    static const struct {
        unsigned bit;
        const char *reason;
    } plain[] = {
        {EXPLAIN_BLOCKED, "blocked"}, {EXPLAIN_CATEGORY, "category"}, {EXPLAIN_UNKNOWN, "unknown"}};
    json_begin_array(w, "why");
    if ((explain->out & EXPLAIN_SEEN) != 0)
        write_seen(w, context, explain->hidden_by);
    write_availability(w, context, explain);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if ((explain->out & plain[i].bit) == 0)
            continue;
        begin_reason(w, plain[i].reason);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_event(struct json_writer *w, const struct explain_context *context,
                        const struct explain_term *term)
{
    write_item(w, context, term->item);
    write_type(w, "type", context, term->event.type);
    json_int(w, "ts", term->event.ts_ms);
    json_real(w, "value", term->event.value);
    json_real(w, "confidence", term->event.confidence);
}

static void write_trend(struct json_writer *w, const struct explain_context *context,
                        const struct explain_term *term)
{
    int half_life = term->trend.half_life;
    json_real(w, "weight", term->trend.weight);
    json_real(w, "trend", term->trend.trend);
    json_real(w, "count", term->trend.count);
    json_text(w, "half_life", half_life < HALF_LIFE_COUNT ? half_life_names[half_life] : "ever");
    write_time(w, "latest", term->trend.latest_ms);
}

static void write_together(struct json_writer *w, const struct explain_context *context,
                           const struct explain_term *term)
{
    write_item(w, context, term->item);
    json_real(w, "weight", term->together.weight);
    json_int(w, "distance", term->together.distance);
    json_real(w, "fade", term->together.share.fade);
    json_real(w, "count", term->together.share.n);
    json_real(w, "norm", term->together.share.norm);
}

static void write_impressions(struct json_writer *w, const struct explain_context *context,
                              const struct explain_term *term)
{
    json_real(w, "discount", term->impressions.discount);
    json_int(w, "times", term->impressions.times);
    json_int(w, "ts", term->impressions.ts_ms);
}

static void write_terms(struct json_writer *w, const struct explain_context *context,
                        const struct explain *explain)
{
    static void (*const details[EXPLAIN_KINDS])(
        struct json_writer *, const struct explain_context *,
        const struct explain_term *) = {[EXPLAIN_TASTE] = write_event,
                                        [EXPLAIN_TREND] = write_trend,
                                        [EXPLAIN_TOGETHER] = write_together,
                                        [EXPLAIN_IMPRESSIONS] = write_impressions};
    json_begin_array(w, "terms");
    for (size_t i = 0; i < explain->count; i++) {
        const struct explain_term *term = &explain->terms[i];
        json_begin_object(w, NULL);
        json_text(w, "kind", explain_kind_names[term->kind]);
        json_real(w, "score", term->score);
        details[term->kind](w, context, term);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_place(struct json_writer *w, const struct explain *explain)
{
    json_begin_object(w, "list");
    write_rank(w, "rank", explain->rank);
    json_real(w, "score", explain->rank != 0 ? (double)explain->list_score : (double)NAN);
    json_int(w, "count", explain->list_count);
    json_real(w, "last_score", explain->list_count > 0 ? (double)explain->last_score : (double)NAN);
    if (explain->propensity > 0)
        json_real(w, "propensity", explain->propensity);
    json_end_object(w);
}

static void write_factors(struct json_writer *w, const struct explain *explain)
{
    json_begin_object(w, "factors");
    json_bool(w, "user", explain->user_has_factors);
    json_bool(w, "item", explain->item_has_factors);
    json_text(w, "update", explain->update == UPDATE_SGD ? "sgd" : "als");
    json_real(w, "weight", explain->taste_weight);
    json_end_object(w);
}

void explain_write(struct json_writer *w, const struct explain_context *context,
                   const struct explain *explain)
{
    write_user(w, context, explain->arm, explain->now_ms, explain->generation);
    if (explain->item != ITEM_NONE)
        write_item(w, context, explain->item);
    else
        json_string(w, "item", context->asked[0]);
    json_real(w, "score", explain->total);
    write_place(w, explain);
    json_bool(w, "eligible", explain->out == 0);
    write_reasons(w, context, explain);
    write_factors(w, explain);
    json_begin_object(w, "sums");
    for (int kind = 0; kind < EXPLAIN_KINDS; kind++)
        json_real(w, explain_kind_names[kind], explain->sums[kind]);
    json_end_object(w);
    write_terms(w, context, explain);
}

/* -- whatif ------------------------------------------------------------------------------------ */

static void write_score(struct json_writer *w, const char *key, uint32_t rank, float score)
{
    json_real(w, key, rank != 0 ? (double)score : (double)NAN);
}

void whatif_write(struct json_writer *w, const struct explain_context *context,
                  const struct whatif *whatif)
{
    write_user(w, context, whatif->arm, whatif->now_ms, whatif->generation);
    write_type(w, "type", context, context->type);
    json_begin_array(w, "items");
    for (uint32_t i = 0; i < context->asked_count; i++)
        json_string(w, NULL, context->asked[i]);
    json_end_array(w);
    json_int(w, "before_count", whatif->before_count);
    json_int(w, "after_count", whatif->after_count);
    json_int(w, "entered", whatif->entered);
    json_int(w, "left", whatif->left);
    json_int(w, "moved", whatif->moved);
    json_real(w, "jaccard_distance", whatif->jaccard);
    json_real(w, "rbo_distance", whatif->rbo);
    json_begin_array(w, "places");
    for (uint32_t i = 0; i < whatif->count; i++) {
        const struct whatif_place *place = &whatif->places[i];
        json_begin_object(w, NULL);
        write_item(w, context, place->item);
        write_rank(w, "before", place->before);
        write_rank(w, "after", place->after);
        write_score(w, "score_before", place->before, place->score_before);
        write_score(w, "score_after", place->after, place->score_after);
        json_end_object(w);
    }
    json_end_array(w);
}

/* -- similar ----------------------------------------------------------------------------------- */

static void write_similar_list(struct json_writer *w, const char *key,
                               const struct explain_context *context,
                               const struct similar_list *list)
{
    json_begin_array(w, key);
    for (uint32_t i = 0; i < list->count; i++) {
        json_begin_object(w, NULL);
        write_item(w, context, list->items[i].item);
        json_real(w, "cosine", list->items[i].cosine);
        json_end_object(w);
    }
    json_end_array(w);
}

void similar_write(struct json_writer *w, const struct explain_context *context,
                   const struct similar *similar)
{
    write_item(w, context, similar->item);
    json_string(w, "arm", similar->arm);
    json_int(w, "generation", (int64_t)similar->generation);
    json_bool(w, "has_factors", similar->has_factors);
    json_begin_object(w, "together");
    json_text(w, "horizon", pairs_horizon_names[similar->together_of.horizon]);
    json_text(w, "direction", similar->together_of.both ? "both" : "forward");
    json_end_object(w);
    write_similar_list(w, "by_factors", context, &similar->by_factors);
    write_similar_list(w, "by_together", context, &similar->by_together);
}
