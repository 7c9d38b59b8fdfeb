/* The scorer, generations, shift and watch, in place of the real ones. What is real is when they
 * are asked, and of which record. */
#include "model/scorer.h"
#include "base/mem.h"
#include "model/shift.h"
#include "monitor/watch.h"
#include "tests/sim/lists.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GENERATIONS_MAX 64

/* -- generations on the disk ------------------------------------------------------------------- */

struct file {
    bool exists, broken, refused;
};

static struct {
    struct file at[GENERATIONS_MAX]; /* by number; there is no 0 */
    size_t newest;
} files[SERIES_KEYS];

static int index_of(uint64_t series)
{
    return series == lists_series[0] ? 0 : 1;
}

void scorer_begin(void)
{
    memset(files, 0, sizeof files);
}

void scorer_add_generation(void)
{
    int series = (int)sim_below(SERIES_KEYS);
    if (files[series].newest + 1 == GENERATIONS_MAX)
        return;
    size_t number = ++files[series].newest;
    files[series].at[number] = (struct file){true, sim_chance(10), sim_chance(15)};
    sim_trace("generation %zu of series %d is written", number, series);
}

size_t scorer_newest(uint64_t series)
{
    return files[index_of(series)].newest;
}

void generation_path(char *path, size_t size, const char *state_dir, uint64_t key, uint64_t number)
{
    (void)state_dir;
    snprintf(path, size, "%" PRIu64 "/%" PRIu64, key, number);
}

int generation_read(struct generation **generation, const char *path, struct error *err)
{
    char *end;
    uint64_t key = strtoull(path, &end, 10), number = strtoull(end + 1, NULL, 10);
    const struct file *file = &files[index_of(key)].at[number];
    if (!file->exists || file->broken)
        return error_set(err, file->exists ? ERR_DATA : ERR_IO, "%s is %s", path,
                         file->exists ? "broken" : "not there");
    *generation = mem_zalloc(sizeof **generation);
    (*generation)->number = number;
    (*generation)->gate = file->refused ? GATE_REFUSED : GATE_PASSED;
    return 0;
}

int generation_prepare(struct generation *generation, struct error *err)
{
    (void)generation;
    (void)err;
    return 0;
}

struct generation *generation_share(struct generation *generation)
{
    generation->sharers++;
    return generation;
}

void generation_free(struct generation *generation)
{
    if (generation == NULL)
        return;
    if (generation->sharers-- == 0)
        free(generation);
}

int generation_list(const char *state_dir, uint64_t key, uint64_t **numbers, size_t *count,
                    struct error *err)
{
    (void)state_dir;
    (void)err;
    *numbers = mem_array(NULL, GENERATIONS_MAX, sizeof **numbers);
    *count = 0;
    for (uint64_t n = 1; n < GENERATIONS_MAX; n++)
        if (files[index_of(key)].at[n].exists)
            (*numbers)[(*count)++] = n;
    return 0;
}

int generation_prune(const char *state_dir, uint64_t key, size_t keep, uint64_t live,
                     struct error *err)
{
    uint64_t *numbers;
    size_t count;
    generation_list(state_dir, key, &numbers, &count, err);
    for (size_t i = 0; i + keep < count && numbers[i] < live; i++)
        files[index_of(key)].at[numbers[i]].exists = false;
    free(numbers);
    return 0;
}

/* -- lists ------------------------------------------------------------------------------------- */

struct scorer {
    struct history *history;
    struct scorer_settings settings;
    struct generation *generation;
    uint32_t config;
};

struct scorer *scorer_new(struct history *history, const struct scorer_settings *settings)
{
    struct scorer *scorer = mem_zalloc(sizeof *scorer);
    *scorer = (struct scorer){.history = history, .settings = *settings};
    scorer->config = (uint32_t)(settings->arm_name.data[1] - '0');
    return scorer;
}

void scorer_free(struct scorer *scorer)
{
    generation_free(scorer->generation);
    free(scorer);
}

void scorer_release_cache(void *cache)
{
    free(cache);
}

void scorer_install(struct scorer *scorer, struct generation *generation)
{
    generation_free(scorer->generation);
    scorer->generation = generation;
}

const struct generation *scorer_generation(const struct scorer *scorer)
{
    return scorer->generation;
}

struct generation *scorer_share_generation(struct scorer *scorer)
{
    return scorer->generation != NULL ? generation_share(scorer->generation) : NULL;
}

void scorer_learned(struct scorer *scorer, const struct learned *learned)
{
    (void)scorer;
    if (learned != NULL)
        checks_learned(learned);
}

