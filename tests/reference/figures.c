/* A scripted life of a small shop, for test_figures.py to count again: events, lists, swaps.
 *
 *     figures SEED BATCHES
 *
 * prints a JSON line for each thing that happens, as it happens, and last what the daemon's status
 * says of it. Events are learned by a history, lists made by the scorers of three arms, one a
 * shadow; what becomes of a list is drawn. */
#include "base/clock.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "model/blas.h"
#include "publisher/budget.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define USERS 40
#define ITEMS 120 /* of which the generations know the first KNOWN */
#define KNOWN 90
#define ROWS 1490 /* with others that the shop never sees: more than a probe looks among */
#define RANK 5
#define STRIDE 16
#define ARMS 3
#define START_MS INT64_C(1700000000000)

enum { VIEW, BUY, GLANCE, TYPES };
static const char *const type_names[TYPES] = {"view", "buy", "glance"};
static const bool type_counts[TYPES] = {true, true, false};
static const char *const arm_names[ARMS] = {"control", "bold", "ghost"};
static const char *const outcome_names[] = {"unsent", "held", "stored", "older", "refused"};

struct shop {
    uint64_t random;
    char dir[64];
    struct daemon daemon; /* as much of it as its figures need */
    struct settings settings;
    struct type_weight types[TYPES];
    struct arms assignment;
    struct batch batch;
    struct slate slate;
    struct buffer line;
    struct json_writer w;
    int64_t offsets[2], items_offset, now_ms;
    char said[USERS][2][VERSION_TEXT_BYTES]; /* versions of the user's last two lists */
};

static uint32_t draw(struct shop *shop, uint32_t below)
{
    shop->random = shop->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return (uint32_t)(shop->random >> 33) % below;
}

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "figures: %s\n", what);
    exit(1);
}

/* -- telling ----------------------------------------------------------------------------------- */

static struct json_writer *begin(struct shop *shop, const char *kind)
{
    buffer_clear(&shop->line);
    shop->w = (struct json_writer){.out = &shop->line};
    json_begin_object(&shop->w, NULL);
    json_text(&shop->w, "kind", kind);
    return &shop->w;
}

static void end(struct shop *shop)
{
    json_end_object(&shop->w);
    printf("%.*s\n", (int)shop->line.length, (const char *)shop->line.data);
}

static struct slice name_of(struct shop *shop, uint32_t item)
{
    return ids_text(&history_items(shop->daemon.history)->ids, item);
}

/* -- the shop ---------------------------------------------------------------------------------- */

static void open_history(struct shop *shop)
{
    struct history_settings settings = {
        .state = {.dir = shop->dir, .map_bytes = 64 << 20},
        .topic = SLICE("events"),
        .items_topic = SLICE("items"),
        .limits = {.history_max = 2000, .seen_max = 2000, .dedup_window = 10},
        .hot_bytes = 256 << 20,
        .dead_pending_max = 10,
        .type_count = TYPES,
        .types = type_names,
        .type_counts = type_counts,
    };
    struct error err = {0};
    int32_t partitions[] = {0, 1};
    snprintf(shop->dir, sizeof shop->dir, "%s/freshet-figures-XXXXXX", P_tmpdir);
    check(mkdtemp(shop->dir) != NULL, "no directory");
    check(history_open(&shop->daemon.history, &shop->daemon.loop, &settings, scorer_release_cache,
                       &err) == 0,
          err.text);
    check(history_assign(shop->daemon.history, partitions, 2, &err) == 0, err.text);
}

static struct scorer_settings scorer_of(const struct shop *shop, uint32_t arm)
{
    struct scorer_settings settings = {
        .finishing = {.n = 25},
        .first = {.trend = 1, .trend_half_life = 3},
        .types = shop->types,
        .type_count = TYPES,
        .arm = arm,
        .arm_name = slice_of(arm_names[arm]),
        .shadow = arm == 2,
    };
    if (arm == 1)
        settings.finishing.explore = (struct explore_settings){
            .share = 0.5, .slots = 3, .depth = 15, .newest = 30, .from = EXPLORE_TAIL, .seed = 7};
    return settings;
}

