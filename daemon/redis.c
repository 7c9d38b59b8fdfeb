/* What the daemon makes of what the publisher says of Redis: whether it is there, what it refuses,
 * and that it holds our lists no more. */
#include "daemon/daemon.h"
#include "daemon/redis_mark.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

#define TOPIC_BYTES_MAX 256 /* Kafka's own limit is 249 */

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

/* Lists that were refused wait in the state, as owed: maybe somebody has made room. */
static void retry_refused(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    if (!daemon->leaving)
        renewal_start(daemon->renewal, CAUSE_EVENT, false);
}

static void redis_refused(const struct error *what, void *arg)
{
    struct daemon *daemon = arg;
    if (outage_trouble(&daemon->redis, what->text, now_ms()))
        log_warn("redis: %s; all else goes on", what->text);
    if (!uv_is_active((uv_handle_t *)&daemon->refused_timer))
        uv_timer_start(&daemon->refused_timer, retry_refused, REFUSED_RETRY_MS, 0);
}

/* ---- another Redis, an empty or an older one, others under our prefix ---- */

static void redis_lost(void *arg)
{
    struct daemon *daemon = arg;
    log_warn("redis: does not hold our lists; publishing all of them");
    refill_begin(&daemon->refill);
}

static bool redis_filled(void *arg)
{
    struct daemon *daemon = arg;
    return refill_is_done(&daemon->refill);
}

/* Versions from now on are comparable with those of the others under our prefix. */
static void redis_met(const struct publisher_group *group, struct meta_place *place, void *arg)
{
    struct daemon *daemon = arg;
    struct state_others others = {group->epoch, group->alive, group->swap_least, group->taken_over};
    uint32_t epoch = place->epoch;
    if (history_join(daemon->history, &others)) {
        log_info("redis: others have published lists of our partitions; all are made anew");
        renewal_start(daemon->renewal, CAUSE_ARMS, false);
    }
    *place = daemon_place(daemon);
    if (place->epoch != epoch)
        log_info("redis: lists are of epoch %" PRIu32 "%s", place->epoch,
                 place->epoch == group->epoch ? ", with those of other instances" : "");
}

static void redis_marked(int64_t mark_ms, void *arg)
{
    struct daemon *daemon = arg;
    redis_mark_keep(daemon->history, mark_ms);
}

int daemon_open_redis(struct daemon *daemon, struct error *err)
{
    static const struct publisher_hooks hooks = {
        .met = redis_met,
        .up = redis_up,
        .down = redis_down,
        .lost = redis_lost,
        .filled = redis_filled,
        .refused = redis_refused,
        .marked = redis_marked,
    };
    struct publisher_settings settings;
    const struct state_meta *meta = history_meta(daemon->history);
    char log[sizeof meta->cluster_id + TOPIC_BYTES_MAX + 32];
    snprintf(log, sizeof log, "cluster %s, topic %s, %d partitions", meta->cluster_id,
             daemon->settings->consumer.topic, (int)meta->partition_count);
    settings_publisher(daemon->settings, meta, log, &settings);
    settings.mark_ms = redis_mark_kept(daemon->history);
    if (publisher_open(&daemon->publisher, &daemon->loop, &settings, &hooks, daemon, err) != 0)
        return error_wrap(err, "redis");
    return 0;
}
