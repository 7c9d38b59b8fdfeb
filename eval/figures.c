#include "eval/figures.h"
#include "base/mem.h"
#include "model/probe.h"
#include "model/variety.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

void figures_init(struct figures *figures, const struct figures_settings *settings)
{
    *figures = (struct figures){.settings = *settings};
    figures->metrics = METRIC_KINDS * settings->k_count + 1;
    figures->chr_min = NAN;
    figures->slot_of = mem_array(NULL, settings->users, sizeof *figures->slot_of);
    memset(figures->slot_of, 0xff, settings->users * sizeof *figures->slot_of);
    figures->discounts = mem_array(NULL, settings->depth, sizeof *figures->discounts);
    for (uint32_t r = 0; r < settings->depth; r++)
        figures->discounts[r] = 1 / log2(2.0 + r);
    for (uint32_t m = 0; m < settings->methods; m++) {
        struct method_figures *of = &figures->methods[m];
        of->totals = mem_zalloc(figures->metrics * sizeof *of->totals);
        of->all = mem_zalloc(figures->metrics * sizeof *of->all);
        of->recommended = mem_zalloc(settings->items * sizeof *of->recommended + 1);
        of->value_hits =
            mem_zalloc(settings->k_count * FIGURES_VALUES_MAX * sizeof *of->value_hits);
    }
}

void figures_deinit(struct figures *figures)
{
    for (uint32_t m = 0; m < figures->settings.methods; m++) {
        struct method_figures *of = &figures->methods[m];
        free(of->totals);
        free(of->by_user);
        free(of->all);
        free(of->value_hits);
        free(of->last);
        free(of->last_count);
        free(of->short_list);
        free(of->recommended);
    }
    free(figures->slot_of);
    free(figures->slot_units);
    free(figures->discounts);
    overlapping_deinit(&figures->overlapping);
    *figures = (struct figures){0};
}

/* -- values ------------------------------------------------------------------------------------ */

