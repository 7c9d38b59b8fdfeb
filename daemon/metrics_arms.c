/* Arms and their lists: from plain figures to series. */
#include "daemon/metrics.h"

#include <stdio.h>

static void add_arm_value(struct exposition *e, const char *name, const struct arm_metrics *arm,
                          double value)
{
    exposition_add(e, name, METRIC_LABELS({"arm", arm->name}), value);
}

static void add_arm_labelled(struct exposition *e, const char *name, const struct arm_metrics *arm,
                             const char *label, const char *label_value, double value)
{
    exposition_add(e, name, METRIC_LABELS({"arm", arm->name}, {label, label_value}), value);
}

static void add_arm_sum(struct exposition *e, const char *name, const struct arm_metrics *arm,
                        const struct metric_sum *sum)
{
    exposition_add_summary(e, name, METRIC_LABELS({"arm", arm->name}), sum->count, sum->sum);
}

void metrics_add_experiment(struct exposition *e, const struct experiment_metrics *experiment)
{
    if (experiment->id[0] == '\0')
        return;
    exposition_add(e, "freshet_experiment_info", METRIC_LABELS({"experiment", experiment->id}), 1);
    exposition_add(e, "freshet_experiment_running", NULL, experiment->running);
    exposition_add(e, "freshet_experiment_sample_ratio_p_value", NULL, experiment->sample_ratio_p);
}

static void add_trial(struct exposition *e, const struct arm_metrics *arm)
{
    add_arm_value(e, "freshet_arm_users", arm, arm->users);
    add_arm_value(e, "freshet_arm_events_total", arm, (double)arm->events);
    add_arm_labelled(e, "freshet_arm_hits_total", arm, "k", "10", (double)arm->hits10);
    add_arm_labelled(e, "freshet_arm_hits_total", arm, "k", "20", (double)arm->hits20);
    add_arm_value(e, "freshet_arm_reciprocal_ranks_total", arm, arm->reciprocal_ranks);
    add_arm_value(e, "freshet_arm_hit_ratio", arm, arm->hit_ratio);
    add_arm_labelled(e, "freshet_arm_hit_bound_ratio", arm, "bound", "low", arm->hit_ratio_low);
    add_arm_labelled(e, "freshet_arm_hit_bound_ratio", arm, "bound", "high", arm->hit_ratio_high);
    add_arm_value(e, "freshet_arm_uplift_ratio", arm, arm->uplift);
    add_arm_labelled(e, "freshet_arm_uplift_bound_ratio", arm, "bound", "low", arm->uplift_low);
    add_arm_labelled(e, "freshet_arm_uplift_bound_ratio", arm, "bound", "high", arm->uplift_high);
    add_arm_value(e, "freshet_arm_uplift_p_value", arm, arm->uplift_p);
}

static void add_churn(struct exposition *e, const struct arm_metrics *arm)
{
    static const char *const names[CHURN_KINDS] = {
        [CHURN_RBO] = "freshet_list_churn_rbo",
        [CHURN_JACCARD] = "freshet_list_churn_jaccard",
        [CHURN_NET_RBO] = "freshet_list_churn_net_rbo",
        [CHURN_NET_JACCARD] = "freshet_list_churn_net_jaccard",
    };
    for (int cause = 0; cause < CAUSE_COUNT; cause++)
        for (int kind = 0; kind < CHURN_KINDS; kind++) {
            const struct metric_sum *churn = &arm->churn[cause][kind];
            exposition_add_summary(
                e, names[kind],
                METRIC_LABELS({"arm", arm->name}, {"cause", slate_cause_name(cause)}), churn->count,
                churn->sum);
        }
}

static void add_held(struct exposition *e, const struct arm_metrics *arm)
{
    for (int hold = HOLD_NOTHING + 1; hold < HOLD_COUNT; hold++)
        add_arm_labelled(e, "freshet_lists_held_total", arm, "reason", hold_name((enum hold)hold),
                         (double)arm->held[hold]);
}

