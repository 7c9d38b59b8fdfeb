/* Random worlds for what takes lists apart: a history, a scorer on it, and hyperparameters,
 * weights, event types and items drawn from a seed. Two worlds of the same seed are the same. */
#ifndef FRESHET_TESTS_SCORER_WORLD_H
#define FRESHET_TESTS_SCORER_WORLD_H

#include "scorer_base.h"

#define RANK 6
#define STRIDE 16
#define ROWS 40  /* items of the generation: i000 to i039; newer ones follow */
#define ITEMS 60 /* at most */
#define N 25
#define USERS 12

enum { VIEW, BUY, GLANCE, DISLIKE, WISH, TYPES };
static const char *const type_names[TYPES] = {"view", "buy", "glance", "dislike", "wish"};
static const bool type_counts[TYPES] = {true, true, false, false, true};

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

static inline struct world *world_new(uint64_t seed, enum update update)
{
    static const struct world_rules rules = {
        .limits = {.history_max = 20, .seen_max = 30, .dedup_window = 10, .impressions_max = 15},
        .neighbours_max = 8, /* so few that some are dropped */
        .types = type_names,
        .type_counts = type_counts,
        .type_count = TYPES,
    };
    struct world *world = world_begin(seed, &rules);
    world->excluded = SLICE("hidden");
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

static inline void install_generation(struct world *world)
{
    scorer_install(world->scorer,
                   draw_generation(world, ROWS, STRIDE, world->hyper, world->weights));
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

#endif
