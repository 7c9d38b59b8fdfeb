/* Every metric there is. Names by https://prometheus.io/docs/practices/naming/: counters end in
 * _total, units are base units and part of the name. */
#include "daemon/metrics.h"

#define COUNTER(text) "freshet_" text "_total", METRIC_COUNTER, ""
#define GAUGE(text) "freshet_" text, METRIC_GAUGE, ""
#define SUMMARY(text) "freshet_" text, METRIC_SUMMARY, ""

const struct metric_row metrics_rows[] = {
    {GAUGE("build_info"), .labels = {"version"}, .help = "Always 1; the version is in the label."},
    {GAUGE("draining"), .help = "1 while the daemon is ending."},
    {GAUGE("kafka_up"), .help = "1 if Kafka answers."},
    {GAUGE("redis_up"), .help = "1 if Redis takes writes."},
    {GAUGE("state_up"), .help = "1 if the last commit of the state worked."},

    /* records */
    {COUNTER("records"), .labels = {"kind"},
     .help = "Records ever consumed, by what became of them; kept in the state."},
    {COUNTER("learned_records"), .help = "Records taken and learned since the process began."},
    {COUNTER("dead_letters"), .labels = {"reason"},
     .help = "Records refused since the process began."},
    {GAUGE("dead_letters_full"),
     .help = "1 while consuming pauses because dead letters cannot be delivered."},
    {GAUGE("kafka_lag_records"),
     .help = "Records between the last taken and the end of the log, over the partitions."},
    {GAUGE("kafka_assigned_partitions"), .help = "Partitions this instance has."},
    {GAUGE("kafka_next_offset"), .labels = {"partition"}, .help = "The next record to learn."},
    {"freshet_stream_timestamp_seconds", METRIC_GAUGE, "seconds", .labels = {"partition"},
     .help = "Stream time: the latest event time learned, since 1970."},
    {GAUGE("items"), .help = "Items known."},

    /* lists */
    {COUNTER("lists"), .labels = {"outcome"},
     .help = "Lists sent to Redis, by what it said; unsent ones stay owed and are sent again."},
    {COUNTER("lists_acknowledged"), .labels = {"cause"},
     .help = "Users' lists that Redis has, by what caused them."},
    {"freshet_list_bytes_total", METRIC_COUNTER, "bytes", .help = "JSON of lists sent."},
    {COUNTER("changes_refused"),
     .help = "Entries that the stream of changes did not take: its key is no stream."},
    {COUNTER("redis_connects"), .help = "Connections to Redis that came up."},
    {COUNTER("redis_losses"), .help = "Times that Redis did not hold our lists any more."},
    {GAUGE("queued_users"), .help = "Users whose list is being made or waits to be."},
    {GAUGE("owed_users"), .help = "Users whose list is still to be sent."},
    {"freshet_event_to_list_seconds", METRIC_HISTOGRAM, "seconds",
     .help = "From the record's timestamp to Redis' acknowledgement of the list that answers it."},
    {"freshet_event_time_to_list_seconds", METRIC_HISTOGRAM, "seconds",
     .help = "The same from the event's own time."},

    /* accuracy beside the baselines */
    {COUNTER("accuracy_events"), .labels = {"scope", "method"},
     .help = "Events judged before they were learned; scope new: items new to their user."},
    {COUNTER("accuracy_hits"), .labels = {"scope", "method", "k"},
     .help = "Of those, events whose item was within the first k of the list then live."},
    {COUNTER("accuracy_reciprocal_ranks"), .labels = {"scope", "method"},
     .help = "Sum of 1/rank of the item in that list, 0 beyond rank 20."},

    /* generations */
    {GAUGE("generation_number"), .help = "The live generation; 0: none."},
    {GAUGE("generation_newest_number"), .help = "The newest ever considered."},
    {"freshet_generation_written_timestamp_seconds", METRIC_GAUGE, "seconds",
     .help = "When the live generation's file was written, since 1970."},
    {GAUGE("generation_items"), .help = "Items with factors in the live generation."},
    {GAUGE("generation_rank"), .help = "Factors an item has."},
    {GAUGE("generation_ndcg20"), .help = "Its NDCG@20 on the held-out tail."},
    {GAUGE("generation_ndcg20_recent"), .help = "That of the best trend alone."},
    {GAUGE("generation_weight"), .labels = {"term"}, .help = "Weight of a score's term."},
    {GAUGE("generation_foldin_distance"),
     .help = "How far users' vectors under the last generation were from those under this one."},
    {COUNTER("generation_swaps"), .help = "Generations swapped in since the state began."},
    {GAUGE("generation_refusals_in_a_row"), .help = "Candidates refused by the gate in a row."},
    {GAUGE("trainer_running"), .help = "1 while a training is under way."},
    {"freshet_trainer_interval_seconds", METRIC_GAUGE, "seconds",
     .help = "How often training is scheduled (train.every)."},
    {"freshet_trainer_last_duration_seconds", METRIC_GAUGE, "seconds",
     .help = "How long the last training took."},
    {COUNTER("trainer_runs"), .help = "Trainings begun since the process began."},
    {COUNTER("trainer_failures"), .help = "Trainings that failed."},

    /* the line */
    {COUNTER("batches"), .help = "Batches learned."},
    {COUNTER("slates"), .help = "Slates of lists sent."},
    {COUNTER("commits"), .help = "Commits of the state."},
    {COUNTER("commit_failures"), .help = "Commits that failed."},
    {"freshet_learn_seconds_total", METRIC_COUNTER, "seconds", .help = "Time spent learning."},
    {"freshet_score_seconds_total", METRIC_COUNTER, "seconds", .help = "Time spent scoring."},
    {"freshet_loop_lag_seconds", METRIC_HISTOGRAM, "seconds",
     .help = "How late the event loop was, measured five times a second."},

    /* the experiment */
    {GAUGE("experiment_info"), .labels = {"experiment"}, .help = "Always 1; its id is the label."},
    {GAUGE("experiment_running"), .help = "1 between the experiment's start and its end."},
    {GAUGE("experiment_sample_ratio_p_value"),
     .help = "Always-valid p-value of the users' split over arms; small: it is not as set."},
    {"freshet_arm_share_ratio", METRIC_GAUGE, "ratio", .labels = {"arm"},
     .help = "The share of users the arm is given."},
    {GAUGE("arm_stopped"), .labels = {"arm"}, .help = "1 if the arm's guard has stopped it."},
    {GAUGE("arm_generation_number"), .labels = {"arm"}, .help = "What its lists are made of."},
    {GAUGE("arm_users"), .labels = {"arm"}, .help = "Users who had an event counted."},
    {COUNTER("arm_events"), .labels = {"arm"},
     .help = "Events with items new to their user, in this experiment; kept in the state."},
    {COUNTER("arm_hits"), .labels = {"arm", "k"},
     .help = "Of those, events whose item was within the first k of the list then live."},
    {COUNTER("arm_reciprocal_ranks"), .labels = {"arm"},
     .help = "Sum of 1/rank of the item in that list, 0 beyond rank 20."},
    {"freshet_arm_hit_ratio", METRIC_GAUGE, "ratio", .labels = {"arm"}, .help = "Its hit@20."},
    {"freshet_arm_hit_bound_ratio", METRIC_GAUGE, "ratio", .labels = {"arm", "bound"},
     .help = "The interval around it, clustered by user; bound low or high."},
    {"freshet_arm_uplift_ratio", METRIC_GAUGE, "ratio", .labels = {"arm"},
     .help = "Its hit@20 less control's."},
    {"freshet_arm_uplift_bound_ratio", METRIC_GAUGE, "ratio", .labels = {"arm", "bound"},
     .help = "The always-valid interval around the uplift; bound low or high."},
    {GAUGE("arm_uplift_p_value"), .labels = {"arm"}, .help = "Always-valid p-value of no uplift."},

    /* what the lists of an arm do */
    {COUNTER("arm_lists"), .labels = {"arm"}, .help = "Lists made for the arm's users."},
    {COUNTER("lists_held"), .labels = {"arm", "reason"},
     .help = "Lists held back: changed too little, over the churn limit, or too soon."},
    {SUMMARY("list_churn_rbo"), .labels = {"arm", "cause"},
     .help = "Distance of a list to the one before, 1 - RBO."},
    {SUMMARY("list_churn_jaccard"), .labels = {"arm", "cause"}, .help = "The same, 1 - Jaccard."},
    {SUMMARY("list_churn_net_rbo"), .labels = {"arm", "cause"},
     .help = "1 - RBO without items that left because consumed, blocked or expired."},
    {SUMMARY("list_churn_net_jaccard"), .labels = {"arm", "cause"},
     .help = "The same, 1 - Jaccard."},
    {SUMMARY("events_to_first_change"), .labels = {"arm"},
     .help = "A user's events until the list first changed."},
    {"freshet_response_gap_closed_ratio", METRIC_SUMMARY, "ratio", .labels = {"arm"},
     .help = "(s' - s) / (1 - s) of the event's item."},
    {SUMMARY("neighbour_lift"), .labels = {"arm"},
     .help = "What an event did to the scores of items close to its own."},
    {SUMMARY("user_drift"), .labels = {"arm"}, .help = "How far an event moved its user's vector."},
    {COUNTER("impressions"), .labels = {"arm"}, .help = "Impressions learned."},
    {COUNTER("attributed_hits"), .labels = {"arm"},
     .help = "Events that name the list and the position they came from."},
    {SUMMARY("list_novelty"), .labels = {"arm"},
     .help = "Mean of -log2(share of events) over a list's items, in bits."},
    {SUMMARY("list_diversity"), .labels = {"arm"},
     .help = "1 - mean cosine of the factors of a list's items."},
    {"freshet_catalogue_coverage_ratio", METRIC_GAUGE, "ratio", .labels = {"arm"},
     .help = "Items that are in some list."},
    {"freshet_top_item_share_ratio", METRIC_GAUGE, "ratio", .labels = {"arm"},
     .help = "Lists that have the most frequent item."},
    {"freshet_fallback_share_ratio", METRIC_GAUGE, "ratio", .labels = {"arm"},
     .help = "Lists without a taste term."},
    {"freshet_new_item_share_ratio", METRIC_GAUGE, "ratio", .labels = {"arm"},
     .help = "Entries of lists that the generation does not know."},

    /* the process */
    {"process_cpu_seconds_total", METRIC_COUNTER, "seconds",
     .help = "User and system time, of all threads."},
    {"process_resident_memory_bytes", METRIC_GAUGE, "bytes", .help = "Memory in use."},
    {"process_virtual_memory_bytes", METRIC_GAUGE, "bytes", .help = "Address space in use."},
    {"process_open_fds", METRIC_GAUGE, "", .help = "Open file descriptors."},
    {"process_max_fds", METRIC_GAUGE, "", .help = "The most there may be."},
    {"process_start_time_seconds", METRIC_GAUGE, "seconds",
     .help = "When the process began, since 1970."},
};
const size_t metrics_row_count = sizeof metrics_rows / sizeof metrics_rows[0];

void metrics_write_table(struct buffer *out)
{
    exposition_write_markdown(metrics_rows, metrics_row_count, out);
}
