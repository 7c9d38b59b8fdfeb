#include "publisher/meta.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "publisher/publisher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void meta_init(struct meta *meta, const char *prefix, const char *nonce, int64_t mark_ms)
{
    struct buffer key = {0};
    buffer_printf(&key, "%smeta", prefix);
    *meta = (struct meta){
        .key = mem_strndup(key.data, key.length),
        .nonce = mem_strdup(nonce),
        .written_ms = mark_ms,
        .stored_ms = mark_ms,
    };
    buffer_deinit(&key);
    snprintf(meta->nonce_field, sizeof meta->nonce_field, "nonce:%.8s", nonce);
    snprintf(meta->heartbeat_field, sizeof meta->heartbeat_field, "heartbeat:%.8s", nonce);
    uint64_t began = uv_hrtime();
    snprintf(meta->filling_word, sizeof meta->filling_word, "filling:%016" PRIx64,
             hash_seeded(&began, sizeof began));
}

void meta_deinit(struct meta *meta)
{
    free(meta->key);
    free(meta->nonce);
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
    if (text.length < sizeof digits)
        memcpy(digits, text.data, text.length);
    return strtoll(digits, NULL, 10);
}

static bool is_lost(const struct meta *meta, const struct redis_reply *nonce,
                    const struct redis_reply *heartbeat)
{
    if (nonce->type != REDIS_TEXT || (!slice_equal(nonce->text, slice_of(meta->nonce)) &&
                                      !slice_equal(nonce->text, slice_of(meta->filling_word))))
        return true;
    /* It may be newer than the last acknowledged: that acknowledgement was lost on the way. */
    int64_t there_ms = heartbeat->type == REDIS_TEXT ? number_of(heartbeat->text) : 0;
    return there_ms < meta->stored_ms;
}

static void on_looked(const struct redis_reply *reply, void *arg)
{
    struct meta *meta = arg;
    if (reply == NULL)
        return;
    if (reply->type != REDIS_ARRAY_OF || reply->count != 2) {
        give_up(meta, reply);
        return;
    }
    meta->there = !is_lost(meta, &reply->items[0], &reply->items[1]);
    meta->looked(!meta->there, meta->arg);
}

int meta_look(struct meta *meta, void (*looked)(bool lost, void *arg), void *arg)
{
    struct slice words[] = {SLICE("HMGET"), slice_of(meta->key), slice_of(meta->nonce_field),
                            slice_of(meta->heartbeat_field)};
    int rc = redis_command(meta->redis, words, 4, on_looked, meta);
    if (rc != 0)
        return rc;
    meta->looked = looked;
    meta->arg = arg;
    return 0;
}

/* ---- write ---- */

/* A command with a heartbeat in it. */
struct beat {
    struct meta *meta;
    int64_t ms;
    meta_marked_cb marked;
    void *arg;
};

/* The wall clock may be set back, a heartbeat may not. */
static int64_t next_beat_ms(const struct meta *meta)
{
    int64_t now_ms = clock_wall_ms();
    return now_ms > meta->written_ms ? now_ms : meta->written_ms + 1;
}

static void on_wrote(const struct redis_reply *reply, void *arg)
{
    struct meta *meta = arg;
    if (reply != NULL && reply->type == REDIS_NUMBER)
        meta->wrote(false, meta->arg);
    else if (reply != NULL)
        give_up(meta, reply);
}

static void on_wrote_ours(const struct redis_reply *reply, void *arg)
{
    struct beat *beat = arg;
    struct meta *meta = beat->meta;
    int64_t ms = beat->ms;
    free(beat);
    if (reply == NULL)
        return;
    if (reply->type != REDIS_NUMBER) {
        give_up(meta, reply);
        return;
    }
    meta->stored_ms = ms;
    meta->wrote(meta->there && reply->number > 0, meta->arg);
}

static struct beat *new_beat(struct meta *meta, int64_t ms, meta_marked_cb marked, void *arg)
{
    struct beat *beat = mem_alloc(sizeof *beat);
    *beat = (struct beat){meta, ms, marked, arg};
    return beat;
}

int meta_write(struct meta *meta, bool ours, void (*wrote)(bool gone, void *arg), void *arg)
{
    char generation[24], schema[24], heartbeat[24];
    if (redis_room(meta->redis) == 0)
        return ERR_DOWN;
    int64_t ms = next_beat_ms(meta);
    snprintf(generation, sizeof generation, "%" PRIu64, meta->generation);
    snprintf(schema, sizeof schema, "%d", LIST_SCHEMA);
    snprintf(heartbeat, sizeof heartbeat, "%" PRId64, ms);
    struct slice words[] = {
        SLICE("HSET"),
        slice_of(meta->key),
        SLICE("generation"),
        slice_of(generation),
        SLICE("schema"),
        slice_of(schema),
        SLICE("nonce"),
        slice_of(meta->nonce),
        SLICE("heartbeat"),
        slice_of(heartbeat),
        slice_of(meta->nonce_field),
        slice_of(meta->filling ? meta->filling_word : meta->nonce),
        slice_of(meta->heartbeat_field),
        slice_of(heartbeat),
    };
    meta->written_ms = ms;
    meta->wrote = wrote;
    meta->arg = arg;
    if (ours)
        return redis_command(meta->redis, words, 14, on_wrote_ours, new_beat(meta, ms, NULL, NULL));
    return redis_command(meta->redis, words, 10, on_wrote, meta);
}

void meta_fill(struct meta *meta)
{
    meta->filling = true;
}

/* ---- mark ---- */

static void on_marked(const struct redis_reply *reply, void *arg)
{
    struct beat beat = *(struct beat *)arg;
    bool taken = reply != NULL && reply->type == REDIS_NUMBER;
    free(arg);
    if (taken)
        beat.meta->stored_ms = beat.ms;
    beat.marked(taken ? beat.ms : 0, beat.arg);
    if (reply != NULL && !taken)
        give_up(beat.meta, reply);
}

int meta_mark(struct meta *meta, meta_marked_cb marked, void *arg)
{
    char heartbeat[24];
    if (redis_room(meta->redis) == 0)
        return ERR_DOWN;
    meta->written_ms = next_beat_ms(meta);
    snprintf(heartbeat, sizeof heartbeat, "%" PRId64, meta->written_ms);
    struct slice words[] = {SLICE("HSET"), slice_of(meta->key), slice_of(meta->heartbeat_field),
                            slice_of(heartbeat)};
    return redis_command(meta->redis, words, 4, on_marked,
                         new_beat(meta, meta->written_ms, marked, arg));
}
