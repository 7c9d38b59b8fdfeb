#include "model/generation_manifest.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/sums.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const objective_names[] = {"ials", "hu", "implicit"};
static const char *const scaling_names[] = {"none", "count"};
static const char *const direction_names[] = {"forward", "both"};
static const char *const gate_names[] = {"first", "passed", "refused"};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static void write_hyper(struct json_writer *w, const struct hyperparameters *hyper)
{
    json_text(w, "objective", objective_names[hyper->objective]);
    json_int(w, "rank", hyper->rank);
    json_real(w, "w0", hyper->w0);
    json_real(w, "lambda", hyper->lambda);
    json_text(w, "lambda_scaling", scaling_names[hyper->lambda_scaling]);
    json_real(w, "alpha", hyper->alpha);
}

void manifest_write_weights(struct json_writer *w, const struct score_weights *weights)
{
    json_begin_object(w, "weights");
    json_real(w, "taste", weights->taste);
    json_real(w, "trend", weights->trend);
    json_text(w, "trend_half_life", half_life_names[weights->trend_half_life]);
    json_real(w, "rho", weights->rho);
    json_real(w, "together", weights->together);
    if (weights->together > 0) {
        json_real(w, "together_rho", weights->together_of.rho);
        json_text(w, "together_horizon", pairs_horizon_names[weights->together_of.horizon]);
        json_text(w, "together_direction", direction_names[weights->together_of.both]);
    }
    json_end_object(w);
}

static void write_figures(struct json_writer *w, const struct generation_figures *figures)
{
    json_begin_object(w, "figures");
    json_int(w, "users", (int64_t)figures->users);
    json_int(w, "items", (int64_t)figures->items);
    json_int(w, "interactions", (int64_t)figures->interactions);
    json_int(w, "tail_events", (int64_t)figures->tail_events);
    json_real(w, "loss", figures->loss);
    json_real(w, "ndcg20", figures->ndcg20);
    json_real(w, "ndcg20_se", figures->ndcg20_se);
    json_real(w, "ndcg20_live", figures->ndcg20_live);
    json_real(w, "ndcg20_recent", figures->ndcg20_recent);
    json_real(w, "ndcg20_taste", figures->ndcg20_taste);
    json_real(w, "ndcg20_together", figures->ndcg20_together);
    json_end_object(w);
}

