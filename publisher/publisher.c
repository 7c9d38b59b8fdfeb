#include "publisher/publisher.h"
#include "base/failpoint.h"

#include "base/mem.h"
#include "publisher/fence.h"
#include "publisher/meta.h"
#include "publisher/sending.h"

#include <assert.h>
#include <stdlib.h>

struct get {
    struct get *next;
    struct publisher *publisher;
    struct buffer key;
    publisher_list_cb got;
    void *arg;
};

struct publisher {
    struct publisher_settings settings; /* its strings are owned; those of `redis` are not kept */
    const struct publisher_hooks *hooks;
    void *arg;
    struct redis *redis;
    struct meta meta;
    struct sending sending;
    struct get *gets, **gets_end; /* not yet sent, the oldest first */
    uv_timer_t heartbeat;
    uv_idle_t turn; /* runs once after publisher_send or publisher_get */
    struct meta_place place;
    bool up;        /* meta has been looked at and written to on this connection */
    bool lost;      /* to be told as soon as up */
    bool beating;   /* a look or a write of meta is under way */
    bool beat_due;  /* waits for room */
    bool watched;   /* has seen for long enough who else is alive */
    bool claim_due; /* our swap must rise above the others' */
    bool holding;   /* no list goes out until our place is in meta, */
    bool placed;    /* which the write under way does */
    bool closing;
    int open; /* of redis, heartbeat and turn, those not closed */
    void (*closed)(void *arg);
    void *closed_arg;
};

static void pump(struct publisher *publisher);
static void on_turn(uv_idle_t *idle);

bool publisher_is_up(const struct publisher *publisher)
{
    return publisher->up && !publisher->holding && redis_is_up(publisher->redis);
}

const struct publisher_figures *publisher_figures(const struct publisher *publisher)
{
    return &publisher->sending.figures;
}

void publisher_set_generation(struct publisher *publisher, uint64_t generation)
{
    publisher->meta.generation = generation;
}

void publisher_set_plain(struct publisher *publisher, bool plain)
{
    publisher->meta.plain = plain;
}

/* ---- the heartbeat: look, tell, write ---- */

static void on_wrote(void *arg)
{
    struct publisher *publisher = arg;
    publisher->beating = false;
    if (publisher->holding && publisher->placed) {
        publisher->holding = false;
        publisher->hooks->up(publisher->arg);
    }
    publisher->beat_due |= publisher->holding;
    pump(publisher);
}

/* `lost` is told before the nonce is written: should we die in between, it is told again, as it is
 * if we die before all is published. What was acknowledged in the slate under way may have been
 * gone before we looked. */
static void tell_lost(struct publisher *publisher)
{
    FAILPOINT("publish.lost");
    publisher->lost = false;
    publisher->sending.figures.losses++;
    sending_forget(&publisher->sending);
    publisher->hooks->lost(publisher->arg);
}

static void write_ours(struct publisher *publisher)
{
    if (publisher->closing) /* by a hook */
        return;
    FAILPOINT("publish.beat");
    if (!publisher->meta.filled)
        publisher->meta.filled = publisher->hooks->filled(publisher->arg);
    /* There is room: this is the callback of a reply that has just left its place. */
    publisher->beating =
        meta_write(&publisher->meta, &publisher->place, true, on_wrote, publisher) == 0;
    pump(publisher);
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct publisher *publisher = timer->data;
    publisher->beat_due = !publisher->beating;
    pump(publisher);
}

/* The server has taken the first write on this connection. */
static void on_first_write(void *arg)
{
    struct publisher *publisher = arg;
    publisher->up = true;
    publisher->holding = !publisher->placed;
    publisher->sending.figures.connects++;
    uv_timer_start(&publisher->heartbeat, on_heartbeat, PUBLISHER_HEARTBEAT_MS,
                   PUBLISHER_HEARTBEAT_MS);
    if (!publisher->holding)
        publisher->hooks->up(publisher->arg);
    if (publisher->lost && !publisher->closing)
        tell_lost(publisher);
    write_ours(publisher);
}

/* ---- the others under our prefix ---- */

/* Not up, but looks again. */
static void look_later(struct publisher *publisher, uint64_t ms)
{
    publisher->up = publisher->beating = publisher->holding = false;
    uv_timer_start(&publisher->heartbeat, on_heartbeat, ms, 0);
    pump(publisher);
}

/* Before the first list ever, or where others read another log. */
static bool must_watch(const struct publisher *publisher, const struct meta_found *found)
{
    return !publisher->watched && !publisher->up &&
           ((publisher->place.epoch == 0 && found->others) || found->strangers);
}

