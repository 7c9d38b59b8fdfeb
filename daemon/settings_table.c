#include "daemon/settings_table.h"
#include "model/pairs.h"
#include "model/sums.h"

#include <string.h>

#define SECONDS (1000.0)
#define MINUTES (60 * SECONDS)
#define HOURS (60 * MINUTES)
#define DAYS (24 * HOURS)
#define KIB (1024.0)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define ANY_COUNT (1e12)
#define NAMES(list) .names = list, .name_count = sizeof(list) / sizeof(list)[0]
#define HALF_LIVES .names = half_life_names, .name_count = HALF_LIFE_COUNT
#define AT(field) offsetof(struct settings, field)
#define OF_TYPE(field) offsetof(struct type_weight, field)
#define OF_ARM(field) offsetof(struct settings_arm, field)

/* In the order of the enums they stand for. */
static const char *const value_names[] = {"none", "linear", "log"};
static const char *const objective_names[] = {"ials", "hu", "implicit"};
static const char *const lambda_scaling_names[] = {"none", "count"};
static const char *const update_names[] = {"als", "sgd"};
static const char *const kernel_choices[] = {"auto", "plain", "avx2", "avx512"};
static const char *const explore_names[] = {"newest", "tail"};
static const char *const log_level_names[] = {"debug", "info", "warn", "error"};

const struct section settings_sections[] = {
    {"kafka", "Properties of librdkafka, by its own names, handed on as they are; those Freshet "
              "decides itself are refused."},
    {"consumer", "Which topics are read, and how."},
    {"events", "Which events are accepted, and what each type is worth. With no type named there "
               "is one, `default`; with some named, only those are accepted, and `default`, if it "
               "is among them, stands for all others."},
    {"history", "What is kept of each user."},
    {"state", "Where and how the durable state is kept."},
    {"model", "The objective of ALS and the terms of a score."},
    {"train", "When full ALS runs, and when its result is believed."},
    {"lists", "What is published, and how often it is renewed."},
    {"publish", "Which of the lists made are worth publishing, and when."},
    {"explore", "Places of a list that are drawn at random instead of won by score, each logged "
                "with its probability, so that estimates from the log stay unbiased."},
    {"impression", "What it means that an item was shown and ignored."},
    {"experiment", "What the arms below are compared under."},
    {"arms", "Variants of these settings, each for a share of the users. With none named there "
             "is one, `default`, for all of them."},
    {"monitor", "What is measured of the lists."},
    {"redis", "Where lists go."},
    {"http", "The dashboard, the metrics and the questions one may ask, over HTTP."},
    {"daemon", "The process itself."},
};
const size_t settings_section_count = sizeof settings_sections / sizeof settings_sections[0];

