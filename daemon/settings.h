/* The settings: one YAML file, one table.
 *
 * Each key is one row of the table in settings_table.c: name, type, range, default, sentence. The
 * row makes the parser, the defaults, `freshet check`, docs/CONFIG.md and configs/freshet.yaml
 * (`freshet check --defaults` and `--markdown` print them), so they cannot disagree. Unknown keys,
 * wrong types, values out of range and duplicate keys are refused with "FILE:LINE: KEY: what is
 * wrong" - all of them, not only the first. Durations are written 250ms, 10s, 5m, 6h, 30d; sizes
 * 64KiB, 256MiB, 4GiB; times 2026-11-01T00:00:00Z. Three mappings have free keys: `kafka:`
 * (librdkafka's properties, minus a deny-list), `arms:` (whose members hold overrides of the rest)
 * and, under `events:`, the event types. Secrets may be given as `file:/path` or `env:NAME`
 * (redis.password, http.token, and any kafka property). Read at start, and again when the daemon is
 * told to reload; owned by the one who loads; any thread may read. */
#ifndef FRESHET_DAEMON_SETTINGS_H
#define FRESHET_DAEMON_SETTINGS_H

#include "base/error.h"
#include "base/buffer.h"
#include "base/log.h"
#include "consumer/consumer.h"
#include "model/scorer.h"
#include "model/slate.h"
#include "model/train.h"
#include "publisher/publisher.h"

struct settings;

#define ARM_NAME_BYTES_MAX 64

struct settings_arm { /* one under arms:, in the file's order */
    char *name;
    double share; /* of the users, 0 to 1; control's is what the others leave */
    bool control; /* what the others are compared with: one arm is */
    bool shadow;  /* its lists are made and measured, not published; its share is a draw of its
                     own among all users, who keep the list of the arm they belong to */
    double guard_hit20_drop, guard_churn; /* 0: no such guard */
    struct settings *settings; /* whole, owned: the file with this arm's overrides written in; its
                                  arm_count is 0 */
};

struct settings {
    struct { /* kafka: + consumer: */
        char *topic, *items_topic, *dead_topic, *group, *instance;
        int64_t create_partitions;
        int64_t batch_events; /* most events in one batch */
        int64_t event_bytes_max;
        int64_t dead_pending_max;
        struct kafka_property *properties;
        size_t property_count;
    } consumer;
    struct {                          /* events: */
        char *names[EVENT_TYPES_MAX]; /* [type_count], like the two below */
        struct type_weight weights[EVENT_TYPES_MAX];
        bool counts[EVENT_TYPES_MAX]; /* weight > 0: counts in the item sums */
        uint32_t type_count;
        int32_t default_type; /* index of "default", or -1 */
        int64_t max_ahead_ms, max_age_ms;
    } events;
    struct { /* history: */
        int64_t max, seen_max, dedup_window, neighbours;
    } history;
    struct { /* state: */
        char *dir;
        int64_t commit_ms, map_bytes, hot_bytes;
    } state;
    struct { /* model: */
        struct hyperparameters hyper;
        int64_t rank;
        enum update update;
        bool taste;
        double sgd_rate, rho;                 /* rho 0: fitted */
        double trend_weight, together_weight; /* -1: fitted */
        int trend_half_life;                  /* -1: fitted */
        int first_half_life;                  /* before the first generation */
        int kernel;                           /* 0: the widest; else 1 + an enum kernel */
    } model;
    struct { /* train: */
        int64_t every_ms, timeout_ms, min_events, first_events, iterations, warm_iterations,
            threads, seed, keep;
        char *follow; /* "": it trains by itself */
        double gate, duty;
    } train;
    struct { /* lists: */
        int64_t n, batch_users, pace, active_ms, sweep_ms, expiry_ms, changes_max;
        double expiry_jitter;
        struct slice *exclude_categories; /* each owned, and NUL-terminated */
        size_t exclude_category_count;
    } lists;
    struct settings_arm arms[ARMS_MAX]; /* [arm_count]; if none is named: "default", control, all */
    uint32_t arm_count;                 /* at least 1; 0 in an arm's own settings */
    struct {                            /* experiment: */
        char *id, *salt;                /* salt: never empty unless id is */
        int64_t start_ms, end_ms;       /* since 1970; INT64_MIN and INT64_MAX where not given */
        double scale, level;
    } experiment;
    struct { /* publish: */
        double min_change, churn_limit;
        int64_t debounce_ms;
    } publish;
    struct { /* explore: */
        double share;
        int64_t slots, depth, newest;
        int from; /* enum explore_from */
    } explore;
    struct { /* impression: */
        double discount;
        int64_t max;
    } impression;
    struct { /* http: */
        char *listen, *token;
    } http;
    struct { /* monitor: */
        double chr_min;
    } monitor;
    struct { /* redis: */
        char *address, *username, *password, *prefix;
        bool tls_enabled;
        char *tls_ca_file, *tls_cert_file, *tls_key_file, *tls_server_name;
        int64_t database, timeout_ms, in_flight_max;
    } redis;
    struct { /* daemon: */
        int64_t drain_ms;
        enum log_level log_level;
    } daemon;
};

/* The settings in `path`, over the defaults. NULL path: the defaults alone. On ERR_SETTINGS every
 * complaint is in `complaints`, a line each, and err counts them. A relative state.dir is relative
 * to the working directory. */
int settings_load(struct settings **settings, const char *path, struct buffer *complaints,
                  struct error *err);
void settings_free(struct settings *settings);

/* Whether a running daemon may go over from `old` to `now` (two whole settings; not arms'). If not,
 * a line for each key that differs and cannot: "KEY: needs a restart"; never a value. */
bool settings_may_reload(const struct settings *old, const struct settings *now,
                         struct buffer *complaints);

/* Puts "FILE:LINE: " before each line of `complaints`, which begins with a key: where the file at
 * `path` has it, or what it would stand under (a key that was taken away), or line 1. A file that
 * cannot be read: they stay as they are. */
void settings_place_complaints(struct buffer *complaints, const char *path);

/* Which series of generations an arm is scored with: 0 where its training settings are the base's,
 * else their fingerprint (hash_stable), the same for arms that train alike and on every machine. */
uint64_t settings_series_key(const struct settings *arm, const struct settings *base);

/* A line for each arm: its share, its series and where it differs from the file. */
void settings_write_arms(struct buffer *out, const struct settings *settings);

/* All that says which list a user gets, as a text: who is in which arm, and what shapes its lists.
 */
void settings_write_shape(struct buffer *out, const struct settings *settings);

/* Every key with its default and its sentence, as the YAML of configs/freshet.yaml or as
 * docs/CONFIG.md. */
void settings_write_defaults(struct buffer *out);
void settings_write_markdown(struct buffer *out);

/* What each module wants of them; slices and strings are borrowed from `settings`. */
void settings_consumer(const struct settings *settings, struct consumer_settings *out);
void settings_history(const struct settings *settings, struct history_settings *out);
void settings_scorer(const struct settings *settings, struct scorer_settings *out);
void settings_train(const struct settings *settings, struct train_settings *out);
struct tls_settings settings_tls(const struct settings *settings); /* of redis.tls */
void settings_publisher(const struct settings *settings, const struct state_meta *meta,
                        const char *log, struct publisher_settings *out);

#endif
