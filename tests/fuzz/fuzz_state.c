/* The records of a state, of every format version, as a disk may give them back: a history is
 * opened over them, its partition is loaded, its users are looked at, it learns a few events and
 * commits, and it is dumped. What is damaged is refused with a sentence, and nothing is read beyond
 * its end.
 *
 * The database is the input: a run of records, each the byte of its table (see enum state_db), one
 * of how its key is made, the key's bytes behind a length of one byte, and the value behind one of
 * two bytes. */
#include "base/mem.h"
#include "model/history.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#define RECORDS_MAX 64
#define TOPIC SLICE("events")
#define ITEMS_TOPIC SLICE("items")

enum key_kind { KEY_RAW, KEY_OF_EVENTS, KEY_OF_ITEMS, KEY_KINDS };

/* -- a state of which nothing is on a disk ----------------------------------------------------- */

struct record {
    enum state_db db;
    char *key, *value; /* owned, exactly as long as they are */
    uint32_t key_length, value_length;
};

struct state {
    struct record records[RECORDS_MAX]; /* [count] in key order */
    size_t count;
};

struct state_view {
    struct state *state;
};

struct state_commit {
    int puts;
};

static struct state the_state;

static int compare(const void *a, const void *b)
{
    const struct record *left = a, *right = b;
    return slice_compare((struct slice){left->key, left->key_length},
                         (struct slice){right->key, right->key_length});
}

int state_open_writer(struct state **state, uv_loop_t *loop, const struct state_settings *settings,
                      struct error *err)
{
    *state = &the_state;
    return 0;
}

int state_open_reader(struct state **state, const struct state_settings *settings,
                      struct error *err)
{
    *state = &the_state;
    return 0;
}

void state_close(struct state *state)
{
}

int state_view_open(struct state_view **view, struct state *state, struct error *err)
{
    *view = mem_alloc(sizeof **view);
    (*view)->state = state;
    return 0;
}

void state_view_close(struct state_view *view)
{
    free(view);
}

void state_view_rest(struct state_view *view)
{
}

int state_view_renew(struct state_view *view, struct error *err)
{
    return 0;
}

int state_view_get(struct state_view *view, enum state_db db, struct slice key, struct slice *value,
                   struct error *err)
{
    for (size_t i = 0; i < view->state->count; i++) {
        const struct record *record = &view->state->records[i];
        *value = (struct slice){record->value, record->value_length};
        if (record->db == db && slice_equal(key, (struct slice){record->key, record->key_length}))
            return 1;
    }
    return 0;
}

static bool begins(const struct record *record, struct slice prefix)
{
    return record->key_length >= prefix.length &&
           (prefix.length == 0 || memcmp(record->key, prefix.data, prefix.length) == 0);
}

int state_view_scan(struct state_view *view, enum state_db db, struct slice prefix,
                    state_visit visit, void *arg, struct error *err)
{
    int status = 0;
    for (size_t i = 0; i < view->state->count && status == 0; i++) {
        const struct record *record = &view->state->records[i];
        if (record->db == db && begins(record, prefix))
            status = visit((struct slice){record->key, record->key_length},
                           (struct slice){record->value, record->value_length}, arg);
    }
    return status;
}

struct state_commit *state_commit_new(struct state *state)
{
    return mem_zalloc(sizeof(struct state_commit));
}

/* Every byte of it is looked at. */
static void put(struct state_commit *commit, struct slice key, struct slice value)
{
    free(copy_exactly(value));
    commit->puts += key.length > 0;
}

void state_commit_put(struct state_commit *commit, enum state_db db, struct slice key,
                      struct slice value)
{
    put(commit, key, value);
}

void state_commit_put_lent(struct state_commit *commit, enum state_db db, struct slice key,
                           struct slice value)
{
    put(commit, key, value);
}

void state_commit_delete(struct state_commit *commit, enum state_db db, struct slice key)
{
}

void state_commit_drop(struct state_commit *commit)
{
    free(commit);
}

void state_commit_start(struct state_commit *commit, state_commit_cb done, void *arg)
{
    free(commit);
    done(NULL, arg);
}

bool state_commit_running(const struct state *state)
{
    return false;
}

int state_commit_now(struct state_commit *commit, struct error *err)
{
    free(commit);
    return 0;
}

/* -- from the input ---------------------------------------------------------------------------- */

static uint32_t make_key(char *key, unsigned kind, struct slice rest)
{
    size_t length = 0;
    if (kind == KEY_OF_EVENTS)
        length = state_key_partition(key, TOPIC, 0);
    else if (kind == KEY_OF_ITEMS)
        length = state_key_partition(key, ITEMS_TOPIC, 0);
    if (rest.length > 0)
        memcpy(key + length, rest.data, rest.length);
    return (uint32_t)length + rest.length;
}

