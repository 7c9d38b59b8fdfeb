#include "publisher/sending.h"
#include "base/failpoint.h"

#include "publisher/fence.h"

#include <assert.h>

void sending_init(struct sending *sending, struct redis *redis, struct meta *meta,
                  const struct publisher_settings *settings, const struct sending_hooks *hooks,
                  void *arg)
{
    *sending = (struct sending){
        .redis = redis, .meta = meta, .settings = settings, .hooks = hooks, .hooks_arg = arg};
    buffer_printf(&sending->changes_key, "%schanges", settings->prefix);
}

void sending_deinit(struct sending *sending)
{
    buffer_deinit(&sending->key);
    buffer_deinit(&sending->json);
    buffer_deinit(&sending->number);
    buffer_deinit(&sending->changes_key);
}

void sending_begin(struct sending *sending, struct slate *slate, publisher_sent_cb sent, void *arg)
{
    assert(sending->slate == NULL);
    sending->slate = slate;
    sending->sent = sent;
    sending->arg = arg;
    sending->next = sending->answered = 0;
    sending->change_due = false;
    sending->mark_due = slate->to_send > 0;
    sending->mark_ms = 0;
    for (size_t i = 0; i < slate->to_send; i++)
        slate->lists[i].outcome = SLATE_UNSENT;
}

/* ---- answers ---- */

/* An error that no other list would be spared: better to pause and say so than to go on. */
static void drop(struct sending *sending, const struct redis_reply *reply)
{
    struct error why;
    bool in_script = strstr(reply->text.data, "executing the script can't run") != NULL ||
                     strstr(reply->text.data, "ACL failure in script") != NULL;
    error_set(&why, ERR_DOWN, "writing a list: %.*s%s", SLICE_ARG(reply->text),
              in_script ? " (it runs GETRANGE, EXISTS and SET: docs/OPERATING.md)" : "");
    redis_drop(sending->redis, &why);
}

static bool begins(struct slice text, const char *word)
{
    size_t length = strlen(word);
    return text.length >= length && memcmp(text.data, word, length) == 0;
}

static enum slate_outcome outcome_of(const struct redis_reply *reply)
{
    if (reply == NULL || reply->type == REDIS_FAILED)
        return SLATE_UNSENT;
    if (slice_equal(reply->text, SLICE(FENCE_STORED)))
        return SLATE_STORED;
    if (begins(reply->text, FENCE_OLDER))
        return SLATE_OLDER;
    return SLATE_REFUSED; /* FENCE_PARTITION, FENCE_FOREIGN */
}

/* "OLDER VERSION" */
static struct version newer_of(const struct redis_reply *reply)
{
    struct version newer = {0};
    uint32_t skipped = sizeof FENCE_OLDER;
    if (reply->text.length > skipped)
        version_parse(&newer,
                      (struct slice){reply->text.data + skipped, reply->text.length - skipped});
    return newer;
}

static void on_list(const struct redis_reply *reply, void *arg)
{
    struct sending *sending = arg;
    enum slate_outcome outcome = outcome_of(reply);
    FAILPOINT("publish.answer");
    sending->in_flight--;
    struct slate_list *list = &sending->slate->lists[sending->answered++];
    list->outcome = outcome;
    if (outcome == SLATE_OLDER)
        list->newer = newer_of(reply);
    if (reply != NULL && outcome == SLATE_UNSENT && !begins(reply->text, "NOSCRIPT"))
        drop(sending, reply);
    sending->hooks->progress(sending->hooks_arg);
}

static void tell_change_refused(struct sending *sending, const struct redis_reply *reply)
{
    struct error what;
    sending->figures.changes_refused++;
    error_set(&what, ERR_DATA, "%.*s: %.*s: lists are written, entries for them are not",
              SLICE_ARG(buffer_slice(&sending->changes_key)), SLICE_ARG(reply->text));
    sending->hooks->refused(&what, sending->hooks_arg);
}

static void on_change(const struct redis_reply *reply, void *arg)
{
    struct sending *sending = arg;
    sending->in_flight--;
    if (reply != NULL && reply->type == REDIS_FAILED)
        tell_change_refused(sending, reply);
    sending->hooks->progress(sending->hooks_arg);
}

static void on_mark(int64_t mark_ms, void *arg)
{
    struct sending *sending = arg;
    sending->in_flight--;
    sending->mark_ms = mark_ms;
    sending->hooks->progress(sending->hooks_arg);
}

/* ---- commands ---- */

