/* A corpus out of the state. */
#include "base/ids.h"
#include "base/mem.h"
#include "model/corpus.h"
#include "model/history_internal.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct corpus *corpus;
    struct error *err;
};

static int visit_user(struct slice key, struct slice value, void *arg)
{
    struct reading *reading = arg;
    struct state_key parts;
    const struct user_record *record;
    if (!state_key_parse(key, &parts))
        return error_set(reading->err, ERR_DATA, "the state has a user without a name");
    if (user_record_parse(&record, value, reading->err) != 0)
        return error_wrap(reading->err, "user %.*s", SLICE_ARG(parts.rest));
    if (!record->forgotten)
        corpus_add_user(reading->corpus, parts.rest, parts.partition, user_interactions(record),
                        record->interaction_count, user_seen(record), record->seen_count);
    user_record_unref(record);
    return 0;
}

static int visit_partition(struct slice key, struct slice value, void *arg)
{
    struct reading *reading = arg;
    struct corpus *corpus = reading->corpus;
    struct state_key parts;
    struct partition_record record;
    if (!state_key_parse(key, &parts) || !partition_record_parse(&record, value))
        return error_set(reading->err, ERR_DATA, "the state's partitions are damaged");
    if (corpus->cutoff_count == GENERATION_CUTOFFS_MAX)
        return error_set(reading->err, ERR_DATA, "more than %d partitions", GENERATION_CUTOFFS_MAX);
    corpus->cutoffs = mem_array(corpus->cutoffs, corpus->cutoff_count + 1, sizeof *corpus->cutoffs);
    corpus->cutoffs[corpus->cutoff_count++] =
        (struct generation_cutoff){parts.partition, record.next_offset};
    return 0;
}

/* The settings' types by the state's numbers. */
static int read_types(struct corpus *corpus, struct state_view *view,
                      const struct type_weight *types, const char *const *names, uint32_t count,
                      struct error *err)
{
    struct ids numbers = {0};
    int failed = load_types(view, &numbers, err);
    for (uint32_t i = 0; i < count && !failed; i++) {
        uint32_t number = ids_find(&numbers, slice_of(names[i]));
        if (number < EVENT_TYPES_MAX)
            corpus->types[number] = types[i];
    }
    ids_deinit(&numbers);
    return failed;
}

static int read_view(struct corpus *corpus, struct state_view *view, struct slice topic,
                     uint64_t series, struct items *items, struct error *err)
{
    char key[STATE_KEY_MAX];
    struct slice prefix = {key, (uint32_t)state_key_topic(key, topic)};
    struct reading reading = {corpus, err};
    struct state_meta meta = {0};
    if (load_meta(view, &meta, err) != 0 || load_items(view, items, err) != 0 ||
        state_view_scan(view, STATE_PARTITIONS, prefix, visit_partition, &reading, err) != 0 ||
        state_view_scan(view, STATE_USERS, prefix, visit_user, &reading, err) != 0)
        return -1;
    const struct state_series *found = series_find(&meta, series);
    corpus->live_generation = found != NULL ? found->generation : 0;
    return 0;
}

int corpus_read(struct corpus *corpus, const struct state_settings *settings, struct slice topic,
                const struct type_weight *types, const char *const *type_names, uint32_t type_count,
                uint64_t series, uint64_t seed, struct error *err)
{
    struct error why = {0};
    struct state *state;
    struct state_view *view;
    struct items items = {0};
    *corpus = (struct corpus){0};
    if (state_open_reader(&state, settings, &why) == 0) {
        if (state_view_open(&view, state, &why) == 0) {
            if (read_types(corpus, view, types, type_names, type_count, &why) == 0)
                read_view(corpus, view, topic, series, &items, &why);
            state_view_close(view);
        }
        state_close(state);
    }
    if (why.code == 0)
        corpus_finish(corpus, items.ids.texts, items_count(&items), seed, &why);
    items_deinit(&items);
    if (why.code == 0)
        return 0;
    corpus_deinit(corpus);
    return error_set(err, why.code, "%s", why.text);
}