static void add_arm_hits(struct exposition *e, const struct arm_metrics *arm)
{
    for (int a = ATTRIBUTION_NONE; a < ATTRIBUTION_COUNT; a++)
        add_arm_labelled(e, "freshet_attributed_events_total", arm, "outcome", attribution_names[a],
                         (double)arm->attributed[a]);
    add_arm_value(e, "freshet_chr_events_total", arm, (double)arm->chr.events);
    add_arm_labelled(e, "freshet_chr_hits_total", arm, "k", "10", (double)arm->chr.hits10);
    add_arm_labelled(e, "freshet_chr_hits_total", arm, "k", "20", (double)arm->chr.hits20);
}

static void add_responsiveness(struct exposition *e, const struct arm_metrics *arm)
{
    add_arm_sum(e, "freshet_events_to_first_change", arm, &arm->first_change);
    add_arm_sum(e, "freshet_response_gap_closed_ratio", arm, &arm->gap_closed);
    add_arm_sum(e, "freshet_neighbour_lift", arm, &arm->neighbour_lift);
    add_arm_sum(e, "freshet_user_drift", arm, &arm->drift);
}

static void add_quality(struct exposition *e, const struct arm_metrics *arm)
{
    add_arm_sum(e, "freshet_list_novelty", arm, &arm->novelty);
    add_arm_sum(e, "freshet_list_diversity", arm, &arm->diversity);
    add_arm_value(e, "freshet_catalogue_coverage_ratio", arm, arm->coverage);
    add_arm_value(e, "freshet_top_item_share_ratio", arm, arm->top_item_share);
    add_arm_value(e, "freshet_fallback_share_ratio", arm, arm->fallback_share);
    add_arm_value(e, "freshet_new_item_share_ratio", arm, arm->new_item_share);
}

void metrics_add_arm(struct exposition *e, const struct arm_metrics *arm)
{
    add_arm_value(e, "freshet_arm_share_ratio", arm, arm->share);
    add_arm_value(e, "freshet_arm_stopped", arm, arm->stopped);
    add_arm_value(e, "freshet_arm_generation_number", arm, (double)arm->generation);
    if (arm->counted)
        add_trial(e, arm);
    add_arm_value(e, "freshet_arm_lists_total", arm, (double)arm->lists);
    add_arm_hits(e, arm);
    add_held(e, arm);
    add_churn(e, arm);
    add_responsiveness(e, arm);
    add_quality(e, arm);
}

/* -- by event type and by value -----------------------------------------------------------------
 */

static void add_type(struct exposition *e, const char *type, const char *scope,
                     const struct accuracy_count *count)
{
    exposition_add(e, "freshet_type_events_total", METRIC_LABELS({"type", type}, {"scope", scope}),
                   (double)count->events);
    exposition_add(e, "freshet_type_hits_total",
                   METRIC_LABELS({"type", type}, {"scope", scope}, {"k", "10"}),
                   (double)count->hits10);
    exposition_add(e, "freshet_type_hits_total",
                   METRIC_LABELS({"type", type}, {"scope", scope}, {"k", "20"}),
                   (double)count->hits20);
}

static void add_value(struct exposition *e, double value, const struct accuracy_count *count)
{
    char from[16];
    snprintf(from, sizeof from, "%g", value);
    exposition_add(e, "freshet_rhr_events_total", METRIC_LABELS({"from", from}),
                   (double)count->events);
    exposition_add(e, "freshet_rhr_hits_total", METRIC_LABELS({"from", from}, {"k", "10"}),
                   (double)count->hits10);
    exposition_add(e, "freshet_rhr_hits_total", METRIC_LABELS({"from", from}, {"k", "20"}),
                   (double)count->hits20);
}

void metrics_add_hits(struct exposition *e, const struct hits *hits, char *const *types,
                      size_t count)
{
    for (size_t type = 0; type < count; type++) {
        add_type(e, types[type], "all", &hits->types[type][ACCURACY_ALL]);
        add_type(e, types[type], "new", &hits->types[type][ACCURACY_NEW]);
    }
    for (int slice = 0; slice < HITS_VALUES; slice++)
        add_value(e, hits_value_from[slice], &hits->values[slice]);
}
