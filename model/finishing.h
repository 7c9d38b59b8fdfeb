/* The last steps of a list: from a user's best entries to what is published.
 *
 *   1. Impressions. An item that was shown k times and passed over since scores
 *          s' = s - |s| (1 - (1 - d)^k),       d = impression.discount,
 *      which is never more than s; so the n best by s' are among the n + (items shown) best by s.
 *   2. The first n.
 *   3. Exploration. A list explores with probability `share`. Then `slots` places are drawn among
 *      the first `depth`, and an item for each among the candidates C: items that the user may get
 *      and that are not in the list, the `newest` ones or all (`tail`). Draws are uniform, without
 *      replacement, and made from a hash of user, version and seed: the same list every time.
 *      An item's propensity, the probability that a slot of this list has it, is
 *          share * slots / |C|,
 *      and with it sums of 1 / propensity over clicks on explored items estimate without bias what
 *      a uniformly chosen candidate would get (Horvitz & Thompson 1952). What was there moves down.
 *   4. How far the list is from the one that Redis has (model/list_change.h).
 *
 * One thread at a time. */
#ifndef FRESHET_MODEL_FINISHING_H
#define FRESHET_MODEL_FINISHING_H

#include "model/columns.h"
#include "model/slate.h"
#include "model/topn.h"
#include "model/user.h"

#define EXPLORE_SLOTS_MAX 20

enum explore_from { EXPLORE_NEWEST, EXPLORE_TAIL };

struct explore_settings {
    double share;   /* of lists; 0: none explores */
    uint32_t slots; /* at most EXPLORE_SLOTS_MAX */
    uint32_t depth;
    uint32_t newest; /* how many count as new */
    enum explore_from from;
    uint64_t seed; /* of the arm */
};

struct finishing_settings {
    uint32_t n;      /* list length */
    double discount; /* 0: none */
    struct explore_settings explore;
};

struct finishing;
struct finishing *finishing_new(const struct finishing_settings *settings);
void finishing_free(struct finishing *finishing);

/* How many of a user's best entries are wanted; record NULL: of nobody's. */
uint32_t finishing_wants(const struct finishing *finishing, const struct user_record *record);

/* What is the same for all lists of a slate; the columns are not changed while they are finished.
 */
void finishing_begin(struct finishing *finishing, const struct columns *columns);

/* s' for an item shown so many times. */
float finishing_discounted(float score, double discount, uint32_t times);

/* entries: [count] of the user, best first, changed. Fills the list's items, explored, new_items,
 * changed and change but for `first`; the rest of it is given. */
void finishing_list(struct finishing *finishing, const struct topn_user *user,
                    struct topn_entry *entries, uint32_t count, struct slate_list *list);

#endif
