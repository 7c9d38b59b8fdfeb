#include "base/failpoint.h"
#include "base/mem.h"
#include "model/history_internal.h"

#include <assert.h>
#include <stdlib.h>

#define NO_KEY UINT32_MAX /* as the key's length in the state */

/* -- the list ---------------------------------------------------------------------------------- */

static void make_ready(struct dead_letters *dead, struct dead_entry *entry)
{
    entry->next_ready = NULL;
    *dead->ready_tail = entry;
    dead->ready_tail = &entry->next_ready;
}

static struct dead_entry *add(struct dead_letters *dead, struct slice key, struct slice json)
{
    struct dead_entry *entry = mem_zalloc(sizeof *entry);
    entry->bytes = mem_alloc((size_t)key.length + json.length);
    if (key.length > 0)
        memcpy(entry->bytes, key.data, key.length);
    if (json.length > 0)
        memcpy(entry->bytes + key.length, json.data, json.length);
    entry->key = (struct slice){key.data != NULL ? entry->bytes : NULL, key.length};
    if (json.length > 0)
        entry->json = (struct slice){entry->bytes + key.length, json.length};
    entry->next = dead->all;
    dead->all = entry;
    dead->undelivered++;
    return entry;
}

void dead_deinit(struct history *history)
{
    struct dead_letters *dead = &history->dead;
    while (dead->all != NULL) {
        struct dead_entry *entry = dead->all;
        dead->all = entry->next;
        free(entry->bytes);
        free(entry);
    }
}

void dead_add(struct history *history, const struct event *event, enum dead_reason reason)
{
    struct dead_letters *dead = &history->dead;
    struct event refused = *event;
    refused.kind = EVENT_DEAD;
    refused.reason = reason;
    buffer_clear(&history->scratch);
    dead_letter_write(&history->scratch, history_topic(history, event->from_items).data, &refused);
    struct dead_entry *entry = add(dead, event->key, buffer_slice(&history->scratch));
    entry->items = event->from_items;
    entry->partition = event->partition;
    entry->offset = event->offset;
    make_ready(dead, entry);
    dead->dirty = true;
    dead->counts[reason]++;
    FAILPOINT("dead.added");
}

/* -- a forgotten user -------------------------------------------------------------------------- */

/* One that was delivered has no key any more. */
static bool is_of_key(const struct dead_entry *entry, struct slice key)
{
    return !entry->items && entry->key.data != NULL && slice_equal(entry->key, key);
}

/* A letter that fails is sent again, after others: so the tombstone waits until none of its key is
 * left, the tombstone before it included. */
static void queue_tombstone(struct dead_letters *dead, struct dead_entry *tombstone)
{
    for (struct dead_entry *entry = dead->all; entry != NULL; entry = entry->next) {
        if (entry == tombstone || entry->follower != NULL || !is_of_key(entry, tombstone->key))
            continue;
        entry->follower = tombstone;
        tombstone->leaders++;
    }
    if (tombstone->leaders == 0)
        make_ready(dead, tombstone);
}

void dead_forget(struct history *history, const struct event *event)
{
    struct dead_letters *dead = &history->dead;
    struct dead_entry *tombstone = add(dead, event->user, (struct slice){NULL, 0});
    tombstone->partition = event->partition;
    tombstone->offset = event->offset;
    queue_tombstone(dead, tombstone);
    dead->dirty = true;
}

uint32_t history_dead_of(const struct history *history, struct slice key)
{
    uint32_t count = 0;
    for (const struct dead_entry *entry = history->dead.all; entry != NULL; entry = entry->next)
        count += is_of_key(entry, key);
    return count;
}

/* -- delivery ---------------------------------------------------------------------------------- */

bool history_dead_next(struct history *history, struct dead_letter *letter)
{
    struct dead_letters *dead = &history->dead;
    struct dead_entry *entry = dead->ready;
    if (entry == NULL)
        return false;
    dead->ready = entry->next_ready;
    if (dead->ready == NULL)
        dead->ready_tail = &dead->ready;
    *letter = (struct dead_letter){(uint64_t)(uintptr_t)entry, entry->key, entry->json};
    return true;
}

void history_dead_delivered(struct history *history, uint64_t token, bool ok)
{
    struct dead_letters *dead = &history->dead;
    struct dead_entry *entry = (struct dead_entry *)(uintptr_t)token;
    assert(!entry->delivered);
    FAILPOINT("dead.delivered");
    if (!ok) {
        make_ready(dead, entry);
        return;
    }
    entry->delivered = true; /* what remains of it waits for the state to forget it, too */
    free(entry->bytes);
    entry->bytes = NULL;
    entry->key = entry->json = (struct slice){NULL, 0};
    dead->undelivered--;
    dead->dirty = true;
    if (entry->follower != NULL && --entry->follower->leaders == 0)
        make_ready(dead, entry->follower);
}

