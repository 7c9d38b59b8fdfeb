#include "publisher/meta.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "publisher/publisher.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 32 /* of one command */
#define HEARTBEAT_OF "heartbeat:"
#define LOG_OF "log:"
#define HEARTBEAT_MAX_MS (INT64_MAX / 2) /* beyond, it was not us who wrote it */

static void name_field(char field[META_FIELD_BYTES], const char *of, const char *id)
{
    snprintf(field, META_FIELD_BYTES, "%s%s", of, id);
}

void meta_init(struct meta *meta, const char *prefix, const char *nonce, const char *log)
{
    struct buffer key = {0};
    buffer_printf(&key, "%smeta", prefix);
    *meta = (struct meta){
        .key = mem_strndup(key.data, key.length),
        .nonce = mem_strdup(nonce),
        .log = mem_strdup(log),
    };
    buffer_deinit(&key);
    snprintf(meta->id, sizeof meta->id, "%.8s", nonce);
    name_field(meta->nonce_field, "nonce:", meta->id);
    name_field(meta->heartbeat_field, HEARTBEAT_OF, meta->id);
    name_field(meta->log_field, LOG_OF, meta->id);
    name_field(meta->begun_field, "begun:", meta->id);
    name_field(meta->filled_field, "filled:", meta->id);
}

void meta_deinit(struct meta *meta)
{
    for (size_t i = 0; i < meta->other_count; i++)
        free(meta->others[i].log);
    free(meta->others);
    free(meta->key);
    free(meta->nonce);
    free(meta->log);
    *meta = (struct meta){0};
}

/* The key does not hold what we need, which no list can repair: the connection is of no use. */
static void give_up(struct meta *meta, const struct redis_reply *reply)
{
    struct error why;
    struct slice text = reply->type == REDIS_FAILED ? reply->text : SLICE("an odd answer");
    bool is_foreign = text.length >= 9 && memcmp(text.data, "WRONGTYPE", 9) == 0;
    error_set(&why, ERR_DOWN, "%s: %.*s%s", meta->key, SLICE_ARG(text),
              is_foreign ? " (it is not ours: delete it, or take another redis.prefix)" : "");
    redis_drop(meta->redis, &why);
}

/* ---- look ---- */

static int64_t number_of(struct slice text)
{
    char digits[24] = "";
    if (text.length > 0 && text.length < sizeof digits)
        memcpy(digits, text.data, text.length);
    return strtoll(digits, NULL, 10);
}

