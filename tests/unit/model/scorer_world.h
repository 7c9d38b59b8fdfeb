/* Random worlds for what takes lists apart: a history, a scorer on it, and hyperparameters,
 * weights, event types and items drawn from a seed. Two worlds of the same seed are the same. */
#ifndef FRESHET_TESTS_SCORER_WORLD_H
#define FRESHET_TESTS_SCORER_WORLD_H

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

#define RANK 6
#define STRIDE 16
#define ROWS 40  /* items of the generation: i000 to i039; newer ones follow */
#define ITEMS 60 /* at most */
#define N 25
#define USERS 12
#define START_MS INT64_C(1700000000000)
#define HOUR_MS INT64_C(3600000)

enum { VIEW, BUY, GLANCE, DISLIKE, WISH, TYPES };
static const char *const type_names[TYPES] = {"view", "buy", "glance", "dislike", "wish"};
static const bool type_counts[TYPES] = {true, true, false, false, true};

struct world {
    uint64_t random;
    char dir[64];
    uv_loop_t loop;
    struct history *history;
    struct scorer *scorer;
    struct scorer_settings settings;
    struct type_weight types[TYPES];
    struct slice excluded;
    struct score_weights weights;
    struct hyperparameters hyper;
    struct batch batch;
    int64_t next_offset[2], items_offset, now_ms; /* offsets have no gaps */
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

static inline void draw_types(struct world *world)
{
    static const double weights[TYPES] = {1, 2.5, 0, -1, 0.3};
    for (int type = 0; type < TYPES; type++)
        world->types[type] = (struct type_weight){
            .weight = weights[type] * (0.5 + draw_real(world)),
            .half_life_ms = draw(world, 2) ? (1 + draw(world, 200)) * HOUR_MS : 0,
            .cap = 0.5 + 3 * draw_real(world),
            .value = (enum value_kind)draw(world, 3),
            .hides = type == BUY,
        };
}

static inline void draw_rules(struct world *world)
{
    static const int half_lives[] = {1, 3, 4};
    draw_types(world);
    world->hyper = (struct hyperparameters){
        .objective = (enum objective)draw(world, 3),
        .rank = RANK,
        .lambda = 0.2 + draw_real(world),
        .alpha = 0.5 + 4 * draw_real(world),
        .lambda_scaling = (enum lambda_scaling)draw(world, 2),
    };
    world->hyper.w0 = world->hyper.objective == OBJECTIVE_IALS ? 0.1 + draw_real(world) : 1;
    world->weights = (struct score_weights){
        .taste = draw(world, 6) ? 0.3 + draw_real(world) : 0,
        .trend = draw(world, 4) ? draw_real(world) : 0,
        .trend_half_life = half_lives[draw(world, 3)],
        .rho = draw(world, 2) ? 0.8 : 1,
        .together = draw(world, 4) ? 4 * draw_real(world) : 0,
        .together_of = {0.5 + draw_real(world) / 2, (enum pairs_horizon)draw(world, 2),
                        draw(world, 2)},
    };
}

/* A third of the worlds discount impressions, a third explore. */
static inline void draw_finishing(struct world *world)
{
    struct finishing_settings *finishing = &world->settings.finishing;
    if (draw(world, 3) == 0)
        finishing->discount = 0.1 + 0.5 * draw_real(world);
    if (draw(world, 3) == 0)
        finishing->explore = (struct explore_settings){.share = 0.6,
                                                       .slots = 3,
                                                       .depth = 10,
                                                       .newest = 20,
                                                       .from = (enum explore_from)draw(world, 2),
                                                       .seed = world->random};
}

static inline void open_history(struct world *world)
{
    struct history_settings settings = {
        .state = {.dir = world->dir, .map_bytes = 64 << 20},
        .topic = SLICE("events"),
        .items_topic = SLICE("items"),
        .limits = {.history_max = 20, .seen_max = 30, .dedup_window = 10, .impressions_max = 15},
        .neighbours_max = 8, /* so few that some are dropped */
        .hot_bytes = 64 << 20,
        .dead_pending_max = 10,
        .type_count = TYPES,
        .types = type_names,
        .type_counts = type_counts,
    };
    struct error err = {0};
    int32_t partitions[] = {0, 1};
    if (history_open(&world->history, &world->loop, &settings, scorer_release_cache, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(history_assign(world->history, partitions, 2, &err), 0);
}

static inline struct world *world_new(uint64_t seed, enum update update)
{
    struct world *world = mem_zalloc(sizeof *world);
    blas_init();
    world->random = seed;
    world->now_ms = START_MS;
    world->excluded = SLICE("hidden");
    snprintf(world->dir, sizeof world->dir, "%s/freshet-world-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(world->dir));
    uv_loop_init(&world->loop);
    open_history(world);
    batch_init(&world->batch);
    draw_rules(world);
    world->settings = (struct scorer_settings){.finishing = {.n = N},
                                               .update = update,
                                               .sgd_rate = 0.02 + 0.3 * draw_real(world),
                                               .first = {.trend = 1, .trend_half_life = 3},
                                               .types = world->types,
                                               .type_count = TYPES,
                                               .exclude_categories = &world->excluded,
                                               .exclude_category_count = 1,
                                               .arm_name = SLICE("default")};
    draw_finishing(world);
    world->scorer = scorer_new(world->history, &world->settings);
    return world;
}

static inline void world_free(struct world *world)
{
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

/* Users with even numbers are in partition 0. */
static inline void add_event(struct world *world, uint32_t user, uint32_t item, int type,
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
}

static inline void learn(struct world *world)
{
    struct learned learned;
    history_learn(world->history, &world->batch, NULL, NULL, &learned);
    scorer_learned(world->scorer, &learned);
    batch_clear(&world->batch);
}

/* The same items are shown again and again. */
static inline void show(struct world *world, uint32_t user)
{
    add_event(world, user, draw(world, 12), VIEW, world->now_ms, 1);
    struct event *event = &world->batch.events[world->batch.count - 1];
    event->kind = EVENT_IMPRESSION;
}

/* Some come late, some at the same time. */
static inline void live(struct world *world, int events)
{
    for (int i = 0; i < events; i++) {
        uint32_t likely = draw(world, ITEMS), type = draw(world, 8);
        int64_t late_ms = draw(world, 5) ? 0 : draw(world, 20) * HOUR_MS;
        world->now_ms += draw(world, 4) * draw(world, 1000000);
        add_event(world, draw(world, USERS), draw(world, likely + 1),
                  (int)(type < TYPES ? type : VIEW), world->now_ms - late_ms,
                  0.2 + 3 * draw_real(world));
        if (draw(world, 2))
            show(world, draw(world, USERS));
    }
    learn(world);
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

static inline void install_generation(struct world *world)
{
    struct generation *generation = mem_zalloc(sizeof *generation);
    *generation = (struct generation){
        .number = 7,
        .hyper = world->hyper,
        .weights = world->weights,
        .items = ROWS,
        .stride = STRIDE,
        .ids = mem_array(NULL, ROWS, sizeof(struct slice)),
        .Y = mem_try(ROWS * STRIDE, sizeof(float)),
        .bytes = mem_alloc(ROWS * 5),
    };
    for (uint32_t row = 0; row < ROWS; row++) {
        char *id = (char *)generation->bytes + row * 5;
        snprintf(id, 5, "i%03u", row % 1000);
        generation->ids[row] = (struct slice){id, 4};
        for (uint32_t k = 0; k < RANK; k++)
            generation->Y[row * STRIDE + k] = (float)(2 * draw_real(world) - 1);
    }
    assert_int_equal(generation_prepare(generation, NULL), 0);
    scorer_install(world->scorer, generation);
}

/* Of every third seed there is no generation yet. */
static inline struct world *drawn_world(uint64_t seed, enum update update)
{
    struct world *world = world_new(seed, update);
    if (seed % 3 != 0)
        install_generation(world);
    live(world, 150);
    return world;
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