static struct slate_list *add_list(const struct scorer *scorer, struct slate *slate,
                                   int32_t partition)
{
    const struct state_meta *meta = history_meta(scorer->history);
    const struct partition_record *record = history_partition(scorer->history, false, partition);
    if (slate->count == slate->capacity) {
        slate->capacity = slate->capacity ? slate->capacity * 2 : 4;
        slate->lists = mem_array(slate->lists, slate->capacity, sizeof *slate->lists);
    }
    struct slate_list *list = &slate->lists[slate->count++];
    *list = (struct slate_list){
        .version = {meta->epoch, partition, record != NULL ? record->next_offset : 0, meta->swap},
        .arm = scorer->settings.arm,
        .arm_name = scorer->settings.arm_name,
        .shadow = scorer->settings.shadow,
        .generation = scorer->generation != NULL ? scorer->generation->number : 0,
        .outcome = SLATE_UNSENT,
    };
    return list;
}

void scorer_add(struct scorer *scorer, struct slate *slate, struct user *user)
{
    struct slate_list *list = add_list(scorer, slate, user->partition);
    history_pin(scorer->history, user);
    list->user = user;
    list->user_id = user->id;
    list->cause = user->cause;
    list->oldest_event_ms = user->oldest_event_ms;
    list->oldest_ts_ms = user->oldest_ts_ms;
    list->record = user_record_ref(user->record);
    list->forgotten = user->record->forgotten != 0;
}

void scorer_add_popular(struct scorer *scorer, struct slate *slate)
{
    add_list(scorer, slate, 0)->cause = CAUSE_SWEEP;
}

static bool is_another(const struct slate_list *list)
{
    if (list->count != list->record->list_count)
        return true;
    for (uint32_t i = 0; i < list->count; i++)
        if (list->items[i].item != user_list(list->record)[i])
            return true;
    return false;
}

static void score(struct scorer *scorer, struct slate_list *list)
{
    struct items *items = history_items(scorer->history);
    int names[STREAM_ITEMS_MAX + 8];
    struct folded user;
    struct listed made;
    sim_check(items_count(items) <= STREAM_ITEMS_MAX + 8, "%u items are known", items_count(items));
    for (uint32_t i = 0; i < items_count(items); i++)
        names[i] = stream_number('i', ids_text(&items->ids, i));
    lists_fold(&user, list->record, names);
    lists_make(&made, &user, scorer->config, scorer->settings.arm,
               scorer->generation != NULL ? scorer->generation->number : 0);
    list->items = mem_array(NULL, (size_t)made.count, sizeof *list->items);
    list->count = (uint32_t)made.count;
    for (int i = 0; i < made.count; i++) {
        char name[8];
        snprintf(name, sizeof name, "i%d", made.items[i]);
        uint32_t number = ids_find(&items->ids, slice_of(name));
        list->items[i] =
            (struct slate_item){number, (float)made.score, ids_text(&items->ids, number)};
    }
    list->changed = is_another(list);
    list->change = (struct list_change){.first = list->record->acked_offset < 0,
                                        .rbo = !list->changed        ? 0.0f
                                               : made.score % 2 == 0 ? 0.1f
                                                                     : 0.5f};
}

/* A worker's turn. The prefix is still the one that the version says, unless its partition went. */
void scorer_run(struct scorer *scorer, struct slate *slate)
{
    slate->stream_ts_ms = history_now_ms(scorer->history);
    for (size_t i = 0; i < slate->count; i++) {
        struct slate_list *list = &slate->lists[i];
        if (list->arm != scorer->settings.arm || list->record == NULL)
            continue;
        const struct partition_record *now =
            history_partition(scorer->history, false, list->version.partition);
        sim_check(now->next_offset == list->version.next_offset,
                  "learned while scoring: %lld, the list says %lld", (long long)now->next_offset,
                  (long long)list->version.next_offset);
        if (list->forgotten)
            list->changed = list->record->list_count > 0;
        else
            score(scorer, list);
    }
}

/* -- shift and watch --------------------------------------------------------------------------- */

struct shift *shift_begin(struct scorer *scorer)
{
    (void)scorer;
    return NULL;
}

void shift_end(struct shift *shift, struct scorer *scorer, struct shift_figures *figures)
{
    (void)shift;
    (void)scorer;
    (void)figures;
}

void watch_batch(struct watch *watch)
{
    (void)watch;
}

struct outcome watch_event(struct watch *watch, const struct use *use, uint32_t arm)
{
    (void)watch;
    (void)arm;
    const struct event *event = use->event;
    const struct record *record = &stream.at[event->partition].records[event->offset];
    if (record->rank == UINT32_MAX)
        return (struct outcome){0};
    return (struct outcome){(uint64_t)(TRIAL_OF_USER + record->user % 2), record->rank};
}

void watch_list(struct watch *watch, const struct slate_list *list)
{
    (void)watch;
    (void)list;
}

void watch_popular(struct watch *watch, const uint32_t *items, uint32_t count)
{
    (void)watch;
    (void)items;
    (void)count;
}

void watch_shift(struct watch *watch, uint32_t arm, const struct shift_figures *figures)
{
    (void)watch;
    (void)arm;
    (void)figures;
}
