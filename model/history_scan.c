#include "base/mem.h"
#include "model/history_internal.h"

#include <stdlib.h>

struct scan {
    const int32_t *assigned; /* [assigned_count] ascending */
    size_t assigned_count;
    bool all;
    int64_t since_ms;
    history_swap_of swap_of;
    void *arg;
    struct owed_list *owed;
    size_t capacity;
    struct error *err;
};

void owed_list_deinit(struct owed_list *owed)
{
    free(owed->users);
    *owed = (struct owed_list){0};
}

static int compare_numbers(const void *a, const void *b)
{
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return left < right ? -1 : left > right;
}

static int compare_owed(const void *a, const void *b)
{
    const struct owed_user *left = a, *right = b;
    if (left->last_ts_ms != right->last_ts_ms)
        return left->last_ts_ms > right->last_ts_ms ? -1 : 1;
    if (left->partition != right->partition)
        return left->partition < right->partition ? -1 : 1;
    return slice_compare((struct slice){left->id, left->id_length},
                         (struct slice){right->id, right->id_length});
}

static void add(struct scan *scan, const struct state_key *key, int64_t last_ts_ms)
{
    struct owed_list *owed = scan->owed;
    if (owed->count == scan->capacity) {
        scan->capacity = scan->capacity ? scan->capacity * 2 : 256;
        owed->users = mem_array(owed->users, scan->capacity, sizeof *owed->users);
    }
    struct owed_user *user = &owed->users[owed->count++];
    user->last_ts_ms = last_ts_ms;
    user->partition = key->partition;
    user->id_length = (uint16_t)key->rest.length;
    memcpy(user->id, key->rest.data, key->rest.length);
}

static bool is_wanted(const struct scan *scan, struct slice user, const struct user_record *head)
{
    if (scan->all)
        return true;
    return (head->forgotten || head->last_ts_ms >= scan->since_ms) &&
           user_is_owed(head, scan->swap_of(user, scan->arg));
}

/* The fixed part says enough, so that a scan of a million users copies no histories. */
static int visit_user(struct slice key, struct slice value, void *arg)
{
    struct scan *scan = arg;
    struct state_key parts;
    struct user_record head;
    if (!state_key_parse(key, &parts) || parts.rest.length > ID_BYTES_MAX ||
        !user_record_head(&head, value))
        return error_set(scan->err, ERR_DATA, "the state's table of users is damaged");
    if (bsearch(&parts.partition, scan->assigned, scan->assigned_count, sizeof parts.partition,
                compare_numbers) == NULL)
        return 0;
    if (is_wanted(scan, parts.rest, &head))
        add(scan, &parts, head.last_ts_ms);
    return 0;
}

/* The loop may assign and revoke while the worker scans, so the worker takes a copy. */
static int32_t *copy_assigned(struct history *history, size_t *count)
{
    uv_mutex_lock(&history->assigned_mutex);
    *count = history->assigned_count;
    int32_t *assigned = mem_array(NULL, *count, sizeof *assigned);
    for (size_t i = 0; i < *count; i++)
        assigned[i] = history->assigned[i]->number;
    uv_mutex_unlock(&history->assigned_mutex);
    return assigned;
}

static int scan_users(struct history *history, struct scan *scan, struct error *err)
{
    struct state_view *view;
    int status = state_view_open(&view, history->state, err);
    if (status != 0)
        return status;
    char key[STATE_KEY_MAX];
    struct slice prefix = {key, (uint32_t)state_key_topic(key, history->settings.topic)};
    status = state_view_scan(view, STATE_USERS, prefix, visit_user, scan, err);
    state_view_close(view);
    return status;
}

int history_scan_owed(struct history *history, bool all, int64_t since_ms, history_swap_of swap_of,
                      void *arg, struct owed_list *owed, struct error *err)
{
    *owed = (struct owed_list){0};
    struct scan scan = {
        .all = all, .since_ms = since_ms, .swap_of = swap_of, .arg = arg, .owed = owed, .err = err};
    int32_t *assigned = copy_assigned(history, &scan.assigned_count);
    scan.assigned = assigned;
    int status = scan_users(history, &scan, err);
    free(assigned);
    if (status != 0) {
        owed_list_deinit(owed);
        return status;
    }
    if (owed->count > 0)
        qsort(owed->users, owed->count, sizeof *owed->users, compare_owed);
    return 0;
}