static void watch_others(struct publisher *publisher)
{
    struct error why;
    publisher->watched = true;
    error_set(&why, ERR_DOWN, "%s names others: watching for %d s whether they are alive",
              publisher->meta.key, PUBLISHER_WATCH_MS / 1000);
    look_later(publisher, PUBLISHER_WATCH_MS);
    publisher->hooks->down(&why, publisher->arg);
}

/* Versions of two logs cannot be compared: whose lists would stay is chance. */
static void yield_to(struct publisher *publisher, const char *stranger)
{
    struct error why;
    error_set(
        &why, ERR_DOWN,
        "another freshet is alive under the prefix of %s, and reads another log (%s, this one "
        "%s): nothing is published; give each its own redis.prefix, or stop the other",
        publisher->meta.key, stranger, publisher->meta.log);
    look_later(publisher, PUBLISHER_WATCH_MS);
    publisher->hooks->down(&why, publisher->arg);
}

static void meet(struct publisher *publisher, const struct meta_found *found)
{
    struct publisher_group group = {.epoch = found->place.epoch, .alive = found->alive};
    if (publisher->claim_due) {
        group.taken_over = found->claimed_elsewhere;
        group.swap_least = found->place.swap + (found->claimed_elsewhere ? 1 : 0);
    }
    publisher->claim_due = false;
    publisher->placed = true;
    publisher->hooks->met(&group, &publisher->place, publisher->arg);
}

static void on_looked(const struct meta_found *found, void *arg)
{
    struct publisher *publisher = arg;
    if (must_watch(publisher, found)) {
        watch_others(publisher);
        return;
    }
    if (found->stranger_log != NULL) {
        yield_to(publisher, found->stranger_log);
        return;
    }
    publisher->lost = found->lost;
    meet(publisher, found);
    if (publisher->closing) /* by a hook */
        return;
    if (!publisher->up) {
        meta_write(&publisher->meta, &publisher->place, false, on_first_write, publisher);
        return;
    }
    if (found->lost)
        tell_lost(publisher);
    write_ours(publisher);
}

/* What is under way has the old place: what of it is not sent yet comes again. */
static void hold(struct publisher *publisher)
{
    if (publisher->closing)
        return;
    publisher->placed = false;
    publisher->holding = publisher->up;
    publisher->beat_due = publisher->up && !publisher->beating;
    uv_idle_start(&publisher->turn, on_turn);
}

void publisher_claim(struct publisher *publisher)
{
    publisher->claim_due = true;
    hold(publisher);
}

void publisher_set_place(struct publisher *publisher, const struct meta_place *place)
{
    if (place->epoch == publisher->place.epoch && place->swap == publisher->place.swap)
        return;
    publisher->place = *place;
    hold(publisher);
}

static void beat(struct publisher *publisher)
{
    publisher->beat_due = false;
    publisher->beating = meta_look(&publisher->meta, on_looked, publisher) == 0;
}

static void on_redis_up(void *arg)
{
    beat(arg);
}

static void on_redis_down(const struct error *why, void *arg)
{
    struct publisher *publisher = arg;
    publisher->up = publisher->beating = publisher->beat_due = publisher->holding = false;
    uv_timer_stop(&publisher->heartbeat);
    pump(publisher);
    if (!publisher->closing)
        publisher->hooks->down(why, publisher->arg);
}

static const struct redis_hooks redis_hooks = {on_redis_up, on_redis_down};

/* ---- gets ---- */

static void answer(struct get *get, struct slice json, const struct error *err)
{
    get->got(json, err, get->arg);
    buffer_deinit(&get->key);
    free(get);
}

static void fail_get(struct get *get, const char *what)
{
    struct error err;
    error_set(&err, ERR_DOWN, "%s", what);
    answer(get, (struct slice){NULL, 0}, &err);
}

static void on_got(const struct redis_reply *reply, void *arg)
{
    struct get *get = arg;
    struct publisher *publisher = get->publisher;
    if (reply == NULL)
        fail_get(get, "the connection to Redis was lost");
    else if (reply->type == REDIS_FAILED)
        fail_get(get, reply->text.data);
    else
        answer(get, reply->text, NULL); /* data is NULL in a REDIS_NIL */
    pump(publisher);
}

static struct get *take_get(struct publisher *publisher)
{
    struct get *get = publisher->gets;
    publisher->gets = get->next;
    if (publisher->gets == NULL)
        publisher->gets_end = &publisher->gets;
    return get;
}

static void send_gets(struct publisher *publisher)
{
    while (publisher->gets != NULL && redis_room(publisher->redis) > 0) {
        struct get *get = take_get(publisher);
        struct slice words[] = {SLICE("GET"), buffer_slice(&get->key)};
        redis_command(publisher->redis, words, 2, on_got, get);
    }
}