void manifest_write(struct buffer *out, const struct generation *generation)
{
    struct json_writer w = {.out = out};
    char seed[17]; /* as text: JSON's integers end at 2^63 */
    snprintf(seed, sizeof seed, "%016llx", (unsigned long long)generation->seed);
    json_begin_object(&w, NULL);
    json_int(&w, "number", (int64_t)generation->number);
    write_hyper(&w, &generation->hyper);
    json_text(&w, "seed", seed);
    json_int(&w, "iterations", generation->iterations);
    manifest_write_weights(&w, &generation->weights);
    write_figures(&w, &generation->figures);
    json_begin_array(&w, "cutoff");
    for (size_t i = 0; i < generation->cutoff_count; i++) {
        json_begin_object(&w, NULL);
        json_int(&w, "partition", generation->cutoffs[i].partition);
        json_int(&w, "next_offset", generation->cutoffs[i].next_offset);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_text(&w, "gate", gate_names[generation->gate]);
    json_end_object(&w);
}

/* The place of a string in `names`, or -1. */
static int read_name(const struct json *object, const char *key, const char *const *names,
                     size_t count)
{
    struct slice name = json_get_string(object, key, SLICE(""));
    for (size_t i = 0; i < count; i++)
        if (slice_equal(name, slice_of(names[i])))
            return (int)i;
    return -1;
}

/* False where the key is missing, no number, or out of range. */
static bool read_number(const struct json *object, const char *key, double min, double max,
                        double *value)
{
    *value = json_get_number(object, key, NAN);
    return *value >= min && *value <= max;
}

#define AMOUNT_MAX 1e12 /* of weights and hyperparameters: far beyond sense, yet safe to square */

static const char *read_hyper(struct hyperparameters *hyper, const struct json *json)
{
    int objective = read_name(json, "objective", objective_names, COUNT_OF(objective_names));
    int scaling = read_name(json, "lambda_scaling", scaling_names, COUNT_OF(scaling_names));
    int64_t rank = json_get_int(json, "rank", 0);
    if (objective < 0)
        return "objective";
    if (scaling < 0)
        return "lambda_scaling";
    if (rank < 1 || rank > RANK_MAX)
        return "rank";
    hyper->objective = (enum objective)objective;
    hyper->lambda_scaling = (enum lambda_scaling)scaling;
    hyper->rank = (int)rank;
    if (!read_number(json, "w0", 0, AMOUNT_MAX, &hyper->w0))
        return "w0";
    if (!read_number(json, "lambda", 0, AMOUNT_MAX, &hyper->lambda))
        return "lambda";
    if (!read_number(json, "alpha", 0, AMOUNT_MAX, &hyper->alpha))
        return "alpha";
    return NULL;
}

static const char *read_together(struct together_choice *choice, const struct json *json)
{
    if (!read_number(json, "together_rho", 0, 1, &choice->rho) || choice->rho == 0)
        return "weights.together_rho";
    int horizon = read_name(json, "together_horizon", pairs_horizon_names, PAIRS_HORIZONS);
    if (horizon < 0)
        return "weights.together_horizon";
    int direction = read_name(json, "together_direction", direction_names, 2);
    if (direction < 0)
        return "weights.together_direction";
    choice->horizon = (enum pairs_horizon)horizon;
    choice->both = direction == 1;
    return NULL;
}

static const char *read_weights(struct score_weights *weights, const struct json *json)
{
    if (!read_number(json, "taste", -AMOUNT_MAX, AMOUNT_MAX, &weights->taste))
        return "weights.taste";
    if (!read_number(json, "trend", -AMOUNT_MAX, AMOUNT_MAX, &weights->trend))
        return "weights.trend";
    weights->trend_half_life = read_name(json, "trend_half_life", half_life_names, HALF_LIFE_COUNT);
    if (weights->trend_half_life < 0)
        return "weights.trend_half_life";
    if (!read_number(json, "rho", 0, 1, &weights->rho) || weights->rho == 0)
        return "weights.rho";
    if (!read_number(json, "together", 0, AMOUNT_MAX, &weights->together))
        return "weights.together";
    return weights->together > 0 ? read_together(&weights->together_of, json) : NULL;
}

static uint64_t read_count(const struct json *object, const char *key)
{
    int64_t count = json_get_int(object, key, 0);
    return count > 0 ? (uint64_t)count : 0;
}

static void read_figures(struct generation_figures *figures, const struct json *json)
{
    figures->users = read_count(json, "users");
    figures->items = read_count(json, "items");
    figures->interactions = read_count(json, "interactions");
    figures->tail_events = read_count(json, "tail_events");
    figures->loss = json_get_number(json, "loss", NAN);
    figures->seconds = NAN;
    figures->ndcg20 = json_get_number(json, "ndcg20", NAN);
    figures->ndcg20_se = json_get_number(json, "ndcg20_se", NAN);
    figures->ndcg20_live = json_get_number(json, "ndcg20_live", NAN);
    figures->ndcg20_recent = json_get_number(json, "ndcg20_recent", NAN);
    figures->ndcg20_taste = json_get_number(json, "ndcg20_taste", NAN);
    figures->ndcg20_together = json_get_number(json, "ndcg20_together", NAN);
}

static const char *read_cutoffs(struct generation *generation, const struct json *json)
{
    size_t count = json_type(json) == JSON_ARRAY ? json_count(json) : 0;
    if (count > GENERATION_CUTOFFS_MAX)
        return "cutoff";
    generation->cutoffs = mem_array(NULL, count, sizeof *generation->cutoffs);
    generation->cutoff_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct json *at = json_at(json, i);
        int64_t partition = json_get_int(at, "partition", -1);
        int64_t next_offset = json_get_int(at, "next_offset", -1);
        if (partition < 0 || partition > INT32_MAX || next_offset < 0)
            return "cutoff";
        generation->cutoffs[i] = (struct generation_cutoff){(int32_t)partition, next_offset};
    }
    return NULL;
}

/* NULL, or the key that is missing or out of range. */
static const char *read_object(struct generation *generation, const struct json *json)
{
    int64_t number = json_get_int(json, "number", 0);
    int64_t iterations = json_get_int(json, "iterations", 0);
    if (number < 0)
        return "number";
    if (iterations < 0 || iterations > INT32_MAX)
        return "iterations";
    generation->number = (uint64_t)number;
    generation->iterations = (int)iterations;

    struct slice seed = json_get_string(json, "seed", SLICE("0"));
    char text[17] = "";
    memcpy(text, seed.data, seed.length < 16 ? seed.length : 16);
    generation->seed = strtoull(text, NULL, 16);

    const char *wrong = read_hyper(&generation->hyper, json);
    if (wrong == NULL)
        wrong = read_weights(&generation->weights, json_get(json, "weights"));
    if (wrong == NULL)
        wrong = read_cutoffs(generation, json_get(json, "cutoff"));
    if (wrong != NULL)
        return wrong;

    int gate = read_name(json, "gate", gate_names, COUNT_OF(gate_names));
    generation->gate = gate < 0 ? GATE_FIRST : (enum gate)gate;
    read_figures(&generation->figures, json_get(json, "figures"));
    return NULL;
}

int manifest_read(struct generation *generation, struct slice text, struct error *err)
{
    struct json *json = json_parse(text, err);
    if (json == NULL)
        return error_wrap(err, "manifest");
    const char *wrong = read_object(generation, json);
    json_free(json);
    if (wrong != NULL)
        return error_set(err, ERR_DATA, "manifest: \"%s\" is missing or out of range", wrong);
    return 0;
}
