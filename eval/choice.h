/* What the baselines are given before they are judged: the best half-life of `recent`, and the best
 * horizon, direction and rho of `cooccurrence`.
 *
 * Each candidate ranks the same events (new to their user, drawn from the last CHOICE_SHARE of
 * those before the judged part) in the list just before the event, and the best mean NDCG@20 wins;
 * of equals the first. */
#ifndef FRESHET_EVAL_CHOICE_H
#define FRESHET_EVAL_CHOICE_H

#include "eval/panel.h"

#define CHOICE_SHARE (1 / 6.0) /* by default 50 to 60% of the stream */
#define CHOICE_EVENTS_MAX 2000
#define CHOICE_DEPTH 20

struct choice;

/* The defaults, for where there is nothing to choose by. */
struct panel_choice choice_default(void);

struct choice *choice_new(struct stage *stage, const struct scorer_settings *settings,
                          unsigned methods);
void choice_free(struct choice *choice);

/* Ranks the event's item; before it is learned. */
int choice_judge(struct choice *choice, const struct stream_event *event, struct error *err);

struct panel_choice choice_make(const struct choice *choice);

/* How many lists choice_judge makes. */
size_t choice_candidates(const struct choice *choice);

#endif
