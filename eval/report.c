/* The result as JSON and as a table: the figures are named once, here. */
#include "base/json.h"
#include "eval/eval.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const char *const metric_names[METRIC_KINDS] = {"hit", "precision", "recall", "map", "ndcg"};

#define NAME_MAX_BYTES 64

static void name_at(char name[NAME_MAX_BYTES], const char *metric, uint32_t k)
{
    snprintf(name, NAME_MAX_BYTES, "%s@%" PRIu32, metric, k);
}

/* "hit@10"; of metric METRIC_KINDS: "mrr@20". */
static void metric_name(char name[NAME_MAX_BYTES], const struct figures *figures,
                        enum metric metric, uint32_t i)
{
    if (metric == METRIC_KINDS)
        name_at(name, "mrr", FIGURES_MRR_DEPTH);
    else
        name_at(name, metric_names[metric], figures->settings.ks[i]);
}

/* -- JSON: what is said of a method ------------------------------------------------------------ */

/* hit, ndcg at each k and mrr: what standard errors and differences are given for. */
static void write_main(struct json_writer *w, const struct figures *figures, uint32_t method,
                       uint32_t base, bool se)
{
    static const enum metric kinds[] = {METRIC_HIT, METRIC_NDCG, METRIC_KINDS};
    char name[NAME_MAX_BYTES];
    for (size_t kind = 0; kind < 3; kind++)
        for (uint32_t i = 0; i < (kinds[kind] == METRIC_KINDS ? 1 : figures->settings.k_count);
             i++) {
            struct mean mean =
                figures_mean(figures, method, base, figures_metric(figures, kinds[kind], i));
            metric_name(name, figures, kinds[kind], i);
            json_real(w, name, se ? mean.se : mean.mean);
        }
}

