/* A history in a directory of its own, a scorer on it, and words to feed them. Users with even
 * numbers are in partition 0. Whoever includes it says which types, limits and items there are:
 * scorer_world.h draws them from a seed. */
#ifndef FRESHET_TESTS_SCORER_BASE_H
#define FRESHET_TESTS_SCORER_BASE_H

#include "base/mem.h"
#include "model/blas.h"
#include "model/scorer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define START_MS INT64_C(1700000000000)
#define HOUR_MS INT64_C(3600000)
#define WORLD_TYPES_MAX 8

struct world {
    uint64_t random;
    char dir[64];
    uv_loop_t loop;
    struct history *history;
    struct scorer *scorer;
    struct scorer_settings settings;
    struct batch batch;
    struct slate slate;                           /* that was scored last, if the test keeps it */
    int64_t next_offset[2], items_offset, now_ms; /* offsets have no gaps */

    /* of a drawn one */
    struct type_weight types[WORLD_TYPES_MAX];
    struct slice excluded;
    struct score_weights weights;
    struct hyperparameters hyper;
};

struct world_rules {
    struct user_limits limits;
    uint32_t neighbours_max;
    const char *const *types; /* [type_count] */
    const bool *type_counts;
    uint32_t type_count;
};

static inline uint32_t draw(struct world *world, uint32_t below)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(world->random >> 33) % below;
}

static inline double draw_real(struct world *world) /* [0, 1) */
{
    return (double)draw(world, 1u << 24) / (1 << 24);
}

static inline void open_history(struct world *world, const struct world_rules *rules)
{
    struct history_settings settings = {
        .state = {.dir = world->dir, .map_bytes = 64 << 20},
        .topic = SLICE("events"),
        .items_topic = SLICE("items"),
        .limits = rules->limits,
        .neighbours_max = rules->neighbours_max,
        .hot_bytes = 64 << 20,
        .dead_pending_max = 10,
        .type_count = rules->type_count,
        .types = rules->types,
        .type_counts = rules->type_counts,
    };
    struct error err = {0};
    int32_t partitions[] = {0, 1};
    if (history_open(&world->history, &world->loop, &settings, scorer_release_cache, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(history_assign(world->history, partitions, 2, &err), 0);
}

/* Without a scorer: the caller makes it, from settings of his own. */
static inline struct world *world_begin(uint64_t seed, const struct world_rules *rules)
{
    struct world *world = mem_zalloc(sizeof *world);
    blas_init();
    world->random = seed;
    world->now_ms = START_MS;
    snprintf(world->dir, sizeof world->dir, "%s/freshet-world-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(world->dir));
    uv_loop_init(&world->loop);
    open_history(world, rules);
    batch_init(&world->batch);
    return world;
}

static inline void clear_slate(struct world *world)
{
    for (size_t i = 0; i < world->slate.count; i++)
        if (world->slate.lists[i].user != NULL)
            history_unpin(world->history, world->slate.lists[i].user);
    slate_clear(&world->slate);
}

static inline void world_free(struct world *world)
{
    clear_slate(world);
    slate_deinit(&world->slate);
    scorer_free(world->scorer);
    history_close(world->history);
    batch_deinit(&world->batch);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", world->dir, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(world->dir), 0);
    free(world);
}

/* -- events ------------------------------------------------------------------------------------ */

/* "u7", "i012": three digits, so that the generation's are in byte order. */
static inline struct slice text(struct world *world, const char *prefix, int digits,
                                uint32_t number)
{
    char *bytes = batch_alloc(&world->batch, 24);
    int length = snprintf(bytes, 24, "%s%0*u", prefix, digits, number);
    return (struct slice){bytes, (uint32_t)length};
}

static inline struct event *add_event(struct world *world, uint32_t user, uint32_t item, int type,
                                      int64_t ts_ms, double value)
{
    struct event *event = batch_add(&world->batch);
    event->kind = EVENT_INTERACTION;
    event->type = (uint16_t)type;
    event->partition = (int32_t)(user % 2);
    event->offset = world->next_offset[user % 2]++;
    event->ts_ms = event->record_ts_ms = ts_ms;
    event->value = value;
    event->pos = -1;
    event->user = text(world, "u", 1, user);
    event->item = text(world, "i", 3, item);
    return event;
}

static inline void learn(struct world *world)
{
    struct learned learned;
    history_learn(world->history, &world->batch, NULL, NULL, &learned);
    scorer_learned(world->scorer, &learned);
    batch_clear(&world->batch);
}

static inline void describe(struct world *world, uint32_t item, const struct item_record *record)
{
    struct event *event = batch_add(&world->batch);
    event->kind = EVENT_ITEM;
    event->from_items = true;
    event->offset = world->items_offset++;
    event->item = text(world, "i", 3, item);
    event->record = record;
    learn(world);
}

/* Factors are drawn from [-1, 1). */
static inline struct generation *draw_generation(struct world *world, uint32_t rows,
                                                 uint32_t stride, struct hyperparameters hyper,
                                                 struct score_weights weights)
{
    struct generation *generation = mem_zalloc(sizeof *generation);
    *generation = (struct generation){
        .number = 7,
        .hyper = hyper,
        .weights = weights,
        .items = rows,
        .stride = stride,
        .ids = mem_array(NULL, rows, sizeof(struct slice)),
        .Y = mem_try(rows * stride, sizeof(float)),
        .bytes = mem_alloc(rows * 5),
    };
    for (uint32_t row = 0; row < rows; row++) {
        char *id = (char *)generation->bytes + row * 5;
        snprintf(id, 5, "i%03u", row % 1000);
        generation->ids[row] = (struct slice){id, 4};
        for (int k = 0; k < hyper.rank; k++)
            generation->Y[row * stride + (uint32_t)k] = (float)(2 * draw_real(world) - 1);
    }
    assert_int_equal(generation_prepare(generation, NULL), 0);
    return generation;
}

/* -- asking ------------------------------------------------------------------------------------ */

static inline uint32_t item_of(struct world *world, uint32_t number)
{
    char id[24];
    snprintf(id, sizeof id, "i%03u", number);
    return ids_find(&history_items(world->history)->ids, slice_of(id));
}

static inline struct user *find_user(struct world *world, uint32_t number)
{
    char id[24];
    snprintf(id, sizeof id, "u%u", number);
    return history_user(world->history, (int32_t)(number % 2), slice_of(id), NULL);
}

#endif