static void fail_gets(struct publisher *publisher)
{
    struct get *get = publisher->gets;
    publisher->gets = NULL; /* so that one asked for again by a callback waits for the next turn */
    publisher->gets_end = &publisher->gets;
    while (get != NULL) {
        struct get *next = get->next;
        fail_get(get, "Redis is away");
        get = next;
    }
}

/* ---- one thing after another ---- */

/* Sends what there is room for, the urgent first, and ends the slate that is done. Called from the
 * loop after anything that may have changed either. */
static void pump(struct publisher *publisher)
{
    bool connected = !publisher->closing && redis_is_up(publisher->redis); /* closed, it is gone */
    if (connected && publisher->beat_due && redis_room(publisher->redis) > 0)
        beat(publisher);
    if (connected && publisher->up)
        send_gets(publisher);
    else
        fail_gets(publisher);
    if (publisher_is_up(publisher))
        sending_continue(&publisher->sending);
    else
        sending_give_up(&publisher->sending);
    sending_finish(&publisher->sending);
}

static void on_turn(uv_idle_t *idle)
{
    uv_idle_stop(idle);
    pump(idle->data);
}

static void on_sending_progress(void *arg)
{
    pump(arg);
}

static void on_refused(const struct error *what, void *arg)
{
    struct publisher *publisher = arg;
    if (!publisher->closing)
        publisher->hooks->refused(what, publisher->arg);
}

static void on_marked(int64_t mark_ms, void *arg)
{
    struct publisher *publisher = arg;
    if (!publisher->closing)
        publisher->hooks->marked(mark_ms, publisher->arg);
}

static const struct sending_hooks sending_hooks = {on_sending_progress, on_refused, on_marked};

void publisher_send(struct publisher *publisher, struct slate *slate, publisher_sent_cb sent,
                    void *arg)
{
    assert(!publisher->closing);
    sending_begin(&publisher->sending, slate, sent, arg);
    uv_idle_start(&publisher->turn, on_turn);
}

void publisher_get(struct publisher *publisher, struct slice user, publisher_list_cb got, void *arg)
{
    assert(!publisher->closing);
    struct get *get = mem_zalloc(sizeof *get);
    get->publisher = publisher;
    get->got = got;
    get->arg = arg;
    publisher_key(&get->key, publisher->settings.prefix, user);
    *publisher->gets_end = get;
    publisher->gets_end = &get->next;
    uv_idle_start(&publisher->turn, on_turn);
}

/* ---- beginning and end ---- */

int publisher_open(struct publisher **publisher, uv_loop_t *loop,
                   const struct publisher_settings *settings, const struct publisher_hooks *hooks,
                   void *arg, struct error *err)
{
    struct publisher *p = mem_zalloc(sizeof *p);
    int rc = redis_open(&p->redis, loop, &settings->redis, fence_script, &redis_hooks, p, err);
    if (rc != 0) {
        free(p);
        return rc;
    }
    p->settings = *settings;
    p->settings.redis = (struct redis_settings){0};
    p->settings.prefix = mem_strdup(settings->prefix);
    p->settings.nonce = NULL; /* meta has it */
    p->hooks = hooks;
    p->arg = arg;
    p->gets_end = &p->gets;
    p->settings.log = NULL;
    p->place = settings->place;
    meta_init(&p->meta, settings->prefix, settings->nonce, settings->log);
    p->meta.written_ms = p->meta.stored_ms = settings->mark_ms;
    p->meta.redis = p->redis;
    sending_init(&p->sending, p->redis, &p->meta, &p->settings, &sending_hooks, p);
    uv_timer_init(loop, &p->heartbeat);
    uv_idle_init(loop, &p->turn);
    p->heartbeat.data = p->turn.data = p;
    p->open = 3;
    *publisher = p;
    return 0;
}

static void ended(void *arg)
{
    struct publisher *publisher = arg;
    if (--publisher->open > 0)
        return;
    void (*closed)(void *arg) = publisher->closed;
    void *closed_arg = publisher->closed_arg;
    sending_deinit(&publisher->sending);
    meta_deinit(&publisher->meta);
    free((char *)publisher->settings.prefix);
    free(publisher);
    closed(closed_arg);
}

static void on_handle_closed(uv_handle_t *handle)
{
    ended(handle->data);
}

static void on_redis_closed(void *arg)
{
    pump(arg); /* the connection is gone: what has waited for it is given up */
    ended(arg);
}

void publisher_close(struct publisher *publisher, void (*closed)(void *arg), void *arg)
{
    publisher->closing = true;
    publisher->up = false;
    publisher->closed = closed;
    publisher->closed_arg = arg;
    redis_close(publisher->redis, on_redis_closed, publisher);
    uv_close((uv_handle_t *)&publisher->heartbeat, on_handle_closed);
    uv_close((uv_handle_t *)&publisher->turn, on_handle_closed);
}