const struct row settings_rows[] = {
    {"kafka.bootstrap.servers", ROW_PROPERTY, .standard = "127.0.0.1:9092", .restart = true,
     .sentence = "Some of the cluster's brokers, HOST:PORT, separated by commas."},

    {"consumer.topic", ROW_TEXT, AT(consumer.topic), .standard = "events", .restart = true,
     .sentence = "The topic of events, keyed by user."},
    {"consumer.items_topic", ROW_TEXT, AT(consumer.items_topic), .standard = "items",
     .restart = true,
     .sentence = "The compacted topic of item records, keyed by item; empty for none."},
    {"consumer.dead_topic", ROW_TEXT, AT(consumer.dead_topic), .standard = "", .restart = true,
     .sentence = "Where records go that are no events; empty for the topic's name and \".dead\"."},
    {"consumer.group", ROW_TEXT, AT(consumer.group), .standard = "freshet", .restart = true,
     .sentence = "The consumer group; instances that share it share the partitions."},
    {"consumer.instance", ROW_TEXT, AT(consumer.instance), .standard = "", .restart = true,
     .sentence = "A fixed name of this instance in the group, so that a quick restart moves no "
                 "partitions; empty for none."},
    {"consumer.create_partitions", ROW_INT, AT(consumer.create_partitions), 0, 1000,
     .standard = "0", .restart = true,
     .sentence = "Create missing topics with that many partitions; 0: a missing topic is an "
                 "error."},
    {"consumer.batch_events", ROW_INT, AT(consumer.batch_events), 1, 100000, .standard = "1024",
     .restart = true, .sentence = "The most events learned as one batch."},
    {"consumer.event_bytes_max", ROW_SIZE, AT(consumer.event_bytes_max), 256, 16 * MIB,
     .standard = "64KiB", .restart = true, .sentence = "Larger records are dead letters."},
    {"consumer.dead_pending_max", ROW_INT, AT(consumer.dead_pending_max), 1, 1e6,
     .standard = "10000", .restart = true,
     .sentence = "Consuming pauses while that many dead letters could not be delivered."},

    {"events.max_ahead", ROW_DURATION, AT(events.max_ahead_ms), 0, 3650 * DAYS, .standard = "5m",
     .restart = true,
     .sentence = "An event later than its record's timestamp by more than this is a dead letter."},
    {"events.max_age", ROW_DURATION, AT(events.max_age_ms), 0, 36500 * DAYS, .standard = "0s",
     .restart = true,
     .sentence = "An event older than its partition's latest by more than this is counted late "
                 "and not applied; 0s: nothing is late."},
    {"events.*.weight", ROW_REAL, OF_TYPE(weight), -1000, 1000, .standard = "1", .restart = true,
     .in_arms = true,
     .sentence = "What one event of the type counts; negative: a dislike; 0: kept, but not used."},
    {"events.*.half_life", ROW_DURATION, OF_TYPE(half_life_ms), 0, 36500 * DAYS, .standard = "0s",
     .restart = true, .in_arms = true,
     .sentence = "How long until an event counts half; 0s: it never fades."},
    {"events.*.cap", ROW_REAL, OF_TYPE(cap), 0, 1e6, .above = true, .standard = "1",
     .restart = true, .in_arms = true,
     .sentence = "The most that a user's events of the type count for one item, in all."},
    {"events.*.value", ROW_CHOICE, OF_TYPE(value), NAMES(value_names), .standard = "none",
     .restart = true, .in_arms = true,
     .sentence = "What an event's value multiplies its weight by: nothing, the value, or "
                 "log(1 + value)."},
    {"events.*.hides", ROW_BOOL, OF_TYPE(hides), .standard = "true", .restart = true,
     .in_arms = true,
     .sentence = "Whether an item met this way is left out of the user's lists from then on."},

    {"history.max", ROW_INT, AT(history.max), 1, 10000, .standard = "200", .restart = true,
     .sentence = "A user's newest interactions that are kept."},
    {"history.seen_max", ROW_INT, AT(history.seen_max), 0, 100000, .standard = "1000",
     .restart = true,
     .sentence = "Items a user has met, remembered to be left out of lists; at least history.max "
                 "makes sense."},
    {"history.dedup_window", ROW_INT, AT(history.dedup_window), 0, 10000, .standard = "100",
     .restart = true, .sentence = "A user's last event ids, remembered to drop duplicates."},

    {"history.neighbours", ROW_INT, AT(history.neighbours), 0, PAIRS_NEIGHBOURS_MAX,
     .standard = "256", .restart = true,
     .sentence =
         "Neighbours whose co-occurrence is counted for an item, 28 bytes each; shared among "
         "the partitions, which together hold at most twice as many; 0: none are."},

    {"state.dir", ROW_TEXT, AT(state.dir), .standard = "./state", .restart = true,
     .sentence = "The directory of state, generations and control socket; one process at a time."},
    {"state.commit", ROW_DURATION, AT(state.commit_ms), 10, MINUTES, .standard = "1s",
     .restart = true, .sentence = "How often what was learned is made durable."},
    {"state.map", ROW_SIZE, AT(state.map_bytes), MIB, 16 * TIB, .standard = "64GiB",
     .restart = true,
     .sentence = "The most the state may ever take; address space, not disk, until it is used."},
    {"state.hot", ROW_SIZE, AT(state.hot_bytes), MIB, TIB, .standard = "256MiB", .restart = true,
     .sentence = "About how much memory recently active users may take."},

    {"model.objective", ROW_CHOICE, AT(model.hyper.objective), NAMES(objective_names),
     .standard = "ials", .in_arms = true,
     .sentence = "Which loss ALS minimises: that of Rendle et al. 2021, of Hu, Koren and Volinsky "
                 "2008 (Spark), or of the implicit library."},
    {"model.rank", ROW_INT, AT(model.rank), 1, RANK_MAX, .standard = "64", .in_arms = true,
     .sentence = "Factors a user and an item have."},
    {"model.w0", ROW_REAL, AT(model.hyper.w0), 0, 1000, .standard = "0.1", .in_arms = true,
     .sentence = "The weight of the unobserved; always 1 with hu and implicit."},
    {"model.lambda", ROW_REAL, AT(model.hyper.lambda), 0, 1e6, .above = true, .standard = "0.01",
     .in_arms = true, .sentence = "Regularization."},
    {"model.lambda_scaling", ROW_CHOICE, AT(model.hyper.lambda_scaling),
     NAMES(lambda_scaling_names), .standard = "count", .in_arms = true,
     .sentence = "Whether a row's lambda is multiplied by its number of interactions."},
    {"model.alpha", ROW_REAL, AT(model.hyper.alpha), 0, 1e6, .above = true, .standard = "1",
     .in_arms = true, .sentence = "What weights are multiplied by to make confidences."},
    {"model.update", ROW_CHOICE, AT(model.update), NAMES(update_names), .standard = "als",
     .in_arms = true,
     .sentence = "How an event changes its user's factors: exact fold-in, or one gradient step."},
    {"model.sgd_rate", ROW_REAL, AT(model.sgd_rate), 0, 10, .above = true, .standard = "0.05",
     .in_arms = true, .sentence = "The step of update: sgd."},
    {"model.taste", ROW_BOOL, AT(model.taste), .standard = "true", .in_arms = true,
     .sentence =
         "Whether a score has the taste term, what the factors say; like the next four from the "
         "next generation on."},
    {"model.rho", ROW_REAL, AT(model.rho), 0, 1, .above = true, .word = "fitted", .word_value = 0,
     .standard = "fitted", .in_arms = true,
     .sentence =
         "Recency: an interaction k distinct times before its user's latest counts rho^k of its "
         "weight."},
    {"model.trend_weight", ROW_REAL, AT(model.trend_weight), 0, 1e6, .word = "fitted",
     .word_value = -1, .standard = "fitted", .in_arms = true,
     .sentence = "The weight of the trend term in a score; 0: none."},
    {"model.trend_half_life", ROW_CHOICE, AT(model.trend_half_life), HALF_LIVES, .word = "fitted",
     .word_value = -1, .standard = "fitted", .in_arms = true,
     .sentence = "How fast the trend forgets."},
    {"model.together_weight", ROW_REAL, AT(model.together_weight), 0, 1e6, .word = "fitted",
     .word_value = -1, .standard = "fitted", .in_arms = true,
     .sentence = "The weight of the together term, what goes with the user's latest items; 0: "
                 "none."},
    {"model.first_half_life", ROW_CHOICE, AT(model.first_half_life), HALF_LIVES, .standard = "1w",
     .in_arms = true, .sentence = "The trend's half-life until there is a generation."},
    {"model.kernel", ROW_CHOICE, AT(model.kernel), NAMES(kernel_choices), .standard = "auto",
     .restart = true,
     .sentence = "Which instructions the arithmetic uses; auto: the widest there are. The same "
                 "kernel gives the same bits."},

    {"train.every", ROW_DURATION, AT(train.every_ms), SECONDS, 3650 * DAYS, .standard = "1h",
     .restart = true, .sentence = "How often full ALS runs."},
    {"train.min_events", ROW_INT, AT(train.min_events), 0, ANY_COUNT, .standard = "1000",
     .restart = true,
     .sentence = "It waits until that many events were applied since the last run."},
    {"train.first_events", ROW_INT, AT(train.first_events), 1, ANY_COUNT, .standard = "1000",
     .restart = true,
     .sentence = "The first run begins with that many events; fewer are never trained on."},
    {"train.timeout", ROW_DURATION, AT(train.timeout_ms), SECONDS, 3650 * DAYS, .standard = "6h",
     .restart = true,
     .sentence = "A run that takes longer is ended, and counts as one that failed."},
    {"train.iterations", ROW_INT, AT(train.iterations), 1, 1000, .standard = "12",
     .sentence = "Iterations from a cold start."},
    {"train.warm_iterations", ROW_INT, AT(train.warm_iterations), 1, 1000, .standard = "4",
     .sentence = "Iterations from the running generation's factors."},
    {"train.threads", ROW_INT, AT(train.threads), 1, 256, .standard = "1",
     .sentence = "Threads of a run, all at idle priority."},
    {"train.seed", ROW_INT, AT(train.seed), 0, 9007199254740991.0, .standard = "1",
     .sentence = "Where random numbers begin; the same log, settings and seed give the same "
                 "generation."},
    {"train.follow", ROW_TEXT, AT(train.follow), .standard = "", .restart = true,
     .sentence = "A directory that has the `generations` of another instance in it, its state.dir "
                 "or a copy: they are taken over, and nothing is trained here; empty: it trains."},
    {"train.keep", ROW_INT, AT(train.keep), 1, 1000, .standard = "5", .restart = true,
     .sentence = "Generations kept to roll back to."},
    {"train.gate", ROW_REAL, AT(train.gate), 0, 1, .standard = "0.05",
     .sentence = "A generation whose NDCG@20 on held-out events is worse than the running one's "
                 "by more than this share, and by two standard errors, is refused."},
    {"train.duty", ROW_REAL, AT(train.duty), 0, 1, .above = true, .standard = "1.0",
     .sentence = "The share of the time a run works at most; the rest it sleeps. Where others want "
                 "the processor it works less, down to a quarter of that."},

    {"lists.n", ROW_INT, AT(lists.n), 1, 1000, .standard = "100", .in_arms = true,
     .sentence = "Items in a list."},
    {"lists.batch_users", ROW_INT, AT(lists.batch_users), 1, 10000, .standard = "256",
     .restart = true, .sentence = "The most users scored together."},
    {"lists.pace", ROW_INT, AT(lists.pace), 1, 1e6, .standard = "2000", .restart = true,
     .sentence = "Lists a second at most when many are owed (a new generation, Redis back); "
                 "lists after events are not held back."},
    {"lists.active", ROW_DURATION, AT(lists.active_ms), 0, 36500 * DAYS, .standard = "90d",
     .restart = true,
     .sentence = "Users whose last event is older get no new list until their next one; 0s: "
                 "everybody does."},
    {"lists.sweep", ROW_DURATION, AT(lists.sweep_ms), 0, 3650 * DAYS, .standard = "6h",
     .restart = true,
     .sentence = "How long a slow renewal of all active users' lists takes; 0s: there is none."},
    {"lists.expiry", ROW_DURATION, AT(lists.expiry_ms), SECONDS, 3650 * DAYS, .standard = "7d",
     .restart = true, .sentence = "A list that is not renewed for that long goes away."},
    {"lists.expiry_jitter", ROW_REAL, AT(lists.expiry_jitter), 0, 0.9, .standard = "0.1",
     .restart = true,
     .sentence = "The share of the expiry that is drawn at random, so that lists do not all go at "
                 "once."},
    {"lists.changes_max", ROW_INT, AT(lists.changes_max), 0, 1e9, .standard = "10000",
     .restart = true,
     .sentence = "Entries kept in the stream of changed lists; 0: there is no stream."},
    {"lists.exclude_categories", ROW_TEXTS, AT(lists.exclude_categories), .standard = "[]",
     .in_arms = true, .sentence = "Items of these categories are in no list."},

    {"publish.min_change", ROW_REAL, AT(publish.min_change), 0, 1, .standard = "0", .in_arms = true,
     .sentence = "A list that differs from the one published by less than this distance "
                 "(docs/METRICS.md: 1 - RBO) is held back; 0: none is."},
    {"publish.churn_limit", ROW_REAL, AT(publish.churn_limit), 0, 1, .standard = "0",
     .in_arms = true,
     .sentence = "The most that lists may change on average; while they change more, rewrites are "
                 "held back; 0: no limit."},
    {"publish.debounce", ROW_DURATION, AT(publish.debounce_ms), 0, HOURS, .standard = "0s",
     .in_arms = true,
     .sentence = "How long a list waits for more events of its user before it is made."},

    {"explore.share", ROW_REAL, AT(explore.share), 0, 1, .standard = "0", .in_arms = true,
     .sentence = "The share of lists that have such places; 0: none."},
    {"explore.slots", ROW_INT, AT(explore.slots), 1, 20, .standard = "1", .in_arms = true,
     .sentence = "How many places of a list."},
    {"explore.depth", ROW_INT, AT(explore.depth), 1, 1000, .standard = "20", .in_arms = true,
     .sentence = "They are among the first so many, or all of a list that is shorter."},
    {"explore.newest", ROW_INT, AT(explore.newest), 1, 10000, .standard = "100", .in_arms = true,
     .sentence = "With from: newest, how many of the newest items are drawn from."},
    {"explore.from", ROW_CHOICE, AT(explore.from), NAMES(explore_names), .standard = "newest",
     .in_arms = true,
     .sentence = "What is drawn: the items seen first last, or those that the list leaves out."},

    {"impression.discount", ROW_REAL, AT(impression.discount), 0, 0.99, .standard = "0",
     .in_arms = true,
     .sentence = "The share of its score that an item loses in its user's list each time it is "
                 "shown and ignored; 0: none."},
    {"impression.max", ROW_INT, AT(impression.max), 0, 1000, .standard = "100", .restart = true,
     .sentence = "A user's newest impressions that are kept."},

    {"experiment.id", ROW_TEXT, AT(experiment.id), .standard = "",
     .sentence = "Its name; what the arms achieved is counted under it, so another id begins anew. "
                 "Empty: the experiment without a name, which is one like any other."},
    {"experiment.salt", ROW_TEXT, AT(experiment.salt), .standard = "",
     .sentence = "Which users are in which arm depends on this alone and the shares; another salt "
                 "draws anew. Empty: the id."},
    {"experiment.start", ROW_TIME, AT(experiment.start_ms), .none = INT64_MIN, .standard = "",
     .sentence = "Before it everybody is in control; empty: it has begun."},
    {"experiment.end", ROW_TIME, AT(experiment.end_ms), .none = INT64_MAX, .standard = "",
     .sentence = "From then on everybody is in control; empty: it does not end."},
    {"experiment.scale", ROW_REAL, AT(experiment.scale), 0, 1, .above = true, .standard = "0.01",
     .sentence = "The difference in hit rate that one looks for: tau of the always-valid test's "
                 "mixture, which finds differences of that size the soonest and is valid for all."},
    {"experiment.level", ROW_REAL, AT(experiment.level), 0, 0.5, .above = true, .standard = "0.05",
     .sentence = "The chance of a false alarm, however often one looks; intervals cover with the "
                 "rest."},

    {"arms.*.share", ROW_REAL, OF_ARM(share), 0, 1, .word = "rest", .word_value = -1,
     .standard = "rest",
     .sentence = "The share of the users; rest: what the others leave, which is for the control "
                 "arm."},
    {"arms.*.control", ROW_BOOL, OF_ARM(control), .standard = "false",
     .sentence = "Whether the others are compared with it; one arm is."},
    {"arms.*.shadow", ROW_BOOL, OF_ARM(shadow), .standard = "false",
     .sentence = "Whether its lists are made and measured but not published; its users are drawn "
                 "from all, and keep the list of the arm they belong to."},
    {"arms.*.guard.hit20_drop", ROW_REAL, OF_ARM(guard_hit20_drop), 0, 1, .standard = "0",
     .sentence = "The arm stops by itself once its hit rate is certain to be below control's by "
                 "this share of it; 0: no such guard."},
    {"arms.*.guard.churn", ROW_REAL, OF_ARM(guard_churn), 0, 1, .standard = "0",
     .sentence = "The arm stops by itself once its lists change more than this on average "
                 "(docs/METRICS.md: 1 - RBO); 0: no such guard."},

    {"monitor.chr_min", ROW_REAL, AT(monitor.chr_min), 0, 1e6, .standard = "1",
     .sentence = "A hit counts in the cHR slice if its event's value is at least this."},

    {"redis.address", ROW_TEXT, AT(redis.address), .standard = "127.0.0.1:6379", .restart = true,
     .sentence = "HOST:PORT, [IPv6]:PORT, or the path of a unix socket."},
    {"redis.username", ROW_TEXT, AT(redis.username), .standard = "", .restart = true,
     .sentence = "The user of AUTH; empty for Redis's own default."},
    {"redis.password", ROW_SECRET, AT(redis.password), .standard = "", .restart = true,
     .sentence = "The password of AUTH; empty for none."},
    {"redis.tls", ROW_BOOL, AT(redis.tls_enabled), .standard = "false", .restart = true,
     .sentence = "Whether the connection is TLS (1.2 or newer); the server's certificate and name "
                 "are verified then."},
    {"redis.tls_ca_file", ROW_TEXT, AT(redis.tls_ca_file), .standard = "", .restart = true,
     .sentence = "The certificates, in PEM, of the authorities to believe; empty: the system's."},
    {"redis.tls_cert_file", ROW_TEXT, AT(redis.tls_cert_file), .standard = "", .restart = true,
     .sentence = "A certificate of our own, in PEM, with its chain behind it; empty for none. The "
                 "files are read at each connect."},
    {"redis.tls_key_file", ROW_TEXT, AT(redis.tls_key_file), .standard = "", .restart = true,
     .sentence = "Its private key, in PEM, without a password; for our eyes alone (mode 0600)."},
    {"redis.tls_server_name", ROW_TEXT, AT(redis.tls_server_name), .standard = "", .restart = true,
     .sentence = "Whom the server's certificate must be for; empty: the host of redis.address."},
    {"redis.prefix", ROW_TEXT, AT(redis.prefix), .standard = "rec:", .restart = true,
     .sentence = "What every key begins with; one prefix a tenant."},
    {"redis.database", ROW_INT, AT(redis.database), 0, 1023, .standard = "0", .restart = true,
     .sentence = "The database to SELECT."},
    {"redis.timeout", ROW_DURATION, AT(redis.timeout_ms), 10, 5 * MINUTES, .standard = "2s",
     .restart = true, .sentence = "For connecting, and for each command."},
    {"redis.in_flight_max", ROW_INT, AT(redis.in_flight_max), 1, 1e6, .standard = "4096",
     .restart = true, .sentence = "Commands sent and not yet answered, at most."},

    {"http.listen", ROW_TEXT, AT(http.listen), .standard = "127.0.0.1:7878", .restart = true,
     .sentence = "HOST:PORT or [IPv6]:PORT; port 0: any that is free; empty: no HTTP. Beyond "
                 "loopback it needs http.token."},
    {"http.token", ROW_SECRET, AT(http.token), .standard = "", .restart = true,
     .sentence = "What a request must bear to be told of a user; empty: none is."},

    {"daemon.drain", ROW_DURATION, AT(daemon.drain_ms), 0, 10 * MINUTES, .standard = "20s",
     .sentence = "How long SIGTERM may take to finish what is under way."},
    {"daemon.log_level", ROW_CHOICE, AT(daemon.log_level), NAMES(log_level_names),
     .standard = "info", .sentence = "The least serious lines that are logged."},
};
const size_t settings_row_count = sizeof settings_rows / sizeof settings_rows[0];
_Static_assert(sizeof settings_rows / sizeof settings_rows[0] <= ROWS_MAX, "raise ROWS_MAX");

const struct row *row_find(const char *path)
{
    for (size_t i = 0; i < settings_row_count; i++)
        if (strcmp(settings_rows[i].path, path) == 0)
            return &settings_rows[i];
    return NULL;
}

const struct section *section_find(const char *name)
{
    for (size_t i = 0; i < settings_section_count; i++)
        if (strcmp(settings_sections[i].name, name) == 0)
            return &settings_sections[i];
    return NULL;
}

bool row_is_in(const struct row *row, const struct section *section)
{
    size_t length = strlen(section->name);
    return strncmp(row->path, section->name, length) == 0 && row->path[length] == '.';
}

bool row_is_of_type(const struct row *row)
{
    return strncmp(row->path, TYPE_PATH, strlen(TYPE_PATH)) == 0;
}

bool row_is_of_arm(const struct row *row)
{
    return strncmp(row->path, ARM_PATH, strlen(ARM_PATH)) == 0;
}

const char *row_key(const struct row *row)
{
    if (row_is_of_type(row))
        return row->path + strlen(TYPE_PATH);
    if (row_is_of_arm(row))
        return row->path + strlen(ARM_PATH);
    return strchr(row->path, '.') + 1;
}
