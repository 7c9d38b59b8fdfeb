#include "base/hash.h"
#include "base/json.h"
#include "publisher/publisher.h"

static bool is_reserved(struct slice user)
{
    return slice_equal(user, SLICE("popular")) || slice_equal(user, SLICE("meta")) ||
           slice_equal(user, SLICE("changes")) ||
           (user.length >= 5 && memcmp(user.data, "user:", 5) == 0);
}

void publisher_key(struct buffer *out, const char *prefix, struct slice user)
{
    buffer_text(out, prefix);
    if (user.data == NULL) {
        buffer_text(out, "popular");
        return;
    }
    if (is_reserved(user))
        buffer_text(out, "user:");
    buffer_add(out, user.data, user.length);
}

struct slice list_user(const struct slate_list *list)
{
    if (list->user == NULL && !list->forgotten)
        return (struct slice){NULL, 0};
    return list->user_id;
}

static void write_user(struct json_writer *w, const struct slate_list *list)
{
    struct slice user = list_user(list);
    if (user.data == NULL)
        json_text(w, "user", NULL);
    else
        json_string(w, "user", user);
}

static void write_items(struct json_writer *w, const struct slate_list *list)
{
    json_begin_array(w, "items");
    for (uint32_t i = 0; i < list->count && !list->forgotten; i++) {
        json_begin_array(w, NULL);
        json_string(w, NULL, list->items[i].id);
        json_real6(w, NULL, list->items[i].score);
        json_end_array(w);
    }
    json_end_array(w);
}

static void write_explored(struct json_writer *w, const struct slate_list *list)
{
    json_begin_array(w, "explored");
    for (uint32_t i = 0; i < list->explored_count; i++) {
        const struct slate_explored *explored = &list->explored[i];
        json_begin_array(w, NULL);
        json_int(w, NULL, (int64_t)explored->at + 1);
        json_string(w, NULL, list->items[explored->at].id);
        json_real6(w, NULL, explored->propensity);
        json_end_array(w);
    }
    json_end_array(w);
}

/* Null: nothing was learned yet. */
static void write_time(struct json_writer *w, int64_t stream_ts_ms)
{
    if (stream_ts_ms == INT64_MIN)
        json_text(w, "ts", NULL);
    else
        json_int(w, "ts", stream_ts_ms);
}

void list_write(struct buffer *out, const struct slate *slate, const struct slate_list *list)
{
    char version[VERSION_TEXT_BYTES];
    version_format(version, &list->version);
    struct json_writer w = {.out = out};
    json_begin_object(&w, NULL);
    json_text(&w, "v", version); /* first: the fence reads it at fixed positions */
    write_user(&w, list);
    if (list->forgotten) {
        json_bool(&w, "forgotten", true);
    } else {
        json_string(&w, "arm", list->arm_name);
        json_int(&w, "gen", (int64_t)list->generation);
        write_time(&w, slate->stream_ts_ms);
        json_text(&w, "cause", slate_cause_name(list->cause));
    }
    write_items(&w, list);
    if (list->explored_count > 0)
        write_explored(&w, list);
    json_end_object(&w);
}

int64_t list_expiry_ms(const struct publisher_settings *settings, const struct slate_list *list)
{
    char version[VERSION_TEXT_BYTES];
    version_format(version, &list->version);
    uint64_t seed = hash_stable(version, strlen(version));
    struct slice user = list_user(list);
    uint64_t hash = hash_stable_with(user.data, user.length, seed);
    double share = (double)(hash >> 11) * 0x1p-53; /* 0 <= share < 1 */
    double expiry = (double)settings->expiry_ms * (1 - settings->expiry_jitter * share);
    return expiry < 1 ? 1 : (int64_t)expiry;
}
