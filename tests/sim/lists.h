/* What a list must be: a pure function of what is kept of the user, the arm and its generation. The
 * fake scorer computes it of a record, the checks of a folded prefix. */
#ifndef FRESHET_TESTS_SIM_LISTS_H
#define FRESHET_TESTS_SIM_LISTS_H

#include "daemon/line.h"
#include "tests/sim/stream.h"

#define CONFIGS 6
#define SERIES_KEYS 2

struct listed {
    int items[KEPT_MAX]; /* [count] best first */
    int count;
    uint32_t score; /* of all of them */
};

/* Of this arm (lists_arm). */
void lists_make(struct listed *list, const struct folded *user, uint32_t config, uint32_t arm,
                uint64_t generation);

/* What a record says, with the items' names by their numbers; but for the ids. */
void lists_fold(struct folded *user, const struct user_record *record, const int *item_names);

/* The arms of a configuration. */
struct lists_config {
    uint32_t count;
    struct arms assignment;
    struct scorers_arm arms[ARMS_MAX];
    struct line_arm line[ARMS_MAX];
};
const struct lists_config *lists_config(uint32_t config);
extern const uint64_t lists_series[SERIES_KEYS];
bool lists_holds_back(uint32_t config);

#endif
