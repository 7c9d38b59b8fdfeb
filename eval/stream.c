#include "eval/stream.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void stream_deinit(struct stream *stream)
{
    free(stream->events);
    ids_deinit(&stream->users);
    ids_deinit(&stream->items);
    *stream = (struct stream){0};
}

void stream_add(struct stream *stream, int64_t ts_ms, struct slice user, struct slice item,
                uint16_t type, double value)
{
    if (stream->count == stream->capacity) {
        stream->capacity = stream->capacity ? stream->capacity * 2 : 4096;
        stream->events = mem_array(stream->events, stream->capacity, sizeof *stream->events);
    }
    stream->events[stream->count++] = (struct stream_event){.ts_ms = ts_ms,
                                                            .value = value,
                                                            .user = ids_add(&stream->users, user),
                                                            .item = ids_add(&stream->items, item),
                                                            .type = type};
}

uint64_t eval_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* -- order ------------------------------------------------------------------------------------- */

struct moment {
    int64_t ts_ms;
    size_t at;
};

static int compare_moments(const void *left, const void *right)
{
    const struct moment *a = left, *b = right;
    if (a->ts_ms != b->ts_ms)
        return a->ts_ms < b->ts_ms ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static void sort_by_time(struct stream *stream)
{
    struct moment *moments = mem_array(NULL, stream->count, sizeof *moments);
    struct stream_event *sorted = mem_array(NULL, stream->count, sizeof *sorted);
    for (size_t i = 0; i < stream->count; i++)
        moments[i] = (struct moment){stream->events[i].ts_ms, i};
    qsort(moments, stream->count, sizeof *moments, compare_moments);
    for (size_t i = 0; i < stream->count; i++)
        sorted[i] = stream->events[moments[i].at];
    free(moments);
    free(stream->events);
    stream->events = sorted;
    stream->capacity = stream->count;
}

static void mix(struct stream_event *events, size_t count, uint64_t *random)
{
    for (size_t left = count; left > 1; left--) {
        size_t other = eval_random_below(random, left);
        struct stream_event swapped = events[other];
        events[other] = events[left - 1];
        events[left - 1] = swapped;
    }
}

static void mix_ties(struct stream *stream, uint64_t seed)
{
    size_t end;
    for (size_t begin = 0; begin < stream->count; begin = end) {
        end = begin + 1;
        while (end < stream->count && stream->events[end].ts_ms == stream->events[begin].ts_ms)
            end++;
        mix(stream->events + begin, end - begin, &seed);
    }
}

/* Which events are the first of their (user, item). */
struct meeting {
    uint32_t user, item;
    size_t at;
};

static int compare_meetings(const void *left, const void *right)
{
    const struct meeting *a = left, *b = right;
    if (a->user != b->user)
        return a->user < b->user ? -1 : 1;
    if (a->item != b->item)
        return a->item < b->item ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static void find_new(struct stream *stream)
{
    struct meeting *meetings = mem_array(NULL, stream->count, sizeof *meetings);
    for (size_t i = 0; i < stream->count; i++)
        meetings[i] = (struct meeting){stream->events[i].user, stream->events[i].item, i};
    qsort(meetings, stream->count, sizeof *meetings, compare_meetings);
    for (size_t i = 0; i < stream->count; i++)
        stream->events[meetings[i].at].is_new = i == 0 ||
                                                meetings[i].user != meetings[i - 1].user ||
                                                meetings[i].item != meetings[i - 1].item;
    free(meetings);
}

void stream_arrange(struct stream *stream, uint64_t seed)
{
    if (stream->count == 0)
        return;
    sort_by_time(stream);
    mix_ties(stream, seed);
    find_new(stream);
}

/* -- places ------------------------------------------------------------------------------------ */

static size_t place_of_time(const struct stream *stream, int64_t ts_ms)
{
    size_t low = 0, high = stream->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stream->events[middle].ts_ms < ts_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool parse_date(const char *text, int64_t *ts_ms)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        if (end != NULL && strcmp(end, "Z") == 0 && i > 0) /* times are UTC, said or not */
            end++;
        struct tm normal = tm;
        if (end != NULL && *end == '\0' && timegm(&normal) != -1 && normal.tm_mday == tm.tm_mday) {
            *ts_ms = (int64_t)timegm(&tm) * 1000;
            return true;
        }
    }
    return false;
}

int stream_place(const struct stream *stream, const char *option, const char *text, size_t *at,
                 struct error *err)
{
    char *end;
    int64_t ts_ms;
    if (parse_date(text, &ts_ms)) {
        *at = place_of_time(stream, ts_ms);
        return 0;
    }
    errno = 0;
    double number = strtod(text, &end);
    if (end != text && *end == '\0' && errno == 0) {
        if (number >= 0 && number <= 1) {
            *at = (size_t)(number * (double)stream->count);
            return 0;
        }
        if (number > 1 && number < 1e17 && strspn(text, "0123456789") == strlen(text)) {
            *at = place_of_time(stream, strtoll(text, NULL, 10));
            return 0;
        }
    }
    return error_set(err, ERR_USAGE,
                     "--%s wants a share from 0 to 1 or a time like 2013-06-01, not \"%s\"", option,
                     text);
}