static void open_arms(struct shop *shop)
{
    const struct arm_share shares[ARMS] = {{.name = arm_names[0], .control = true},
                                           {.name = arm_names[1], .share = 0.4},
                                           {.name = arm_names[2], .share = 0.5, .shadow = true}};
    struct scorers_arm arms[ARMS];
    struct watch_arm watched[ARMS];
    arms_init(&shop->assignment, SLICE("salt"), shares, ARMS);
    for (uint32_t arm = 0; arm < ARMS; arm++) {
        arms[arm] =
            (struct scorers_arm){.settings = scorer_of(shop, arm), .control = shares[arm].control};
        watched[arm] =
            (struct watch_arm){slice_of(arm_names[arm]), 100 + arm, shares[arm].shadow, false};
    }
    shop->daemon.scorers = scorers_new(shop->daemon.history, &shop->assignment, arms, ARMS);
    shop->daemon.watch = watch_new(shop->daemon.history, watched, ARMS);
    watch_set_chr_min(shop->daemon.watch, 3);
}

static struct shop *shop_new(uint64_t seed)
{
    struct shop *shop = mem_zalloc(sizeof *shop);
    static const double weights[TYPES] = {1, 2, 0};
    shop->random = seed;
    shop->now_ms = START_MS;
    shop->daemon.settings = &shop->settings;
    shop->settings.events.type_count = TYPES;
    for (int type = 0; type < TYPES; type++) {
        shop->settings.events.names[type] = (char *)(uintptr_t)type_names[type];
        shop->types[type] =
            (struct type_weight){.weight = weights[type], .cap = 1e9, .hides = type == BUY};
    }
    uv_loop_init(&shop->daemon.loop);
    batch_init(&shop->batch);
    open_history(shop);
    open_arms(shop);
    return shop;
}

static void shop_free(struct shop *shop)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    char path[128];
    slate_deinit(&shop->slate);
    scorers_free(shop->daemon.scorers);
    watch_free(shop->daemon.watch);
    history_close(shop->daemon.history);
    batch_deinit(&shop->batch);
    buffer_deinit(&shop->line);
    uv_run(&shop->daemon.loop, UV_RUN_DEFAULT);
    uv_loop_close(&shop->daemon.loop);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", shop->dir, files[i]);
        unlink(path);
    }
    rmdir(shop->dir);
    free(shop);
}

/* -- swaps ------------------------------------------------------------------------------------- */

static void tell_generation(struct shop *shop, const struct generation *generation)
{
    struct json_writer *w = begin(shop, "generation");
    json_int(w, "number", (int64_t)generation->number);
    json_real(w, "w0", generation->hyper.w0);
    json_real(w, "lambda", generation->hyper.lambda);
    json_real(w, "alpha", generation->hyper.alpha);
    json_begin_array(w, "rows"); /* in the order of the file, which is that of ids */
    for (size_t row = 0; row < generation->items; row++) {
        json_begin_array(w, NULL);
        json_string(w, NULL, generation->ids[row]);
        for (int k = 0; k < RANK; k++)
            json_real(w, NULL, (double)generation->Y[row * STRIDE + (size_t)k]);
        json_end_array(w);
    }
    json_end_array(w);
    end(shop);
}

static struct generation *make_generation(struct shop *shop, uint64_t number)
{
    struct generation *generation = mem_zalloc(sizeof *generation);
    *generation = (struct generation){
        .number = number,
        .hyper = {.objective = OBJECTIVE_IALS, .rank = RANK, .w0 = 0.02, .lambda = 0.3, .alpha = 2},
        .weights = {.taste = 1, .trend = 0.2, .trend_half_life = 3, .rho = 1},
        .items = ROWS,
        .stride = STRIDE,
        .ids = mem_array(NULL, ROWS, sizeof(struct slice)),
        .Y = mem_try(ROWS * STRIDE, sizeof(float)),
        .bytes = mem_alloc(ROWS * 6),
    };
    for (uint32_t row = 0; row < ROWS; row++) {
        char *id = (char *)generation->bytes + row * 6;
        int length = row < KNOWN ? snprintf(id, 6, "i%03u", row % KNOWN)
                                 : snprintf(id, 6, "x%04u", row % ROWS);
        generation->ids[row] = (struct slice){id, (uint32_t)length};
        for (uint32_t k = 0; k < RANK; k++)
            generation->Y[row * STRIDE + k] = (float)draw(shop, 2000) / 1000 - 0.6f;
    }
    tell_generation(shop, generation);
    check(generation_prepare(generation, NULL) == 0, "the generation is not prepared");
    return generation;
}

static void swap(struct shop *shop, uint64_t number)
{
    struct shift_figures figures;
    struct shift *shift = shift_begin(scorers_at(shop->daemon.scorers, 0));
    scorers_install(shop->daemon.scorers, 0, make_generation(shop, number));
    shift_end(shift, scorers_at(shop->daemon.scorers, 0), &figures);
    for (uint32_t arm = 0; arm < ARMS; arm++)
        watch_shift(shop->daemon.watch, arm, &figures);
}

