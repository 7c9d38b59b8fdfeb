#include "eval/panel.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const method_names[METHOD_COUNT] = {"popular", "recent", "cooccurrence", "als",
                                                "freshet"};

void panel_init(struct panel *panel, struct stage *stage, const struct stream *stream,
                const struct scorer_settings *settings, unsigned methods)
{
    *panel =
        (struct panel){.stage = stage, .stream = stream, .settings = *settings, .methods = methods};
    panel->uses = mem_zalloc(stream->items.count * sizeof *panel->uses + 1);
    panel->row_of = mem_array(NULL, stream->items.count, sizeof *panel->row_of);
}

void panel_deinit(struct panel *panel)
{
    for (int m = 0; m < METHOD_COUNT; m++) {
        if (panel->scorers[m] != NULL)
            stage_scorer_free(panel->stage, panel->scorers[m]);
        gap_free(panel->gaps[m]);
    }
    generation_free(panel->live);
    free(panel->row_of);
    free(panel->uses);
    *panel = (struct panel){0};
}

static bool has_factors(int method)
{
    return method == METHOD_ALS || method == METHOD_FRESHET;
}

static int install(struct panel *panel, struct error *err)
{
    for (int m = 0; m < METHOD_COUNT; m++) {
        if (panel->scorers[m] == NULL || !has_factors(m) || panel->live == NULL)
            continue;
        if (stage_install(panel->stage, panel->scorers[m], panel->live, err) != 0)
            return err->code;
        gap_set(panel->gaps[m], scorer_generation(panel->scorers[m]),
                m == METHOD_FRESHET ? panel->live->weights.rho : panel->weights[m].rho);
    }
    return 0;
}

static void set_weights(struct panel *panel, const struct panel_choice *choice)
{
    struct score_weights fill = {.trend_half_life = choice->half_life, .rho = 1};
    for (int m = 0; m < METHOD_COUNT; m++)
        panel->weights[m] = fill;
    panel->weights[METHOD_POPULAR].trend = 1;
    panel->weights[METHOD_POPULAR].trend_half_life = HALF_LIFE_EVER;
    panel->weights[METHOD_RECENT].trend = 1;
    panel->weights[METHOD_COOCCURRENCE].together = 1;
    panel->weights[METHOD_COOCCURRENCE].together_of = choice->together;
    panel->weights[METHOD_ALS].taste = 1;
}

int panel_begin(struct panel *panel, const struct panel_choice *choice, struct error *err)
{
    set_weights(panel, choice);
    for (int m = 0; m < METHOD_COUNT; m++) {
        if ((panel->methods >> m & 1) == 0)
            continue;
        struct scorer_settings settings = panel->settings;
        settings.weights = m == METHOD_FRESHET ? NULL : &panel->weights[m];
        panel->scorers[m] = stage_scorer_new(panel->stage, &settings);
        if (has_factors(m))
            panel->gaps[m] = gap_new(stage_history(panel->stage), settings.types,
                                     settings.type_count, settings.update, settings.sgd_rate);
    }
    return install(panel, err);
}

int panel_learn(struct panel *panel, const struct stream_event *event, struct error *err)
{
    panel->uses[event->item]++;
    panel->uses_total++;
    return stage_learn(panel->stage, event, err);
}

int panel_take(struct panel *panel, struct generation *generation, struct error *err)
{
    generation_free(panel->live);
    panel->live = generation;
    for (uint32_t item = 0; item < panel->stream->items.count; item++)
        panel->row_of[item] = ROW_NONE;
    for (size_t row = 0; row < generation->items; row++) {
        uint32_t item = ids_find(&panel->stream->items, generation->ids[row]);
        if (item != IDS_NONE)
            panel->row_of[item] = (uint32_t)row;
    }
    return install(panel, err);
}

int panel_lists(struct panel *panel, uint32_t user, uint32_t *lists, struct asked *asked,
                struct error *err)
{
    size_t count = 0;
    for (int m = 0; m < METHOD_COUNT; m++)
        if (panel->scorers[m] != NULL) {
            asked[count] =
                (struct asked){panel->scorers[m], lists + count * panel->settings.finishing.n, 0};
            count++;
        }
    return stage_lists(panel->stage, user, asked, count, err);
}

static int method_at(const struct panel *panel, size_t index)
{
    int m = 0;
    for (; m < METHOD_COUNT; m++)
        if (panel->scorers[m] != NULL && index-- == 0)
            break;
    return m;
}

int panel_taste(struct panel *panel, size_t index, uint32_t user, uint32_t item, double *score,
                struct error *err)
{
    struct user *known;
    int m = method_at(panel, index);
    *score = NAN;
    if (panel->gaps[m] == NULL)
        return 0;
    if (stage_user(panel->stage, user, &known, err) != 0)
        return err->code;
    if (!gap_score(panel->gaps[m], known != NULL ? known->record : NULL,
                   stage_item(panel->stage, item), score))
        *score = NAN;
    return 0;
}

struct shelf panel_shelf(const struct panel *panel)
{
    struct shelf shelf = {.uses = panel->uses, .uses_total = panel->uses_total};
    if (panel->live != NULL) {
        shelf.row_of = panel->row_of;
        shelf.Y = panel->live->Y;
        shelf.stride = panel->live->stride;
        shelf.rank = panel->live->hyper.rank;
    }
    return shelf;
}
