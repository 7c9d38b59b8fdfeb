#include "model/tail_state.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int allocate(struct tail_state *state, struct error *err)
{
    size_t items = state->corpus->items;
    state->sums = mem_try(items, sizeof *state->sums);
    state->known = mem_try(items, 1);
    if (state->sums == NULL || state->known == NULL)
        return error_set(err, ERR_DOWN, "no memory for the sums of %zu items", items);
    return 0;
}

int tail_state_init(struct tail_state *state, const struct corpus *corpus, const bool *first,
                    uint32_t neighbours_max, struct error *err)
{
    *state = (struct tail_state){
        .corpus = corpus, .first = first, .pairs = {.neighbours_max = neighbours_max}};
    for (unsigned type = 0; type < EVENT_TYPES_MAX; type++)
        if (corpus->types[type].weight > 0)
            state->counting |= UINT64_C(1) << type;
    return allocate(state, err);
}

int tail_state_copy(struct tail_state *state, const struct tail_state *head, bool with_pairs,
                    struct error *err)
{
    *state = *head;
    state->head = head;
    state->pairs = (struct pairs){0};
    if (allocate(state, err) != 0)
        return ERR_DOWN;
    memcpy(state->sums, head->sums, head->corpus->items * sizeof *head->sums);
    memcpy(state->known, head->known, head->corpus->items);
    if (with_pairs)
        state->pairs = head->pairs;
    if (with_pairs && head->pairs.table_count > 0) { /* memcpy wants no NULL */
        state->pairs.tables = mem_array(NULL, head->pairs.table_count, sizeof *head->pairs.tables);
        memcpy(state->pairs.tables, head->pairs.tables,
               head->pairs.table_count * sizeof *head->pairs.tables);
    }
    return 0;
}

static bool is_shared(const struct tail_state *state, uint32_t item)
{
    return state->head != NULL && item < state->head->pairs.table_count &&
           state->pairs.tables[item] != NULL &&
           state->pairs.tables[item] == state->head->pairs.tables[item];
}

void tail_state_deinit(struct tail_state *state)
{
    for (uint32_t item = 0; item < state->pairs.table_count; item++)
        if (is_shared(state, item))
            state->pairs.tables[item] = NULL;
    pairs_clear(&state->pairs);
    free(state->sums);
    free(state->known);
    *state = (struct tail_state){0};
}

/* A table of its own, if it was the head's. */
static void own_table(struct tail_state *state, uint32_t item)
{
    if (is_shared(state, item))
        state->pairs.tables[item] = pairs_table_copy(state->pairs.tables[item]);
}

/* As model/history_learn.c does: the first use of an item goes with what the user used before. */
static void learn_pairs(struct tail_state *state, size_t at, size_t user, size_t place)
{
    const struct corpus *corpus = state->corpus;
    const struct interaction *interaction = &corpus->log[at];
    size_t begin = corpus->user_begin[user];
    struct pairs_event event;
    if (!state->first[at] ||
        !pairs_event_make(&event, corpus->log + begin, at - begin, state->counting,
                          interaction->item, interaction->ts_ms, (int64_t)place))
        return;
    own_table(state, event.item);
    for (uint32_t i = 0; i < event.count; i++)
        own_table(state, event.before[i]);
    pairs_learn(&state->pairs, &event);
}

void tail_state_learn(struct tail_state *state, size_t at, size_t user, size_t place)
{
    const struct interaction *interaction = &state->corpus->log[at];
    state->known[interaction->item] = 1;
    if ((state->counting >> interaction->type & 1) == 0)
        return;
    if (state->pairs.neighbours_max > 0)
        learn_pairs(state, at, user, place);
    sums_add(&state->sums[interaction->item], interaction->ts_ms);
}