/* -- events ------------------------------------------------------------------------------------ */

static struct slice text(struct shop *shop, const char *prefix, int digits, uint32_t number)
{
    char *bytes = batch_alloc(&shop->batch, 24);
    int length = snprintf(bytes, 24, "%s%0*u", prefix, digits, number);
    return (struct slice){bytes, (uint32_t)length};
}

/* Often something of the user's list, and then he may say so. */
static void choose_item(struct shop *shop, uint32_t user, struct event *event)
{
    struct user *known = history_user(shop->daemon.history, event->partition, event->user, NULL);
    uint32_t likely = draw(shop, ITEMS);
    event->item = text(shop, "i", 3, draw(shop, likely + 1));
    event->pos = -1;
    if (known == NULL || known->record->list_count == 0 || draw(shop, 2) == 0)
        return;
    uint32_t at = draw(shop, draw(shop, known->record->list_count) + 1);
    struct slice name = name_of(shop, user_list(known->record)[at]);
    event->item = (struct slice){batch_alloc(&shop->batch, name.length), name.length};
    memcpy((char *)(uintptr_t)event->item.data, name.data, name.length);
    if (draw(shop, 3) == 0)
        return;
    event->pos = (int32_t)(at + (draw(shop, 4) ? 1 : draw(shop, 3)));
    char *said = batch_alloc(&shop->batch, VERSION_TEXT_BYTES);
    memcpy(said, shop->said[user][draw(shop, 4) == 0], VERSION_TEXT_BYTES);
    if (draw(shop, 12) == 0)
        said[draw(shop, 35)] ^= 1; /* another version, or none */
    event->list = slice_of(said);
}

static void add_event(struct shop *shop)
{
    uint32_t user = draw(shop, draw(shop, USERS) + 1);
    struct event *event = batch_add(&shop->batch);
    shop->now_ms += draw(shop, 100000);
    event->kind = EVENT_INTERACTION;
    event->type = (uint16_t)(draw(shop, 5) ? VIEW : draw(shop, TYPES));
    event->partition = (int32_t)(user % 2);
    event->offset = shop->offsets[user % 2]++;
    event->ts_ms = shop->now_ms - (draw(shop, 6) ? 0 : draw(shop, 1000000)); /* some are late */
    event->record_ts_ms = shop->now_ms;
    event->value = draw(shop, 3) ? draw(shop, 12) : draw(shop, 30000) * 0.1;
    event->user = text(shop, "u", 1, user);
    choose_item(shop, user, event);
}

static void block_item(struct shop *shop)
{
    struct item_record *record = batch_alloc(&shop->batch, sizeof *record);
    struct event *event = batch_add(&shop->batch);
    *record = (struct item_record){.present = true,
                                   .blocked = true,
                                   .available_from_ms = INT64_MIN,
                                   .available_until_ms = INT64_MAX};
    event->kind = EVENT_ITEM;
    event->from_items = true;
    event->offset = shop->items_offset++;
    event->item = text(shop, "i", 3, draw(shop, ITEMS));
    event->record = record;
    struct json_writer *w = begin(shop, "block");
    json_string(w, "item", event->item);
    end(shop);
}

static struct outcome observe(const struct use *use, void *arg)
{
    struct shop *shop = arg;
    const struct event *event = use->event;
    uint32_t arm = scorers_arm_of(shop->daemon.scorers, event->user);
    struct outcome outcome = watch_event(shop->daemon.watch, use, arm);
    struct json_writer *w = begin(shop, "event");
    json_string(w, "user", event->user);
    json_string(w, "item", event->item);
    json_text(w, "type", type_names[event->type]);
    json_real(w, "value", event->value);
    json_int(w, "partition", event->partition);
    json_int(w, "offset", event->offset);
    json_int(w, "ts", event->ts_ms);
    json_string(w, "list", event->list);
    json_int(w, "pos", event->pos);
    json_text(w, "arm", arm_names[arm]);
    json_int(w, "trial", (int64_t)outcome.trial);
    json_int(w, "rank", outcome.rank);
    end(shop);
    return outcome;
}

/* -- lists ------------------------------------------------------------------------------------- */

static void tell_list(struct shop *shop, const struct slate_list *list)
{
    char version[VERSION_TEXT_BYTES];
    struct json_writer *w = begin(shop, list->user != NULL ? "list" : "popular");
    version_format(version, &list->version);
    json_string(w, "user", list->user_id);
    json_text(w, "arm", arm_names[list->arm]);
    json_text(w, "version", version);
    json_text(w, "cause", slate_cause_name(list->cause));
    json_text(w, "outcome", outcome_names[list->outcome]);
    json_int(w, "hold", list->hold);
    json_bool(w, "answers", list->oldest_event_ms > 0);
    json_int(w, "explored", list->explored_count);
    json_begin_array(w, "items");
    for (uint32_t i = 0; i < list->count; i++)
        json_string(w, NULL, list->items[i].id);
    json_end_array(w);
    end(shop);
}

