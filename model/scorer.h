/* The third station: users of a batch -> slate. A list is a pure function of its user's history,
 * item sums, generation, settings and stream time; the scorer holds the last three's live forms.
 *
 *   score(u, i) = a x_u.y_i + b T_i + c C_ui        (taste + trend + together)
 *
 * x_u by exact fold-in (`als`) or steps (`sgd`), see model/taste.h; T by model/trend.h, C by
 * model/together.h. Users without factors get the other two, as the popular list gets the trend
 * alone; where b is 0, they get a millionth of T_i, since a list in the order of ids would help
 * nobody. Left out: items blocked, not available now, of an excluded category, and
 * those the user has had by a type that hides. What is left fills the list up to n, but for what
 * model/finishing.h does: impressions, exploration, how far the list is from the last.
 *
 * All on the loop thread but for scorer_run, which belongs on a worker, while the loop neither
 * learns nor installs. */
#ifndef FRESHET_MODEL_SCORER_H
#define FRESHET_MODEL_SCORER_H

#include "model/finishing.h"
#include "model/columns.h"
#include "model/generation.h"
#include "model/history.h"
#include "model/slate.h"
#include "model/taste.h"
#include "model/trend.h"

struct scorer_settings {
    struct finishing_settings finishing; /* with the list's length */
    enum update update;
    double sgd_rate;
    struct score_weights first; /* until the first generation: trend alone, this half-life */
    const struct score_weights *weights; /* these at all times; NULL: the generation's */
    const struct type_weight *types;     /* by settings index, [type_count] */
    uint32_t type_count;
    const struct slice *exclude_categories;
    size_t exclude_category_count;
    uint32_t arm;          /* index and name of the arm whose lists it makes */
    struct slice arm_name; /* borrowed for good */
    bool shadow;           /* lists that are only measured */
};

struct scorer;
struct scorer *scorer_new(struct history *history, const struct scorer_settings *settings);
void scorer_free(struct scorer *scorer);
void scorer_release_cache(void *cache); /* for history_open */

/* The generation to score with from now on (taken over; prepared), or NULL for none. The old one
 * goes. */
void scorer_install(struct scorer *scorer, struct generation *generation);
const struct generation *scorer_generation(const struct scorer *scorer);
struct generation *scorer_share_generation(struct scorer *scorer); /* one more owner's, or NULL */

/* After a learn, or (learned NULL) after partitions came or went. */
void scorer_learned(struct scorer *scorer, const struct learned *learned);

/* Adds lists to a slate on the loop, then scores those that it added on a worker. scorer_add takes
 * the version, the cause and the record as they are now and pins the user; the caller unpins when
 * the slate's outcome is in. */
void scorer_add(struct scorer *scorer, struct slate *slate, struct user *user);
void scorer_add_popular(struct scorer *scorer, struct slate *slate);
void scorer_run(struct scorer *scorer, struct slate *slate);

/* What lists are made with, for those who take a score apart (model/explain.h). Borrowed, until the
 * scorer next learns or installs; where scorer_run may be called, this may be used. */
struct scorer_parts {
    struct history *history;
    const struct scorer_settings *settings;
    const struct type_weight *types;     /* by the state's type number, [EVENT_TYPES_MAX] */
    uint64_t hiding, counting;           /* bits by the same */
    const struct generation *generation; /* NULL: none */
    const struct score_weights *weights;
    const struct columns *columns;
    struct trend *trend;
    struct together *together; /* rebuilt only if weights->together > 0 */
    struct taste *taste;
};
void scorer_parts(struct scorer *scorer, struct scorer_parts *parts);

/* Adds the list of somebody who is only supposed: `user` is the caller's, outside the history, with
 * any record or none, and outlives the slate. Neither is pinned nor referenced: list->record is to
 * be NULL again before slate_clear. Where scorer_run may be called, this may be. */
void scorer_add_supposed(struct scorer *scorer, struct slate *slate, struct user *user);

#endif
