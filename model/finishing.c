#include "model/finishing.h"
#include "base/hash.h"
#include "base/marks.h"
#include "base/mem.h"
#include "model/list_change.h"
#include "model/topn_select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DRAWS_MAX 64 /* before candidates, being few, are counted through */

struct finishing {
    struct finishing_settings settings;
    const struct columns *columns; /* of the slate, like the next */
    uint32_t eligible;             /* columns that are not excluded */
    struct marks others;           /* columns that are no candidates */
    uint32_t *candidates;          /* [explore.newest] columns */
    struct list_comparing comparing;
};

struct finishing *finishing_new(const struct finishing_settings *settings)
{
    struct finishing *finishing = mem_zalloc(sizeof *finishing);
    finishing->settings = *settings;
    if (settings->explore.share > 0)
        finishing->candidates = mem_array(NULL, settings->explore.newest, sizeof(uint32_t));
    return finishing;
}

void finishing_free(struct finishing *finishing)
{
    if (finishing == NULL)
        return;
    marks_deinit(&finishing->others);
    free(finishing->candidates);
    list_comparing_deinit(&finishing->comparing);
    free(finishing);
}

uint32_t finishing_wants(const struct finishing *finishing, const struct user_record *record)
{
    uint32_t n = finishing->settings.n;
    return record != NULL && finishing->settings.discount > 0 ? n + record->shown_count : n;
}

static uint32_t count_eligible(const struct columns *columns)
{
    uint32_t excluded = 0;
    for (uint32_t word = 0; word < columns->count / 64; word++)
        excluded += (uint32_t)__builtin_popcountll(columns->excluded[word]);
    for (uint32_t column = columns->count / 64 * 64; column < columns->count; column++)
        excluded += columns_is_excluded(columns, column);
    return columns->count - excluded;
}

void finishing_begin(struct finishing *finishing, const struct columns *columns)
{
    finishing->columns = columns;
    if (finishing->settings.explore.share > 0)
        finishing->eligible = count_eligible(columns);
}

/* -- impressions ------------------------------------------------------------------------------- */

static bool discount(const struct finishing *finishing, const struct user_record *record,
                     struct topn_entry *entries, uint32_t count)
{
    const struct columns *columns = finishing->columns;
    const struct shown_item *shown = user_shown(record);
    bool any = false;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < record->shown_count; j++) {
            if (columns->item_of[entries[i].column] != shown[j].item)
                continue;
            entries[i].score = finishing_discounted(entries[i].score, finishing->settings.discount,
                                                    shown[j].count);
            any = true;
        }
    return any;
}

float finishing_discounted(float score, double discount, uint32_t times)
{
    if (isinf(score))
        return score;
    return (float)(score - fabs(score) * (1 - pow(1 - discount, times)));
}

/* -- exploration ------------------------------------------------------------------------------- */

/* Splitmix64 (Steele, Lea, Flood 2014) from a seed that says which list it is. */
struct draw {
    uint64_t state;
};

static uint64_t draw_bits(struct draw *draw)
{
    uint64_t z = draw->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform among 0 .. below - 1. */
static uint32_t draw_below(struct draw *draw, uint32_t below)
{
    return (uint32_t)((draw_bits(draw) >> 32) * below >> 32);
}

static struct draw draw_for(uint64_t seed, const struct slate_list *list)
{
    char version[VERSION_TEXT_BYTES];
    version_format(version, &list->version);
    uint64_t which = hash_stable_with(version, strlen(version), seed);
    return (struct draw){hash_stable_with(list->user_id.data, list->user_id.length, which)};
}

static bool is_candidate(const struct finishing *finishing, uint32_t column)
{
    return !marks_has(&finishing->others, column) &&
           !columns_is_excluded(finishing->columns, column);
}

/* Marks what the user may not get or gets anyway; returns how many candidates are left. */
static uint32_t mark_others(struct finishing *finishing, const struct topn_entry *entries,
                            uint32_t count, const uint32_t *hidden, size_t hidden_count)
{
    marks_clear(&finishing->others, 1);
    uint32_t left = finishing->eligible;
    for (uint32_t i = 0; i < count; i++) {
        left -= is_candidate(finishing, entries[i].column);
        marks_put(&finishing->others, entries[i].column, 0);
    }
    for (size_t i = 0; i < hidden_count; i++) {
        left -= is_candidate(finishing, hidden[i]);
        marks_put(&finishing->others, hidden[i], 0);
    }
    return left;
}

/* The newest candidates, from the highest item number down. */
static uint32_t find_newest(struct finishing *finishing)
{
    const struct columns *columns = finishing->columns;
    uint32_t count = 0;
    for (uint32_t item = columns->items; item > 0; item--) {
        if (count == finishing->settings.explore.newest)
            break;
        uint32_t column = columns->column_of[item - 1];
        finishing->candidates[count] = column;
        count += is_candidate(finishing, column);
    }
    return count;
}

static uint32_t draw_newest(struct finishing *finishing, struct draw *draw, uint32_t left)
{
    uint32_t at = draw_below(draw, left);
    uint32_t column = finishing->candidates[at];
    finishing->candidates[at] = finishing->candidates[left - 1];
    return column;
}

/* One of all `left` candidates: tried at random, and counted through where they are rare. */
static uint32_t draw_any(struct finishing *finishing, struct draw *draw, uint32_t left)
{
    uint32_t count = finishing->columns->count, column = 0;
    for (int i = 0; i < DRAWS_MAX; i++) {
        column = draw_below(draw, count);
        if (is_candidate(finishing, column))
            return column;
    }
    uint32_t at = draw_below(draw, left);
    for (column = 0; !is_candidate(finishing, column) || at > 0; column++)
        at -= is_candidate(finishing, column);
    return column;
}

static int compare_places(const void *a, const void *b)
{
    uint32_t left = ((const struct slate_explored *)a)->at;
    uint32_t right = ((const struct slate_explored *)b)->at;
    return left < right ? -1 : left > right;
}

/* `count` distinct places among the first `depth`, ascending. */
static void draw_places(struct draw *draw, uint32_t depth, struct slate_explored *explored,
                        uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) { /* Floyd's sampling (Bentley & Floyd 1987) */
        uint32_t top = depth - count + i, at = draw_below(draw, top + 1);
        for (uint32_t j = 0; j < i; j++)
            if (explored[j].at == at)
                at = top;
        explored[i].at = at;
    }
    qsort(explored, count, sizeof *explored, compare_places);
}

