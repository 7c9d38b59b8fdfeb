/* What the daemon makes of what the publisher says of Redis: whether it is there, what it refuses,
 * and that it holds our lists no more. */
#include "daemon/daemon.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED_RETRY_MS                                                                         \
    30000                      /* owed lists are looked for in the state so long after a refusal \
                                */
#define MARK_NOTE "redis.mark" /* the publisher's last mark, in the state */

static void refill(struct daemon *daemon);

static int64_t now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

bool daemon_redis_is_up(const struct daemon *daemon)
{
    return publisher_is_up(daemon->publisher) && outage_is_up(&daemon->redis, now_ms());
}

const char *daemon_redis_why(const struct daemon *daemon)
{
    return outage_why(&daemon->redis, now_ms());
}

/* ---- there or not ---- */

static void redis_up(void *arg)
{
    struct daemon *daemon = arg;
    if (outage_up(&daemon->redis, now_ms()))
        log_info("redis: up");
    line_wake(daemon->line);
}

static void redis_down(const struct error *why, void *arg)
{
    struct daemon *daemon = arg;
    if (outage_down(&daemon->redis, why->text, now_ms()))
        log_warn("redis: %s; lists wait, learning goes on", why->text);
    line_wake(daemon->line);
}

/* ---- keys that are not ours ---- */

static void redis_refused(const struct error *what, void *arg)
{
    struct daemon *daemon = arg;
    if (outage_trouble(&daemon->redis, what->text, now_ms()))
        log_warn("redis: %s; all else goes on", what->text);
    if (!uv_is_active((uv_handle_t *)&daemon->refused_timer))
        uv_timer_start(&daemon->refused_timer, daemon_retry_refused, REFUSED_RETRY_MS, 0);
}

/* Lists that were refused wait in the state, as owed: maybe somebody has made room. */
void daemon_retry_refused(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    if (!daemon->leaving)
        renewal_start(daemon->renewal, CAUSE_EVENT, false);
}

/* ---- another Redis, an empty or an older one: all lists again ---- */

/* Only now may PREFIX meta say that the lists are there: who dies before begins again. Without a
 * partition there was nobody to be given a list: the next assignment begins again. */
static void refill_sent(bool ok, void *arg)
{
    struct daemon *daemon = arg;
    int32_t partitions[PARTITIONS_MAX];
    if (daemon->leaving)
        return;
    if (!ok || daemon->refill_again) {
        refill(daemon);
        return;
    }
    daemon->refilling = false;
    if (history_partitions(daemon->history, partitions, PARTITIONS_MAX) > 0)
        publisher_filled(daemon->publisher);
}

static void refill_queued(void *arg)
{
    struct daemon *daemon = arg;
    if (!daemon->leaving)
        line_when_sent(daemon->line, refill_sent, daemon);
}

static void refill(struct daemon *daemon)
{
    daemon->refilling = true;
    daemon->refill_again = false;
    renewal_start(daemon->renewal, CAUSE_FORCED, true);
    renewal_when_queued(daemon->renewal, refill_queued, daemon);
}

static void begin_refill(struct daemon *daemon)
{
    daemon->refill_again = daemon->refilling;
    if (daemon->refilling)
        renewal_start(daemon->renewal, CAUSE_FORCED, true); /* from the first on */
    else
        refill(daemon);
}

static void redis_lost(void *arg)
{
    struct daemon *daemon = arg;
    log_warn("redis: does not hold our lists; publishing all of them");
    daemon->redis_lost = true;
    begin_refill(daemon);
}

void daemon_renew_assigned(struct daemon *daemon)
{
    if (daemon->redis_lost)
        begin_refill(daemon);
    else
        renewal_start(daemon->renewal, CAUSE_EVENT, false);
}

/* ---- the mark ---- */

/* In the same transaction as the acknowledgements of the lists before it. */
static void redis_marked(int64_t mark_ms, void *arg)
{
    struct daemon *daemon = arg;
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, mark_ms);
    history_set_note(daemon->history, MARK_NOTE, slice_of(text));
}

static int64_t last_mark_ms(const struct daemon *daemon)
{
    struct slice note = history_note(daemon->history, MARK_NOTE);
    char text[24] = "";
    if (note.length < sizeof text)
        memcpy(text, note.data, note.length);
    return strtoll(text, NULL, 10);
}

int daemon_open_redis(struct daemon *daemon, struct error *err)
{
    static const struct publisher_hooks hooks = {redis_up, redis_down, redis_lost, redis_refused,
                                                 redis_marked};
    struct publisher_settings settings;
    settings_publisher(daemon->settings, history_meta(daemon->history)->nonce, &settings);
    settings.mark_ms = last_mark_ms(daemon);
    if (publisher_open(&daemon->publisher, &daemon->loop, &settings, &hooks, daemon, err) != 0)
        return error_wrap(err, "redis");
    return 0;
}