static uint32_t number32_of(struct slice text)
{
    int64_t number = number_of(text);
    return number > 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

/* The state that a field beginning with `of` is about; NULL: another field, or our own. */
static struct meta_other *other_of(struct meta *meta, struct slice field, const char *of)
{
    size_t begin = strlen(of);
    if (field.length != begin + META_ID_BYTES - 1 || memcmp(field.data, of, begin) != 0 ||
        memcmp(field.data + begin, meta->id, META_ID_BYTES - 1) == 0)
        return NULL;
    for (size_t i = 0; i < meta->other_count; i++)
        if (memcmp(field.data + begin, meta->others[i].id, META_ID_BYTES - 1) == 0)
            return &meta->others[i];
    if (meta->other_count == META_OTHERS_MAX)
        return NULL;
    meta->others = mem_array(meta->others, meta->other_count + 1, sizeof *meta->others);
    struct meta_other *other = &meta->others[meta->other_count++];
    *other = (struct meta_other){0};
    memcpy(other->id, field.data + begin, META_ID_BYTES - 1);
    return other;
}

static void note_beat(struct meta_other *other, int64_t beat_ms, bool looked_before)
{
    other->moved = looked_before && beat_ms != other->beat_ms;
    other->beat_ms = beat_ms;
}

static void note_log(struct meta_other *other, struct slice log)
{
    free(other->log);
    other->log = mem_strndup(log.length > 0 ? log.data : "", log.length);
}

struct own_fields { /* as found */
    struct slice nonce;
    int64_t heartbeat_ms, begun_ms, filled_ms;
};

static void note_field(struct meta *meta, struct slice field, struct slice value,
                       struct own_fields *own, struct meta_found *found)
{
    struct meta_other *other;
    if (slice_equal(field, slice_of(meta->nonce_field)))
        own->nonce = value;
    else if (slice_equal(field, slice_of(meta->heartbeat_field)))
        own->heartbeat_ms = number_of(value);
    else if (slice_equal(field, slice_of(meta->begun_field)))
        own->begun_ms = number_of(value);
    else if (slice_equal(field, slice_of(meta->filled_field)))
        own->filled_ms = number_of(value);
    else if (slice_equal(field, SLICE("epoch")))
        found->place.epoch = number32_of(value);
    else if (slice_equal(field, SLICE("swap")))
        found->place.swap = number32_of(value);
    else if (slice_equal(field, SLICE("claimed")))
        found->claimed_elsewhere = !slice_equal(value, slice_of(meta->id));
    else if ((other = other_of(meta, field, HEARTBEAT_OF)) != NULL)
        note_beat(other, number_of(value), meta->looked_once);
    else if ((other = other_of(meta, field, LOG_OF)) != NULL)
        note_log(other, value);
}

static bool is_stranger(const struct meta *meta, const struct meta_other *other)
{
    return other->log != NULL && strcmp(other->log, meta->log) != 0;
}

static void judge_others(const struct meta *meta, struct meta_found *found)
{
    for (size_t i = 0; i < meta->other_count; i++) {
        const struct meta_other *other = &meta->others[i];
        bool stranger = is_stranger(meta, other);
        found->others |= !stranger;
        found->strangers |= stranger;
        found->alive |= !stranger && other->moved;
        if (stranger && other->moved)
            found->stranger_log = other->log;
    }
}

/* A heartbeat may be newer than the last acknowledged: that acknowledgement was lost on the way. */
static bool is_lost(const struct meta *meta, const struct own_fields *own)
{
    bool ours = slice_equal(own->nonce, slice_of(meta->nonce));
    bool whole = own->begun_ms == own->filled_ms || own->begun_ms == meta->begun_ms;
    return !ours || !whole || own->heartbeat_ms < meta->stored_ms;
}

static void judge_own(struct meta *meta, const struct own_fields *own, struct meta_found *found)
{
    found->lost = is_lost(meta, own);
    if (own->heartbeat_ms > meta->written_ms && own->heartbeat_ms < HEARTBEAT_MAX_MS)
        meta->written_ms = own->heartbeat_ms;
    meta->begins |= found->lost;
    if (!found->lost)
        meta->begun_ms = own->begun_ms;
}

static void on_looked(const struct redis_reply *reply, void *arg)
{
    struct meta *meta = arg;
    if (reply == NULL)
        return;
    if (reply->type != REDIS_ARRAY_OF || reply->count % 2 != 0) {
        give_up(meta, reply);
        return;
    }
    struct meta_found found = {0};
    struct own_fields own = {.nonce = SLICE("")};
    for (size_t i = 0; i < meta->other_count; i++)
        meta->others[i].moved = false;
    for (size_t i = 0; i + 1 < reply->count; i += 2)
        note_field(meta, reply->items[i].text, reply->items[i + 1].text, &own, &found);
    judge_others(meta, &found);
    judge_own(meta, &own, &found);
    meta->found_swap = found.place.swap;
    meta->looked_once = true;
    meta->looked(&found, meta->arg);
}

int meta_look(struct meta *meta, void (*looked)(const struct meta_found *found, void *arg),
              void *arg)
{
    struct slice words[] = {SLICE("HGETALL"), slice_of(meta->key)};
    int rc = redis_command(meta->redis, words, 2, on_looked, meta);
    if (rc != 0)
        return rc;
    meta->looked = looked;
    meta->arg = arg;
    return 0;
}

/* ---- write ---- */

static void on_wrote(const struct redis_reply *reply, void *arg)
{
    struct meta *meta = arg;
    if (reply != NULL && reply->type == REDIS_NUMBER)
        meta->wrote(meta->arg);
    else if (reply != NULL)
        give_up(meta, reply);
}

static void on_beat(const struct redis_reply *reply, void *arg)
{
    struct meta *meta = arg;
    if (reply != NULL && reply->type == REDIS_NUMBER)
        meta->stored_ms = meta->beat_ms;
    on_wrote(reply, arg);
}

/* The wall clock may be set back, a heartbeat may not: nor below one that was written after the
 * state's last mark by a process that died, or an old copy would pass for what came after it. */
static int64_t next_beat_ms(const struct meta *meta)
{
    int64_t now_ms = clock_wall_ms();
    return now_ms > meta->written_ms ? now_ms : meta->written_ms + 1;
}

struct words {
    struct slice at[WORDS_MAX];
    size_t count;
};

static void add_field(struct words *words, const char *field, const char *value)
{
    assert(words->count + 2 <= WORDS_MAX);
    words->at[words->count++] = slice_of(field);
    words->at[words->count++] = slice_of(value);
}

static void format_number(char text[24], uint64_t number)
{
    snprintf(text, 24, "%" PRIu64, number);
}

/* The fields of this state. The nonce only where it is said that all is published anew. */
static void add_own(struct meta *meta, struct words *words, const char *heartbeat, char begun[24])
{
    format_number(begun, (uint64_t)meta->begun_ms);
    add_field(words, meta->heartbeat_field, heartbeat);
    add_field(words, meta->log_field, meta->log);
    if (meta->begins) {
        add_field(words, meta->nonce_field, meta->nonce);
        add_field(words, meta->begun_field, begun);
    } else if (meta->filled && meta->begun_ms != 0) {
        add_field(words, meta->filled_field, begun);
    }
}

int meta_write(struct meta *meta, const struct meta_place *place, bool beat,
               void (*wrote)(void *arg), void *arg)
{
    char generation[24], schema[24], heartbeat[24], epoch[24], swap[24], begun[24];
    bool claims = place->swap > meta->found_swap;
    int64_t now_ms = next_beat_ms(meta);
    format_number(generation, meta->generation);
    format_number(schema, LIST_SCHEMA);
    format_number(heartbeat, (uint64_t)now_ms);
    format_number(epoch, place->epoch);
    format_number(swap, claims ? place->swap : meta->found_swap);

    struct words words = {.at = {SLICE("HSET"), slice_of(meta->key)}, .count = 2};
    add_field(&words, "epoch", epoch);
    add_field(&words, "swap", swap);
    if (claims)
        add_field(&words, "claimed", meta->id);
    if (meta->plain) {
        add_field(&words, "generation", generation);
        add_field(&words, "schema", schema);
        add_field(&words, "nonce", meta->nonce);
        add_field(&words, "heartbeat", heartbeat);
    }
    if (beat && meta->begins) {
        meta->begun_ms = now_ms;
        meta->filled = false;
    }
    if (beat)
        add_own(meta, &words, heartbeat, begun);
    int rc = redis_command(meta->redis, words.at, words.count, beat ? on_beat : on_wrote, meta);
    if (rc != 0)
        return rc;
    meta->begins &= !beat;
    meta->written_ms = meta->beat_ms = now_ms;
    meta->wrote = wrote;
    meta->arg = arg;
    return 0;
}

/* ---- mark ---- */

struct mark {
    struct meta *meta;
    int64_t ms;
    meta_marked_cb marked;
    void *arg;
};

static void on_marked(const struct redis_reply *reply, void *arg)
{
    struct mark mark = *(struct mark *)arg;
    bool taken = reply != NULL && reply->type == REDIS_NUMBER;
    free(arg);
    if (taken)
        mark.meta->stored_ms = mark.ms;
    mark.marked(taken ? mark.ms : 0, mark.arg);
    if (reply != NULL && !taken)
        give_up(mark.meta, reply);
}

int meta_mark(struct meta *meta, meta_marked_cb marked, void *arg)
{
    if (redis_room(meta->redis) == 0)
        return ERR_DOWN;
    struct mark *mark = mem_alloc(sizeof *mark);
    *mark = (struct mark){meta, next_beat_ms(meta), marked, arg};
    meta->written_ms = mark->ms;
    char heartbeat[24];
    format_number(heartbeat, (uint64_t)mark->ms);
    struct slice words[] = {SLICE("HSET"), slice_of(meta->key), slice_of(meta->heartbeat_field),
                            slice_of(heartbeat)};
    return redis_command(meta->redis, words, 4, on_marked, mark);
}