static void add_record(struct slice *input)
{
    char key[STATE_KEY_MAX];
    struct record *record = &the_state.records[the_state.count++];
    record->db = (enum state_db)(take_number(input, 1) % STATE_DB_COUNT);
    unsigned kind = (unsigned)take_number(input, 1) % KEY_KINDS;
    struct slice rest = take_bytes(input, (uint32_t)take_number(input, 1));
    struct slice value = take_bytes(input, (uint32_t)take_number(input, 2));
    record->key_length = make_key(key, kind, rest);
    record->key = copy_exactly((struct slice){key, record->key_length});
    record->value_length = value.length;
    record->value = copy_exactly(value);
}

static void fill_state(struct slice input)
{
    the_state.count = 0;
    while (input.length > 0 && the_state.count < RECORDS_MAX)
        add_record(&input);
    qsort(the_state.records, the_state.count, sizeof(struct record), compare);
}

static void empty_state(void)
{
    for (size_t i = 0; i < the_state.count; i++) {
        free(the_state.records[i].key);
        free(the_state.records[i].value);
    }
}

/* -- what is done with it ---------------------------------------------------------------------- */

static const char *const type_names[] = {"click", "view"};
static const bool type_counts[] = {true, false};
static const struct history_settings settings = {
    .state = {"nowhere", 1 << 20},
    .topic = {"events", 6},
    .items_topic = {"items", 5},
    .limits = {.history_max = 8, .seen_max = 8, .dedup_window = 8, .impressions_max = 4},
    .neighbours_max = 4,
    .hot_bytes = 1 << 20,
    .dead_pending_max = 10,
    .type_count = 2,
    .types = type_names,
    .type_counts = type_counts,
};

static void release_nothing(void *cache)
{
}

static struct outcome some_outcome(const struct use *use, void *arg)
{
    return (struct outcome){1, 3};
}

static struct event *add_event(struct batch *batch, enum event_kind kind, int64_t offset)
{
    struct event *event = batch_add(batch);
    event->kind = kind;
    event->offset = offset;
    event->user = event->key = SLICE("u1");
    event->item = SLICE("i1");
    event->id = event->ref = SLICE("id");
    event->value = 1;
    event->ts_ms = event->record_ts_ms = 1700000000000 + offset;
    return event;
}

static void learn(struct history *history)
{
    struct batch batch;
    struct learned learned;
    int64_t offset = history_next_offset(history, false, 0);
    offset = offset > 0 && offset < INT64_MAX / 2 ? offset : 0;
    batch_init(&batch);
    add_event(&batch, EVENT_INTERACTION, offset);
    add_event(&batch, EVENT_IMPRESSION, offset + 1)->item = SLICE("i2");
    add_event(&batch, EVENT_INTERACTION, offset + 2)->item = SLICE("i2");
    add_event(&batch, EVENT_RETRACT, offset + 3);
    add_event(&batch, EVENT_INTERACTION, offset + 4)->type = 1;
    add_event(&batch, EVENT_FORGET_USER, offset + 5)->user = SLICE("u2");
    history_learn(history, &batch, some_outcome, NULL, &learned);
    batch_deinit(&batch);
}

static void look(struct history *history)
{
    struct error err = {0};
    uint32_t items;
    struct user *user = history_user(history, 0, SLICE("u1"), &err);
    if (user != NULL) {
        user_has_seen(user->record, 0);
        user_knows_id(user->record, 1);
    }
    for (size_t i = 0; i < history_sums_count(history); i++)
        history_sums(history, i, &items);
    history_now_ms(history);
    history_note(history, "experiment");
}

static void committed(const struct error *err, const int32_t *partitions,
                      const int64_t *next_offsets, size_t count, void *arg)
{
}

static uint32_t no_swap(struct slice user, void *arg)
{
    return 1;
}

static void scan(struct history *history)
{
    struct owed_list owed = {0};
    struct error err = {0};
    history_scan_owed(history, true, 0, no_swap, NULL, &owed, &err);
    owed_list_deinit(&owed);
}

static void use(uv_loop_t *loop, struct history *history)
{
    struct error err = {0};
    int32_t partition = 0;
    if (history_assign(history, &partition, 1, &err) != 0)
        return;
    look(history);
    learn(history);
    look(history);
    scan(history);
    history_commit(history, committed, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
    history_revoke(history, &partition, 1);
}

static void dump(void)
{
    struct error err = {0};
    FILE *out = fopen("/dev/null", "w");
    history_dump(&settings.state, (struct slice){NULL, 0}, out, &err);
    fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history *history = NULL;
    struct error err = {0};
    uv_loop_t loop;
    fill_state((struct slice){(const char *)data, (uint32_t)size});
    uv_loop_init(&loop);
    if (history_open(&history, &loop, &settings, release_nothing, &err) == 0) {
        use(&loop, history);
        history_close(history);
    } else {
        MUST(err.text[0] != '\0');
    }
    dump();
    uv_run(&loop, UV_RUN_DEFAULT);
    MUST(uv_loop_close(&loop) == 0);
    empty_state();
    return 0;
}