static void write_means(struct json_writer *w, const struct figures *figures, uint32_t method)
{
    char name[NAME_MAX_BYTES];
    for (int metric = 0; metric <= METRIC_KINDS; metric++)
        for (uint32_t i = 0; i < (metric == METRIC_KINDS ? 1 : figures->settings.k_count); i++) {
            metric_name(name, figures, (enum metric)metric, i);
            json_real(w, name,
                      figures_mean(figures, method, UINT32_MAX,
                                   figures_metric(figures, (enum metric)metric, i))
                          .mean);
        }
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

static void write_values(struct json_writer *w, const struct figures *figures, uint32_t method)
{
    const struct method_figures *of = &figures->methods[method];
    char name[NAME_MAX_BYTES];
    if (!figures->valued)
        return;
    for (uint32_t i = 0; i < figures->settings.k_count; i++) {
        name_at(name, "chr", figures->settings.ks[i]);
        json_real(w, name, share((double)of->chosen_hits[i], (double)figures->chosen_units));
    }
    for (uint32_t i = 0; i < figures->settings.k_count; i++) {
        name_at(name, "rhr", figures->settings.ks[i]);
        json_begin_object(w, name);
        for (uint32_t g = 0; g < figures->value_groups; g++) {
            char group[NAME_MAX_BYTES];
            if (figures->value_from[g] == figures->value_to[g])
                snprintf(group, sizeof group, "%g", figures->value_from[g]);
            else
                snprintf(group, sizeof group, "%g..%g", figures->value_from[g],
                         figures->value_to[g]);
            json_real(w, group,
                      share((double)of->value_hits[i * FIGURES_VALUES_MAX + g],
                            (double)figures->value_units[g]));
        }
        json_end_object(w);
    }
}

static size_t count_true(const bool *flags, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += flags[i];
    return sum;
}

static double user_coverage(const struct figures *figures, uint32_t method)
{
    size_t short_lists = count_true(figures->methods[method].short_list, figures->slots);
    return share((double)(figures->slots - short_lists), figures->slots);
}

static double catalogue_coverage(const struct eval_result *result, uint32_t method)
{
    const struct figures *figures = &result->figures;
    return share((double)count_true(figures->methods[method].recommended, figures->settings.items),
                 (double)result->items);
}

static void write_lists(struct json_writer *w, const struct eval_result *result, uint32_t method)
{
    const struct figures *figures = &result->figures;
    const struct method_figures *of = &figures->methods[method];
    char name[NAME_MAX_BYTES];
    json_real(w, "user_coverage", user_coverage(figures, method));
    json_real(w, "catalogue_coverage", catalogue_coverage(result, method));
    json_real(w, "diversity", share(of->diversity, (double)of->diverse_lists));
    json_real(w, "novelty", share(of->novelty, (double)of->novel_lists));
    for (uint32_t i = 0; i < figures->settings.k_count; i++) {
        name_at(name, "churn", figures->settings.ks[i]);
        json_real(w, name, share(of->churn[i], (double)of->churn_pairs));
    }
    json_real(w, "rank_churn", share(of->rank_churn, (double)of->churn_pairs));
    json_real(w, "changed_by_event", share((double)of->changed, (double)of->answers));
    json_real(w, "gap_closed", share(of->gap, (double)of->gaps));
}

static void write_all(struct json_writer *w, const struct figures *figures, uint32_t method)
{
    static const enum metric kinds[] = {METRIC_HIT, METRIC_NDCG, METRIC_KINDS};
    char name[NAME_MAX_BYTES];
    json_begin_object(w, "all");
    for (size_t kind = 0; kind < 3; kind++)
        for (uint32_t i = 0; i < (kinds[kind] == METRIC_KINDS ? 1 : figures->settings.k_count);
             i++) {
            metric_name(name, figures, kinds[kind], i);
            json_real(w, name,
                      share(figures->methods[method].all[figures_metric(figures, kinds[kind], i)],
                            (double)figures->all_units));
        }
    json_end_object(w);
}

static void write_method(struct json_writer *w, const struct eval_result *result, uint32_t method)
{
    json_begin_object(w, method_names[result->methods[method]]);
    write_means(w, &result->figures, method);
    write_values(w, &result->figures, method);
    write_lists(w, result, method);
    write_all(w, &result->figures, method);
    json_begin_object(w, "se");
    write_main(w, &result->figures, method, UINT32_MAX, true);
    json_end_object(w);
    json_end_object(w);
}

/* -- JSON: the whole --------------------------------------------------------------------------- */

static uint32_t index_of(const struct eval_result *result, enum method method)
{
    for (uint32_t i = 0; i < result->method_count; i++)
        if (result->methods[i] == method)
            return i;
    return UINT32_MAX;
}

static void write_paired(struct json_writer *w, const struct eval_result *result)
{
    uint32_t freshet = index_of(result, METHOD_FRESHET);
    json_begin_object(w, "paired");
    for (uint32_t i = 0; i < result->method_count && freshet != UINT32_MAX; i++) {
        char name[NAME_MAX_BYTES];
        if (i == freshet)
            continue;
        snprintf(name, sizeof name, "freshet-%s", method_names[result->methods[i]]);
        json_begin_object(w, name);
        write_main(w, &result->figures, freshet, i, false);
        json_begin_object(w, "se");
        write_main(w, &result->figures, freshet, i, true);
        json_end_object(w);
        json_end_object(w);
    }
    json_end_object(w);
}

static const char *half_life_name(int half_life)
{
    return half_life == HALF_LIFE_EVER ? "ever" : half_life_names[half_life];
}

static void write_together(struct json_writer *w, const struct together_choice *choice)
{
    json_real(w, "rho", choice->rho);
    json_text(w, "horizon", pairs_horizon_names[choice->horizon]);
    json_text(w, "direction", choice->both ? "both" : "forward");
}

static void write_chosen(struct json_writer *w, const struct eval_result *result)
{
    const struct panel_choice *choice = &result->choice;
    json_begin_object(w, "chosen");
    json_int(w, "events", (int64_t)choice->events);
    json_text(w, "recent_half_life", half_life_name(choice->half_life));
    json_real(w, "recent_ndcg@20", choice->half_life_ndcg);
    json_begin_object(w, "cooccurrence");
    write_together(w, &choice->together);
    json_real(w, "ndcg@20", choice->together_ndcg);
    json_end_object(w);
    json_real(w, "als_rho", 1);
    json_end_object(w);
}

static void write_weights(struct json_writer *w, const struct score_weights *weights)
{
    json_begin_object(w, "weights");
    json_real(w, "taste", weights->taste);
    json_real(w, "trend", weights->trend);
    json_text(w, "trend_half_life", half_life_name(weights->trend_half_life));
    json_real(w, "rho", weights->rho);
    json_real(w, "together", weights->together);
    json_begin_object(w, "together_of");
    write_together(w, &weights->together_of);
    json_end_object(w);
    json_end_object(w);
}

void eval_write_json(struct buffer *out, const struct stream *stream,
                     const struct eval_settings *settings, const struct eval_result *result)
{
    struct json_writer w = {.out = out};
    const struct figures *figures = &result->figures;
    json_begin_object(&w, NULL);
    json_text(&w, "protocol", protocol_names[settings->protocol]);
    json_int(&w, "events", (int64_t)stream->count);
    json_int(&w, "users", stream->users.count);
    json_int(&w, "items", stream->items.count);
    json_int(&w, "from", (int64_t)settings->from);
    json_int(&w, "to", (int64_t)settings->to);
    json_int(&w, "judged", (int64_t)figures->units);
    json_int(&w, "judged_all", (int64_t)figures->all_units);
    json_int(&w, "judged_users", figures->slots);
    json_int(&w, "seed", (int64_t)settings->seed);
    json_int(&w, "trainings", (int64_t)result->trainings);
    json_int(&w, "trainings_refused", (int64_t)result->refused);
    json_int(&w, "trainings_skipped", (int64_t)result->skipped);
    json_real6(&w, "seconds", result->seconds);
    if (figures->valued)
        json_real(&w, "chr_min", figures->chr_min);
    write_chosen(&w, result);
    write_weights(&w, &result->weights);
    json_begin_object(&w, "methods");
    for (uint32_t i = 0; i < result->method_count; i++)
        write_method(&w, result, i);
    json_end_object(&w);
    write_paired(&w, result);
    json_end_object(&w);
    buffer_byte(out, '\n');
}

/* -- the table --------------------------------------------------------------------------------- */

static void add_row(struct buffer *out, const struct eval_result *result, const char *name,
                    double (*figure)(const struct eval_result *, uint32_t, uint32_t), uint32_t k)
{
    buffer_printf(out, "%-16s", name);
    for (uint32_t i = 0; i < result->method_count; i++) {
        double value = figure(result, i, k);
        if (isnan(value))
            buffer_printf(out, " %14s", "-");
        else
            buffer_printf(out, " %14.4f", value);
    }
    buffer_byte(out, '\n');
}

static double coverage_of_users(const struct eval_result *result, uint32_t method, uint32_t k)
{
    (void)k;
    return user_coverage(&result->figures, method);
}

static double coverage_of_items(const struct eval_result *result, uint32_t method, uint32_t k)
{
    (void)k;
    return catalogue_coverage(result, method);
}

static double diversity(const struct eval_result *result, uint32_t method, uint32_t k)
{
    const struct method_figures *of = &result->figures.methods[method];
    (void)k;
    return share(of->diversity, (double)of->diverse_lists);
}

static double novelty(const struct eval_result *result, uint32_t method, uint32_t k)
{
    const struct method_figures *of = &result->figures.methods[method];
    (void)k;
    return share(of->novelty, (double)of->novel_lists);
}

static double churn(const struct eval_result *result, uint32_t method, uint32_t k)
{
    const struct method_figures *of = &result->figures.methods[method];
    return share(of->churn[k], (double)of->churn_pairs);
}

static double rank_churn(const struct eval_result *result, uint32_t method, uint32_t k)
{
    const struct method_figures *of = &result->figures.methods[method];
    (void)k;
    return share(of->rank_churn, (double)of->churn_pairs);
}

static double changed(const struct eval_result *result, uint32_t method, uint32_t k)
{
    const struct method_figures *of = &result->figures.methods[method];
    (void)k;
    return share((double)of->changed, (double)of->answers);
}

static double gap_closed(const struct eval_result *result, uint32_t method, uint32_t k)
{
    const struct method_figures *of = &result->figures.methods[method];
    (void)k;
    return share(of->gap, (double)of->gaps);
}

static double cumulative(const struct eval_result *result, uint32_t method, uint32_t k)
{
    const struct figures *figures = &result->figures;
    return share((double)figures->methods[method].chosen_hits[k], (double)figures->chosen_units);
}

static void add_means(struct buffer *out, const struct eval_result *result)
{
    const struct figures *figures = &result->figures;
    char name[NAME_MAX_BYTES];
    for (int metric = 0; metric <= METRIC_KINDS; metric++)
        for (uint32_t k = 0; k < (metric == METRIC_KINDS ? 1 : figures->settings.k_count); k++) {
            metric_name(name, figures, (enum metric)metric, k);
            buffer_printf(out, "%-16s", name);
            for (uint32_t i = 0; i < result->method_count; i++) {
                struct mean mean = figures_mean(figures, i, UINT32_MAX,
                                                figures_metric(figures, (enum metric)metric, k));
                buffer_printf(out, " %6.4f +-%5.4f", mean.mean, mean.se);
            }
            buffer_byte(out, '\n');
        }
}

static void add_lists(struct buffer *out, const struct eval_result *result)
{
    const struct figures_settings *settings = &result->figures.settings;
    char name[NAME_MAX_BYTES];
    for (uint32_t k = 0; k < settings->k_count && result->figures.valued; k++) {
        name_at(name, "chr", settings->ks[k]);
        add_row(out, result, name, cumulative, k);
    }
    add_row(out, result, "user coverage", coverage_of_users, 0);
    add_row(out, result, "catalogue cov.", coverage_of_items, 0);
    add_row(out, result, "diversity", diversity, 0);
    add_row(out, result, "novelty (bits)", novelty, 0);
    for (uint32_t k = 0; k < settings->k_count; k++) {
        name_at(name, "churn", settings->ks[k]);
        add_row(out, result, name, churn, k);
    }
    add_row(out, result, "rank churn", rank_churn, 0);
    add_row(out, result, "changed by event", changed, 0);
    add_row(out, result, "gap closed", gap_closed, 0);
}

static void add_paired(struct buffer *out, const struct eval_result *result)
{
    const struct figures *figures = &result->figures;
    uint32_t freshet = index_of(result, METHOD_FRESHET);
    uint32_t last = figures->settings.k_count - 1;
    if (freshet == UINT32_MAX || result->method_count < 2)
        return;
    buffer_printf(out, "\nndcg@%" PRIu32 ", freshet less:", figures->settings.ks[last]);
    for (uint32_t i = 0; i < result->method_count; i++) {
        if (i == freshet)
            continue;
        struct mean mean =
            figures_mean(figures, freshet, i, figures_metric(figures, METRIC_NDCG, last));
        buffer_printf(out, "  %s %+.4f +- %.4f", method_names[result->methods[i]], mean.mean,
                      mean.se);
    }
    buffer_byte(out, '\n');
}

static void add_chosen(struct buffer *out, const struct eval_result *result)
{
    const struct panel_choice *choice = &result->choice;
    const struct score_weights *weights = &result->weights;
    buffer_printf(out, "recent: half-life %s; cooccurrence: %s, %s, rho %g; als: rho 1\n",
                  half_life_name(choice->half_life), pairs_horizon_names[choice->together.horizon],
                  choice->together.both ? "both ways" : "forward", choice->together.rho);
    if (weights->taste == 0 && weights->trend == 0 && weights->together == 0)
        return;
    buffer_printf(out, "freshet: at last taste %g, trend %g at %s, rho %g, together %g",
                  weights->taste, weights->trend, half_life_name(weights->trend_half_life),
                  weights->rho, weights->together);
    if (weights->together > 0)
        buffer_printf(out, " (%s, %s, rho %g)", pairs_horizon_names[weights->together_of.horizon],
                      weights->together_of.both ? "both ways" : "forward",
                      weights->together_of.rho);
    buffer_byte(out, '\n');
}

void eval_write_table(struct buffer *out, const struct stream *stream,
                      const struct eval_settings *settings, const struct eval_result *result)
{
    const struct figures *figures = &result->figures;
    buffer_printf(out,
                  "%s: %zu events of %" PRIu32 " users with %" PRIu32 " items; judged %" PRIu64
                  " new to %" PRIu32 " users; %zu trainings, %zu refused; seed %" PRIu64
                  "; %.1f s\n\n",
                  protocol_names[settings->protocol], stream->count, stream->users.count,
                  stream->items.count, figures->units, figures->slots, result->trainings,
                  result->refused, settings->seed, result->seconds);
    buffer_printf(out, "%-16s", "");
    for (uint32_t i = 0; i < result->method_count; i++)
        buffer_printf(out, " %14s", method_names[result->methods[i]]);
    buffer_byte(out, '\n');
    add_means(out, result);
    add_lists(out, result);
    add_paired(out, result);
    add_chosen(out, result);
}
