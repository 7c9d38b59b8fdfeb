#include "publisher/meta.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "publisher/publisher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void meta_init(struct meta *meta, const char *prefix, const char *nonce)
{
    struct buffer key = {0};
    buffer_printf(&key, "%smeta", prefix);
    *meta = (struct meta){
        .key = mem_strndup(key.data, key.length),
        .nonce = mem_strdup(nonce),
    };
    buffer_deinit(&key);
    snprintf(meta->nonce_field, sizeof meta->nonce_field, "nonce:%.8s", nonce);
    snprintf(meta->heartbeat_field, sizeof meta->heartbeat_field, "heartbeat:%.8s", nonce);
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
    error_set(&why, ERR_DOWN, "%s: %.*s", meta->key, SLICE_ARG(text));
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
    if (nonce->type != REDIS_TEXT || !slice_equal(nonce->text, slice_of(meta->nonce)))
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
    meta->looked(is_lost(meta, &reply->items[0], &reply->items[1]), meta->arg);
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

static void on_wrote(const struct redis_reply *reply, void *arg)
{
    struct meta *meta = arg;
    if (reply != NULL && reply->type == REDIS_NUMBER)
        meta->wrote(meta->arg);
    else if (reply != NULL)
        give_up(meta, reply);
}

static void on_wrote_ours(const struct redis_reply *reply, void *arg)
{
    struct meta *meta = arg;
    if (reply != NULL && reply->type == REDIS_NUMBER)
        meta->stored_ms = meta->written_ms;
    on_wrote(reply, arg);
}

int meta_write(struct meta *meta, bool ours, void (*wrote)(void *arg), void *arg)
{
    char generation[24], schema[24], heartbeat[24];
    int64_t now_ms = clock_wall_ms();
    if (now_ms <= meta->written_ms) /* the wall clock may be set back, a heartbeat may not */
        now_ms = meta->written_ms + 1;
    snprintf(generation, sizeof generation, "%" PRIu64, meta->generation);
    snprintf(schema, sizeof schema, "%d", LIST_SCHEMA);
    snprintf(heartbeat, sizeof heartbeat, "%" PRId64, now_ms);
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
        slice_of(meta->nonce),
        slice_of(meta->heartbeat_field),
        slice_of(heartbeat),
    };
    int rc =
        redis_command(meta->redis, words, ours ? 14 : 10, ours ? on_wrote_ours : on_wrote, meta);
    if (rc != 0)
        return rc;
    meta->written_ms = now_ms;
    meta->wrote = wrote;
    meta->arg = arg;
    return 0;
}