/* What became of it: drawn. */
static void draw_fate(struct shop *shop, struct slate_list *list)
{
    static const enum slate_outcome fates[] = {SLATE_UNSENT, SLATE_OLDER, SLATE_REFUSED};
    uint32_t fate = draw(shop, 20);
    list->outcome = fate < 3 ? fates[fate] : SLATE_STORED;
    bool may_hold = !list->shadow && list->user != NULL && !list->change.first;
    if (list->shadow || (may_hold && fate > 17))
        list->outcome = SLATE_HELD;
    if (may_hold && fate > 17)
        list->hold = 1 + (int)draw(shop, HOLD_COUNT - 1);
}

static void acknowledge(struct shop *shop, const struct slate_list *list)
{
    bool held = list->outcome == SLATE_HELD;
    uint32_t items[64];
    for (uint32_t i = 0; i < list->count; i++)
        items[i] = list->items[i].item;
    if (list->user == NULL)
        watch_popular(shop->daemon.watch, items, list->count);
    else
        history_acknowledge(shop->daemon.history, list->user, &list->version,
                            held ? user_list(list->record) : items,
                            held ? list->record->list_count : list->count, !held && list->changed);
}

/* "u12" -> 12 */
static uint32_t number_of(struct slice user)
{
    uint32_t number = 0;
    for (uint32_t i = 1; i < user.length; i++)
        number = number * 10 + (uint32_t)(user.data[i] - '0');
    return number;
}

static void settle(struct shop *shop, struct slate_list *list)
{
    draw_fate(shop, list);
    tell_list(shop, list);
    if (list->outcome == SLATE_UNSENT)
        return;
    watch_list(shop->daemon.watch, list);
    if (list->shadow)
        return;
    acknowledge(shop, list);
    if (list->user == NULL)
        return;
    uint32_t user = number_of(list->user_id);
    memcpy(shop->said[user][1], shop->said[user][0], VERSION_TEXT_BYTES);
    version_format(shop->said[user][0], &list->version);
}

static void make_lists(struct shop *shop, struct user *const *users, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        users[i]->cause = draw(shop, 8) ? CAUSE_EVENT : (enum slate_cause)draw(shop, CAUSE_COUNT);
        scorers_add(shop->daemon.scorers, &shop->slate, users[i]);
        users[i]->oldest_event_ms = users[i]->oldest_ts_ms = 0;
    }
    if (draw(shop, 10) == 0)
        scorers_add_popular(shop->daemon.scorers, &shop->slate);
    scorers_run(shop->daemon.scorers, &shop->slate);
    for (size_t i = 0; i < shop->slate.count; i++)
        settle(shop, &shop->slate.lists[i]);
    for (size_t i = 0; i < shop->slate.count; i++)
        if (shop->slate.lists[i].user != NULL)
            history_unpin(shop->daemon.history, shop->slate.lists[i].user);
    slate_clear(&shop->slate);
}

static void live(struct shop *shop)
{
    struct learned learned;
    for (uint32_t events = 1 + draw(shop, 6); events > 0; events--)
        add_event(shop);
    if (draw(shop, 60) == 0)
        block_item(shop);
    watch_batch(shop->daemon.watch);
    history_learn(shop->daemon.history, &shop->batch, observe, shop, &learned);
    scorers_learned(shop->daemon.scorers, &learned);
    make_lists(shop, learned.users, learned.user_count);
    batch_clear(&shop->batch);
}

int main(int argc, char **argv)
{
    check(argc == 3, "SEED BATCHES");
    blas_init();
    struct shop *shop = shop_new(strtoull(argv[1], NULL, 10));
    int batches = atoi(argv[2]);
    for (int i = 0; i < batches; i++) {
        if (i == batches / 5 || i == batches * 3 / 5)
            swap(shop, i == batches / 5 ? 1 : 2);
        live(shop);
    }
    struct json_writer *w = begin(shop, "figures");
    json_int(w, "items", items_count(history_items(shop->daemon.history)));
    json_int(w, "epoch", history_meta(shop->daemon.history)->epoch);
    daemon_status_figures(&shop->daemon, w);
    end(shop);
    shop_free(shop);
    return 0;
}