static int compare_values(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Each value by itself if they are few, else quarters of the sorted values, equal ones together. */
static void group_values(struct figures *figures, const double *sorted, size_t count)
{
    size_t distinct = 1;
    for (size_t i = 1; i < count; i++)
        distinct += sorted[i] != sorted[i - 1];
    size_t groups = distinct <= FIGURES_VALUES_MAX ? count : 4, begin = 0;
    for (size_t g = 1; g <= groups && begin < count; g++) {
        size_t end = groups == count ? begin + 1 : count * g / groups;
        end = end > begin ? end : begin + 1;
        while (end < count && sorted[end] == sorted[end - 1])
            end++;
        figures->value_from[figures->value_groups] = sorted[begin];
        figures->value_to[figures->value_groups++] = sorted[end - 1];
        begin = end;
    }
}

void figures_values(struct figures *figures, double *values, size_t count, double chr_min)
{
    if (count == 0)
        return;
    qsort(values, count, sizeof *values, compare_values);
    figures->valued = values[0] != values[count - 1];
    if (!figures->valued)
        return;
    figures->chr_min = isnan(chr_min) ? values[(count - 1) / 2] : chr_min;
    group_values(figures, values, count);
}

static uint32_t group_of(const struct figures *figures, double value)
{
    uint32_t group = 0;
    while (group + 1 < figures->value_groups && value > figures->value_to[group])
        group++;
    return group;
}

/* -- units ------------------------------------------------------------------------------------- */

static void grow(struct figures *figures)
{
    const struct figures_settings *settings = &figures->settings;
    uint32_t capacity = figures->slots_capacity ? figures->slots_capacity * 2 : 256;
    figures->slots_capacity = capacity;
    figures->slot_units = mem_array(figures->slot_units, capacity, sizeof *figures->slot_units);
    for (uint32_t m = 0; m < settings->methods; m++) {
        struct method_figures *of = &figures->methods[m];
        of->by_user =
            mem_array(of->by_user, (size_t)capacity * figures->metrics, sizeof *of->by_user);
        of->last = mem_array(of->last, (size_t)capacity * settings->depth, sizeof *of->last);
        of->last_count = mem_array(of->last_count, capacity, sizeof *of->last_count);
        of->short_list = mem_array(of->short_list, capacity, sizeof *of->short_list);
    }
}

static uint32_t slot_for(struct figures *figures, uint32_t user)
{
    uint32_t *slot = &figures->slot_of[user];
    if (*slot != NONE)
        return *slot;
    if (figures->slots == figures->slots_capacity)
        grow(figures);
    *slot = figures->slots++;
    figures->slot_units[*slot] = 0;
    for (uint32_t m = 0; m < figures->settings.methods; m++) {
        struct method_figures *of = &figures->methods[m];
        memset(of->by_user + (size_t)*slot * figures->metrics, 0,
               figures->metrics * sizeof *of->by_user);
        of->last_count[*slot] = NONE;
        of->short_list[*slot] = false;
    }
    return *slot;
}

void figures_unit(struct figures *figures, const struct unit *unit)
{
    uint32_t slot = slot_for(figures, unit->user); /* first: the arrays may move */
    figures->units++;
    figures->slot_units[slot]++;
    for (size_t i = 0; i < unit->relevant_count && figures->valued; i++) {
        figures->value_units[group_of(figures, unit->relevant[i].value)]++;
        figures->chosen_units += unit->relevant[i].value >= figures->chr_min;
    }
}

/* Which relevant item stands there, or NULL. */
static const struct relevant *relevant_at(const struct unit *unit, uint32_t item)
{
    for (size_t i = 0; i < unit->relevant_count; i++)
        if (unit->relevant[i].item == item)
            return &unit->relevant[i];
    return NULL;
}

/* out: [metrics]. hit: [count], whether each place is relevant. */
static void rate(const struct figures *figures, const bool *hit, uint32_t count,
                 size_t relevant_count, double *out)
{
    const uint32_t *ks = figures->settings.ks;
    double hits = 0, precisions = 0, gain = 0, ideal = 0;
    uint32_t k = 0, first = 0;
    for (uint32_t r = 0; r < figures->settings.depth; r++) {
        if (r < count && hit[r]) {
            hits++;
            precisions += hits / (r + 1);
            gain += figures->discounts[r];
            first = first != 0 ? first : r + 1;
        }
        if (r < relevant_count)
            ideal += figures->discounts[r];
        for (; k < figures->settings.k_count && ks[k] == r + 1; k++) {
            double *at = out + (size_t)k * METRIC_KINDS;
            double most = relevant_count < ks[k] ? (double)relevant_count : ks[k];
            at[METRIC_HIT] = hits > 0;
            at[METRIC_PRECISION] = hits / ks[k];
            at[METRIC_RECALL] = hits / (double)relevant_count;
            at[METRIC_MAP] = precisions / most;
            at[METRIC_NDCG] = gain / ideal;
        }
    }
    out[figures->metrics - 1] = first > 0 && first <= FIGURES_MRR_DEPTH ? 1.0 / first : 0;
}

static void count_values(struct figures *figures, struct method_figures *of,
                         const struct relevant *found, uint32_t rank)
{
    uint32_t group = group_of(figures, found->value);
    for (uint32_t k = 0; k < figures->settings.k_count; k++) {
        if (rank > figures->settings.ks[k])
            continue;
        of->value_hits[k * FIGURES_VALUES_MAX + group]++;
        of->chosen_hits[k] += found->value >= figures->chr_min;
    }
}

void figures_judge(struct figures *figures, uint32_t method, const struct unit *unit,
                   const uint32_t *list, uint32_t count)
{
    struct method_figures *of = &figures->methods[method];
    double rates[FIGURES_METRICS_MAX];
    bool *hit = mem_zalloc(figures->settings.depth * sizeof *hit);
    for (uint32_t r = 0; r < count; r++) {
        const struct relevant *found = relevant_at(unit, list[r]);
        hit[r] = found != NULL;
        if (found != NULL && figures->valued)
            count_values(figures, of, found, r + 1);
    }
    rate(figures, hit, count, unit->relevant_count, rates);
    double *mine = of->by_user + (size_t)figures->slot_of[unit->user] * figures->metrics;
    for (uint32_t i = 0; i < figures->metrics; i++) {
        of->totals[i] += rates[i];
        mine[i] += rates[i];
    }
    free(hit);
}

void figures_number(struct figures *figures, uint32_t method, uint32_t user, double number)
{
    uint32_t slot = slot_for(figures, user);
    figures->units++;
    figures->slot_units[slot]++;
    figures->methods[method].totals[0] += number;
    figures->methods[method].by_user[(size_t)slot * figures->metrics] += number;
}

void figures_all_unit(struct figures *figures)
{
    figures->all_units++;
}

void figures_judge_all(struct figures *figures, uint32_t method, const struct unit *unit,
                       const uint32_t *list, uint32_t count)
{
    struct method_figures *of = &figures->methods[method];
    double rates[FIGURES_METRICS_MAX];
    bool *hit = mem_zalloc(figures->settings.depth * sizeof *hit);
    for (uint32_t r = 0; r < count; r++)
        hit[r] = relevant_at(unit, list[r]) != NULL;
    rate(figures, hit, count, unit->relevant_count, rates);
    for (uint32_t i = 0; i < figures->metrics; i++)
        of->all[i] += rates[i];
    free(hit);
}

void figures_answer(struct figures *figures, uint32_t method, bool changed, double before,
                    double after)
{
    struct method_figures *of = &figures->methods[method];
    of->answers++;
    of->changed += changed;
    double closed = probe_gap_closed(before, after);
    if (isnan(closed))
        return;
    of->gap += closed;
    of->gaps++;
}

/* -- lists ------------------------------------------------------------------------------------- */

static void churn(struct figures *figures, struct method_figures *of, uint32_t slot,
                  const uint32_t *list, uint32_t count)
{
    uint32_t *last = of->last + (size_t)slot * figures->settings.depth;
    uint32_t before = of->last_count[slot];
    if (before != NONE) {
        of->churn_pairs++;
        const uint32_t *places = overlap_places(&figures->overlapping, last, before, list, count);
        struct overlap overlap = {0};
        for (uint32_t k = 0; k < figures->settings.k_count; k++) {
            overlap =
                overlap_at(&figures->overlapping, places, before, count, figures->settings.ks[k]);
            of->churn[k] += overlap.jaccard_distance;
        }
        of->rank_churn += 1 - overlap.rbo; /* the same for all k */
    }
    if (count > 0)
        memcpy(last, list, count * sizeof *last);
    of->last_count[slot] = count;
}

static void rate_novelty(struct method_figures *of, const uint32_t *list, uint32_t count,
                         const struct shelf *shelf)
{
    double *uses = mem_array(NULL, count, sizeof *uses);
    for (uint32_t i = 0; i < count; i++)
        uses[i] = (double)shelf->uses[list[i]];
    double novelty = variety_novelty(uses, count, (double)shelf->uses_total);
    free(uses);
    if (isnan(novelty))
        return;
    of->novelty += novelty;
    of->novel_lists++;
}

static void rate_diversity(struct method_figures *of, const uint32_t *list, uint32_t count,
                           const struct shelf *shelf)
{
    if (shelf->row_of == NULL)
        return;
    uint32_t *rows = mem_array(NULL, count, sizeof *rows);
    for (uint32_t i = 0; i < count; i++)
        rows[i] = shelf->row_of[list[i]];
    double diversity = variety_diversity(shelf->Y, shelf->stride, shelf->rank, rows, count);
    free(rows);
    if (isnan(diversity))
        return;
    of->diversity += diversity;
    of->diverse_lists++;
}

void figures_list(struct figures *figures, uint32_t method, uint32_t user, const uint32_t *list,
                  uint32_t count, const struct shelf *shelf)
{
    struct method_figures *of = &figures->methods[method];
    uint32_t slot = slot_for(figures, user);
    of->lists++;
    if (count < figures->settings.depth)
        of->short_list[slot] = true;
    else
        of->full_lists++;
    for (uint32_t i = 0; i < count; i++)
        of->recommended[list[i]] = true;
    churn(figures, of, slot, list, count);
    rate_novelty(of, list, count, shelf);
    rate_diversity(of, list, count, shelf);
}

/* -- means ------------------------------------------------------------------------------------- */

uint32_t figures_metric(const struct figures *figures, enum metric metric, uint32_t i)
{
    return metric == METRIC_KINDS ? figures->metrics - 1 : i * METRIC_KINDS + metric;
}

static double of_user(const struct figures *figures, uint32_t method, uint32_t base,
                      uint32_t metric, uint32_t slot)
{
    size_t at = (size_t)slot * figures->metrics + metric;
    double value = figures->methods[method].by_user[at];
    return base != NONE ? value - figures->methods[base].by_user[at] : value;
}

struct mean figures_mean(const struct figures *figures, uint32_t method, uint32_t base,
                         uint32_t metric)
{
    double n = (double)figures->units, users = figures->slots;
    double total = figures->methods[method].totals[metric];
    if (base != NONE)
        total -= figures->methods[base].totals[metric];
    struct mean mean = {NAN, NAN};
    if (figures->units == 0)
        return mean;
    mean.mean = total / n;

    /* se^2 = U / (U - 1) sum over users of (sum of the user's deviations)^2 / n^2 */
    double squares = 0;
    for (uint32_t slot = 0; slot < figures->slots; slot++) {
        double deviation =
            of_user(figures, method, base, metric, slot) - figures->slot_units[slot] * mean.mean;
        squares += deviation * deviation;
    }
    if (figures->slots > 1)
        mean.se = sqrt(squares * users / (users - 1)) / n;
    return mean;
}
