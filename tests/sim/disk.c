/* The disk: model/state.c's part without LMDB. A sorted table that outlives the process, changed by
 * whole transactions. `sim_lmdb` has the real one in its place, and must take the same steps. */
#include "base/mem.h"
#include "model/state_internal.h"
#include "tests/sim/memory.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 8192
#define CHUNK_BYTES (1 << 20)

struct entry {
    enum state_db db;
    struct slice key, value;
};

struct state {
    struct state_writer *writer;
};

struct state_view {
    uint64_t as_of; /* commits; a view must not be read across one */
    bool rests;
};

struct chunk {
    struct chunk *next;
    size_t used;
    char bytes[CHUNK_BYTES];
};

static struct {
    struct entry entries[ENTRIES_MAX]; /* [count], by database and key */
    size_t count;
    uint64_t commits;
    struct chunk *chunks; /* what entries point into; given back with the seed */
    struct state *open;
    bool in_use; /* the lock */
} disk;

static char *lay_down(const char *bytes, size_t length)
{
    if (disk.chunks == NULL || disk.chunks->used + length > CHUNK_BYTES) {
        struct chunk *chunk = __real_malloc(sizeof *chunk);
        chunk->next = disk.chunks;
        chunk->used = 0;
        disk.chunks = chunk;
    }
    char *at = disk.chunks->bytes + disk.chunks->used;
    if (length > 0)
        memcpy(at, bytes, length);
    disk.chunks->used += length;
    return at;
}

void disk_begin(void)
{
    while (disk.chunks != NULL && disk.chunks->next != NULL) {
        struct chunk *next = disk.chunks->next;
        __real_free(disk.chunks);
        disk.chunks = next;
    }
    if (disk.chunks != NULL)
        disk.chunks->used = 0;
    disk.count = 0;
    disk.commits = 0;
    disk.open = NULL;
    disk.in_use = false;
}

void disk_crash(void)
{
    disk.open = NULL;
    disk.in_use = false;
}

bool disk_is_crashing(void)
{
    return false;
}

struct state *disk_state(void)
{
    return disk.open;
}

static int order(const struct entry *entry, enum state_db db, struct slice key)
{
    if (entry->db != db)
        return entry->db < db ? -1 : 1;
    return slice_compare(entry->key, key);
}

/* The first entry that is not before the key. */
static size_t place_of(enum state_db db, struct slice key)
{
    size_t low = 0, high = disk.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(&disk.entries[middle], db, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(size_t place, enum state_db db, struct slice key)
{
    return place < disk.count && order(&disk.entries[place], db, key) == 0;
}

/* -- writing ----------------------------------------------------------------------------------- */

static void put(enum state_db db, struct slice key, struct slice value)
{
    size_t place = place_of(db, key);
    if (!is_at(place, db, key)) {
        sim_check(disk.count < ENTRIES_MAX, "the simulated disk is full");
        memmove(disk.entries + place + 1, disk.entries + place,
                (disk.count++ - place) * sizeof *disk.entries);
        disk.entries[place] =
            (struct entry){db, {lay_down(key.data, key.length), key.length}, {NULL, 0}};
    }
    disk.entries[place].value = (struct slice){lay_down(value.data, value.length), value.length};
}

static void delete (enum state_db db, struct slice key)
{
    size_t place = place_of(db, key);
    if (is_at(place, db, key))
        memmove(disk.entries + place, disk.entries + place + 1,
                (--disk.count - place) * sizeof *disk.entries);
}

int state_apply(struct state *state, const struct state_commit *commit, struct error *err)
{
    (void)state;
    (void)err;
    for (size_t i = 0; i < commit->count; i++) {
        const struct state_op *op = &commit->ops[i];
        struct slice key = {commit->bytes.data + op->key_at, op->key_length};
        const char *value = op->kind == OP_PUT ? commit->bytes.data + op->value_at : op->lent;
        if (op->kind == OP_DELETE)
            delete (op->db, key);
        else
            put(op->db, key, (struct slice){value, op->value_length});
    }
    disk.commits++;
    return 0;
}

/* -- opening and reading ----------------------------------------------------------------------- */

int state_open_writer(struct state **opened, uv_loop_t *loop, const struct state_settings *settings,
                      struct error *err)
{
    (void)settings;
    sim_check(!disk.in_use, "the state is opened by two");
    struct state *state = mem_zalloc(sizeof *state);
    disk.in_use = true;
    disk.open = *opened = state;
    return state_writer_start(&state->writer, loop, err);
}

void state_close(struct state *state)
{
    if (state == NULL)
        return;
    state_writer_stop(state->writer);
    disk_crash();
    free(state);
}

struct state_writer *state_writer_of(const struct state *state)
{
    return state->writer;
}

int state_view_open(struct state_view **view, struct state *state, struct error *err)
{
    (void)state;
    (void)err;
    *view = mem_zalloc(sizeof **view);
    (*view)->as_of = disk.commits;
    return 0;
}

void state_view_close(struct state_view *view)
{
    free(view);
}

void state_view_rest(struct state_view *view)
{
    view->rests = true;
}

int state_view_renew(struct state_view *view, struct error *err)
{
    (void)err;
    view->rests = false;
    view->as_of = disk.commits;
    return 0;
}

static void check_view(const struct state_view *view)
{
    sim_check(!view->rests, "a view is read while it rests");
    sim_check(view->as_of == disk.commits, "a view is kept open over a commit");
}

int state_view_get(struct state_view *view, enum state_db db, struct slice key, struct slice *value,
                   struct error *err)
{
    (void)err;
    check_view(view);
    size_t place = place_of(db, key);
    if (!is_at(place, db, key))
        return 0;
    *value = disk.entries[place].value;
    return 1;
}

int state_view_scan(struct state_view *view, enum state_db db, struct slice prefix,
                    state_visit visit, void *arg, struct error *err)
{
    (void)err;
    check_view(view);
    int visited = 0;
    for (size_t i = place_of(db, prefix); i < disk.count && visited == 0; i++) {
        const struct entry *entry = &disk.entries[i];
        bool begins =
            entry->db == db && entry->key.length >= prefix.length &&
            (prefix.length == 0 || memcmp(entry->key.data, prefix.data, prefix.length) == 0);
        if (!begins)
            break;
        visited = visit(entry->key, entry->value, arg);
    }
    return visited;
}