static bool explores(const struct finishing *finishing, struct draw *draw,
                     const struct slate_list *list)
{
    double share = finishing->settings.explore.share;
    return share > 0 && list->record != NULL && (double)(draw_bits(draw) >> 11) * 0x1p-53 < share;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Draws places and items; columns: [explore.slots]. Returns how many there are. */
static uint32_t explore(struct finishing *finishing, const struct topn_entry *entries,
                        uint32_t count, const uint32_t *hidden, size_t hidden_count,
                        struct slate_list *list, uint32_t *columns)
{
    const struct explore_settings *settings = &finishing->settings.explore;
    struct draw draw = draw_for(settings->seed, list);
    if (!explores(finishing, &draw, list))
        return 0;
    bool newest = settings->from == EXPLORE_NEWEST;
    uint32_t left = mark_others(finishing, entries, count, hidden, hidden_count);
    if (newest)
        left = find_newest(finishing);
    uint32_t length = least(finishing->settings.n, count + least(settings->slots, left));
    uint32_t slots = least(least(settings->slots, left), least(settings->depth, length));
    list->explored = mem_array(NULL, slots, sizeof *list->explored);
    list->explored_count = slots;
    draw_places(&draw, least(settings->depth, length), list->explored, slots);
    for (uint32_t i = 0; i < slots; i++) {
        list->explored[i].propensity = settings->share * slots / left;
        columns[i] =
            newest ? draw_newest(finishing, &draw, left - i) : draw_any(finishing, &draw, left - i);
        marks_put(&finishing->others, columns[i], 0);
    }
    return slots;
}

/* -- the list ---------------------------------------------------------------------------------- */

static struct slate_item item_at(const struct columns *columns, uint32_t column, float score)
{
    return (struct slate_item){
        .item = columns->item_of[column], .score = score, .id = columns->ids[column]};
}

static void fill(struct finishing *finishing, const struct topn_entry *entries, uint32_t count,
                 const uint32_t *explored, struct slate_list *list)
{
    const struct columns *columns = finishing->columns;
    uint32_t length = least(finishing->settings.n, count + list->explored_count), slot = 0;
    uint32_t *now = list_comparing_room(&finishing->comparing, length);
    list->items = mem_array(NULL, length, sizeof *list->items);
    list->count = length;
    for (uint32_t i = 0; i < length; i++) {
        bool here = slot < list->explored_count && list->explored[slot].at == i;
        uint32_t column = here ? explored[slot] : entries[i - slot].column;
        now[i] = column;
        list->items[i] = item_at(columns, column, here ? 0 : entries[i - slot].score);
        list->new_items += i < LIST_DEPTH && column >= columns->rows;
        slot += here;
    }
}

void finishing_list(struct finishing *finishing, const struct topn_user *user,
                    struct topn_entry *entries, uint32_t count, struct slate_list *list)
{
    uint32_t columns[EXPLORE_SLOTS_MAX];
    const struct user_record *record = list->record;
    if (record != NULL && finishing->settings.discount > 0 && record->shown_count > 0 &&
        discount(finishing, record, entries, count))
        topn_sort(entries, count, finishing->columns->ids);
    count = least(count, finishing->settings.n);
    explore(finishing, entries, count, user->hidden, user->hidden_count, list, columns);
    fill(finishing, entries, count, columns, list);
    if (record != NULL)
        list_compare(&finishing->comparing, finishing->columns, user, list);
}
