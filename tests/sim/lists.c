#include "tests/sim/lists.h"
#include "base/hash.h"

#include <stdio.h>

const uint64_t lists_series[SERIES_KEYS] = {0, 77};

/* -- arms -------------------------------------------------------------------------------------- */

struct arm_plan {
    double share;
    int series;
    bool shadow;
};

struct config_plan {
    uint32_t count;
    struct arm_plan arms[3]; /* the first is control */
    int64_t debounce_ms;
    double min_change;
};

static const struct config_plan plans[CONFIGS] = {
    {.count = 1},
    {.count = 2, .arms = {{0}, {.share = 0.5}}},
    {.count = 2, .arms = {{0}, {.share = 0.5, .series = 1}}},
    {.count = 3, .arms = {{0}, {.share = 0.3, .series = 1}, {.share = 0.5, .shadow = true}}},
    {.count = 1, .debounce_ms = 50},
    {.count = 2, .arms = {{0}, {.share = 0.4}}, .debounce_ms = 20, .min_change = 0.2},
};

bool lists_holds_back(uint32_t config)
{
    return plans[config].min_change > 0;
}

static void build(struct lists_config *built, const struct config_plan *plan, uint32_t number)
{
    static char names[CONFIGS][3][32];
    struct arm_share shares[3];
    char salt[16];
    built->count = plan->count;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct arm_plan *arm = &plan->arms[i];
        snprintf(names[number][i], sizeof names[number][i], "c%ua%u", number, i);
        shares[i] = (struct arm_share){.name = names[number][i],
                                       .share = arm->share,
                                       .control = i == 0,
                                       .shadow = arm->shadow};
        built->arms[i] =
            (struct scorers_arm){.series = lists_series[arm->series], .control = i == 0};
        built->arms[i].settings.arm = i;
        built->arms[i].settings.arm_name = slice_of(names[number][i]);
        built->arms[i].settings.shadow = arm->shadow;
        built->line[i] = (struct line_arm){.budget = {.min_change = plan->min_change},
                                           .debounce_ms = plan->debounce_ms};
    }
    snprintf(salt, sizeof salt, "s%u", number);
    arms_init(&built->assignment, slice_of(salt), shares, plan->count);
}

const struct lists_config *lists_config(uint32_t config)
{
    static struct lists_config built[CONFIGS];
    if (built[config].count == 0)
        build(&built[config], &plans[config], config);
    return &built[config];
}

/* -- lists ------------------------------------------------------------------------------------- */

void lists_fold(struct folded *user, const struct user_record *record, const int *item_names)
{
    *user = (struct folded){.exists = true,
                            .forgotten = record->forgotten != 0,
                            .count = (int)record->interaction_count,
                            .seen_count = (int)record->seen_count,
                            .shown_count = (int)record->shown_count,
                            .id_count = (int)record->dedup_count,
                            .last_ts_ms = record->last_ts_ms,
                            .wanted_offset = record->wanted_offset,
                            .events = record->events,
                            .trial = record->trial};
    for (int i = 0; i < user->count && i < KEPT_MAX; i++) {
        const struct interaction *at = &user_interactions(record)[i];
        user->kept[i] =
            (struct kept){at->ts_ms, at->offset, at->value, 0, item_names[at->item], at->type};
    }
    for (int i = 0; i < user->seen_count && i < KEPT_MAX; i++)
        user->seen[i] = (struct kept_item){.item = item_names[user_seen(record)[i].item],
                                           .types = user_seen(record)[i].types};
    for (int i = 0; i < user->shown_count && i < KEPT_MAX; i++)
        user->shown[i] = (struct kept_item){.item = item_names[user_shown(record)[i].item],
                                            .ts_ms = user_shown(record)[i].ts_ms,
                                            .count = user_shown(record)[i].count};
}

static uint64_t mix(uint64_t hash, uint64_t number)
{
    hash = (hash ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t digest(const struct folded *user)
{
    uint64_t hash = 1;
    for (int i = 0; i < user->count; i++) {
        hash = mix(hash, (uint64_t)user->kept[i].offset);
        hash = mix(hash, (uint64_t)user->kept[i].ts_ms + (uint64_t)user->kept[i].value);
        hash = mix(hash, (uint64_t)user->kept[i].item * 8 + user->kept[i].type);
    }
    for (int i = 0; i < user->seen_count; i++)
        hash = mix(hash, (uint64_t)user->seen[i].item * 64 + user->seen[i].types);
    return hash;
}

void lists_make(struct listed *list, const struct folded *user, uint32_t config, uint32_t arm,
                uint64_t generation)
{
    uint64_t ranks[KEPT_MAX], base = mix(mix(mix(7, config), arm), generation);
    list->count = 0;
    list->score = (uint32_t)(mix(digest(user), base) % 100000);
    for (int i = 0; i < user->count; i++) {
        int item = user->kept[i].item, place = 0, known = 0;
        uint64_t rank = mix(base, (uint64_t)item);
        for (int k = 0; k < list->count; k++)
            known |= list->items[k] == item;
        while (place < list->count && ranks[place] >= rank)
            place++;
        if (known)
            continue;
        for (int k = list->count++; k > place; k--) {
            list->items[k] = list->items[k - 1];
            ranks[k] = ranks[k - 1];
        }
        list->items[place] = item;
        ranks[place] = rank;
    }
}