bool history_dead_full(const struct history *history)
{
    return history->dead.undelivered >= history->settings.dead_pending_max;
}

uint64_t history_dead_count(const struct history *history, enum dead_reason reason)
{
    return history->dead.counts[reason];
}

/* -- state ------------------------------------------------------------------------------------- */

static struct slice entry_key(const struct history *history, const struct dead_entry *entry,
                              char *bytes)
{
    struct slice topic = history_topic(history, entry->items);
    size_t length = state_key_offset(bytes, topic, entry->partition, entry->offset);
    return (struct slice){bytes, (uint32_t)length};
}

static void write_entry(struct history *history, struct state_commit *commit,
                        const struct dead_entry *entry)
{
    char bytes[STATE_KEY_MAX];
    uint32_t key_length = entry->key.data != NULL ? entry->key.length : NO_KEY;
    struct buffer *value = &history->scratch;
    buffer_clear(value);
    buffer_add(value, &key_length, sizeof key_length);
    buffer_add(value, entry->key.data, entry->key.length);
    buffer_add(value, entry->json.data, entry->json.length);
    state_commit_put(commit, STATE_DEAD, entry_key(history, entry, bytes), buffer_slice(value));
}

void dead_commit(struct history *history, struct state_commit *commit)
{
    struct dead_letters *dead = &history->dead;
    char bytes[STATE_KEY_MAX];
    for (struct dead_entry **at = &dead->all; *at != NULL;) {
        struct dead_entry *entry = *at;
        if (entry->stage == DEAD_NEW && entry->delivered) {
            *at = entry->next; /* gone before it was ever written */
            free(entry);
            continue;
        }
        if (entry->stage == DEAD_NEW) {
            write_entry(history, commit, entry);
            entry->stage = DEAD_WRITING;
        } else if (entry->stage == DEAD_STORED && entry->delivered) {
            state_commit_delete(commit, STATE_DEAD, entry_key(history, entry, bytes));
            entry->stage = DEAD_REMOVING;
        }
        at = &entry->next;
    }
    dead->dirty = false;
}

void dead_committed(struct history *history, bool ok)
{
    struct dead_letters *dead = &history->dead;
    for (struct dead_entry **at = &dead->all; *at != NULL;) {
        struct dead_entry *entry = *at;
        if (entry->stage == DEAD_REMOVING && ok) {
            *at = entry->next;
            free(entry);
            continue;
        }
        if (entry->stage == DEAD_WRITING)
            entry->stage = ok ? DEAD_STORED : DEAD_NEW;
        else if (entry->stage == DEAD_REMOVING)
            entry->stage = DEAD_STORED;
        dead->dirty |= entry->stage == DEAD_NEW || entry->delivered;
        at = &entry->next;
    }
}

struct dead_loading {
    struct history *history;
    bool items;
    struct error *err;
};

static int visit_dead(struct slice key, struct slice value, void *arg)
{
    struct dead_loading *loading = arg;
    struct state_key parts;
    int64_t offset;
    uint32_t length = 0;
    if (value.length >= sizeof length)
        memcpy(&length, value.data, sizeof length);
    uint32_t key_length = length == NO_KEY ? 0 : length;
    if (!state_key_parse(key, &parts) || !state_key_offset_number(parts.rest, &offset) ||
        value.length < sizeof length || value.length - sizeof length < key_length)
        return error_set(loading->err, ERR_DATA, "a dead letter in the state is damaged");

    const char *text = value.data + sizeof length;
    struct slice letter_key = {length == NO_KEY ? NULL : text, key_length};
    struct slice json = {text + key_length, value.length - (uint32_t)sizeof length - key_length};
    struct dead_entry *entry = add(&loading->history->dead, letter_key, json);
    entry->items = loading->items;
    entry->partition = parts.partition;
    entry->offset = offset;
    entry->stage = DEAD_STORED;
    if (entry->json.data != NULL)
        make_ready(&loading->history->dead, entry);
    else
        queue_tombstone(&loading->history->dead, entry); /* keys come in offset order */
    return 0;
}

int dead_load(struct history *history, bool items, struct state_view *view, struct error *err)
{
    char bytes[STATE_KEY_MAX];
    struct slice prefix = {bytes, (uint32_t)state_key_topic(bytes, history_topic(history, items))};
    struct dead_loading loading = {history, items, err};
    return state_view_scan(view, STATE_DEAD, prefix, visit_dead, &loading, err);
}