static void send_list(struct sending *sending)
{
    const struct slate_list *list = &sending->slate->lists[sending->next];
    FAILPOINT("publish.list");
    char version[VERSION_TEXT_BYTES];
    version_format(version, &list->version);
    buffer_clear(&sending->key);
    buffer_clear(&sending->json);
    buffer_clear(&sending->number);
    buffer_number(&sending->number, (uint64_t)list_expiry_ms(sending->settings, list));
    publisher_key(&sending->key, sending->settings->prefix, list_user(list));
    list_write(&sending->json, sending->slate, list);
    struct slice words[] = {SLICE("EVALSHA"),
                            slice_of(redis_script_sha(sending->redis)),
                            SLICE("1"),
                            buffer_slice(&sending->key),
                            buffer_slice(&sending->json),
                            buffer_slice(&sending->number),
                            slice_of(version)};
    redis_command(sending->redis, words, 7, on_list, sending);
    sending->in_flight++;
    sending->next++;
    sending->change_due =
        list->changed && list_user(list).data != NULL && sending->settings->changes_max > 0;
    sending->figures.sent++;
    sending->figures.bytes += sending->json.length;
}

static void send_change(struct sending *sending)
{
    const struct slate_list *list = &sending->slate->lists[sending->next - 1];
    char version[VERSION_TEXT_BYTES];
    version_format(version, &list->version);
    buffer_clear(&sending->number);
    buffer_number(&sending->number, (uint64_t)sending->settings->changes_max);
    struct slice words[] = {SLICE("XADD"),
                            buffer_slice(&sending->changes_key),
                            SLICE("MAXLEN"),
                            SLICE("~"),
                            buffer_slice(&sending->number),
                            SLICE("*"),
                            SLICE("user"),
                            list->user_id,
                            SLICE("v"),
                            slice_of(version)};
    redis_command(sending->redis, words, 10, on_change, sending);
    sending->in_flight++;
    sending->change_due = false;
}

static void send_mark(struct sending *sending)
{
    sending->mark_due = meta_mark(sending->meta, on_mark, sending) != 0;
    sending->in_flight += !sending->mark_due;
}

static bool is_sent(const struct sending *sending)
{
    return !sending->change_due && sending->next == sending->slate->to_send && !sending->mark_due;
}

void sending_continue(struct sending *sending)
{
    while (sending->slate != NULL && !is_sent(sending) && redis_room(sending->redis) > 0) {
        if (sending->change_due)
            send_change(sending);
        else if (sending->next < sending->slate->to_send)
            send_list(sending);
        else
            send_mark(sending);
    }
}

/* ---- ends ---- */

void sending_give_up(struct sending *sending)
{
    if (sending->slate == NULL)
        return;
    sending->next = sending->slate->to_send;
    sending->change_due = sending->mark_due = false;
}

void sending_forget(struct sending *sending)
{
    if (sending->slate == NULL)
        return;
    for (size_t i = 0; i < sending->answered; i++)
        sending->slate->lists[i].outcome = SLATE_UNSENT;
}

static void tell_list_refused(struct sending *sending, const struct slate_list *list)
{
    struct error what;
    buffer_clear(&sending->key);
    publisher_key(&sending->key, sending->settings->prefix, list_user(list));
    error_set(
        &what, ERR_DATA,
        "%.*s: what lies there is not ours, or a list of another partition: it stays; delete it "
        "for ours to come",
        SLICE_ARG(buffer_slice(&sending->key)));
    sending->hooks->refused(&what, sending->hooks_arg);
}

/* With `sent`, so that whoever then looks for owed lists finds these. */
static void tell_refused(struct sending *sending)
{
    for (size_t i = 0; i < sending->slate->to_send; i++)
        if (sending->slate->lists[i].outcome == SLATE_REFUSED)
            tell_list_refused(sending, &sending->slate->lists[i]);
}

static void count_outcomes(struct publisher_figures *figures, const struct slate *slate)
{
    for (size_t i = 0; i < slate->to_send; i++) {
        enum slate_outcome outcome = slate->lists[i].outcome;
        figures->stored += outcome == SLATE_STORED;
        figures->older += outcome == SLATE_OLDER;
        figures->refused += outcome == SLATE_REFUSED;
        figures->unsent += outcome == SLATE_UNSENT;
    }
}

void sending_finish(struct sending *sending)
{
    struct slate *slate = sending->slate;
    if (slate == NULL || sending->in_flight > 0 || !is_sent(sending))
        return;
    if (sending->mark_ms == 0)
        sending_forget(sending);
    else
        sending->hooks->marked(sending->mark_ms, sending->hooks_arg);
    tell_refused(sending);
    count_outcomes(&sending->figures, slate);
    sending->slate = NULL;
    sending->sent(slate, sending->arg);
}
