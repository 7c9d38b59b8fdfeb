#include "daemon/settings.h"

#include <stddef.h>

static const char *const *type_names(const struct settings *settings)
{
    return (const char *const *)settings->events.names;
}

static struct state_settings state_of(const struct settings *settings)
{
    return (struct state_settings){.dir = settings->state.dir,
                                   .map_bytes = settings->state.map_bytes};
}

void settings_consumer(const struct settings *settings, struct consumer_settings *out)
{
    *out = (struct consumer_settings){
        .topic = settings->consumer.topic,
        .items_topic = settings->consumer.items_topic,
        .dead_topic = settings->consumer.dead_topic,
        .group = settings->consumer.group,
        .instance = settings->consumer.instance,
        .create_partitions = (int)settings->consumer.create_partitions,
        .properties = settings->consumer.properties,
        .property_count = settings->consumer.property_count,
        .decode = {.types = type_names(settings),
                   .type_count = settings->events.type_count,
                   .default_type = settings->events.default_type,
                   .max_ahead_ms = settings->events.max_ahead_ms,
                   .event_bytes_max = (uint32_t)settings->consumer.event_bytes_max},
    };
}

void settings_history(const struct settings *settings, struct history_settings *out)
{
    *out = (struct history_settings){
        .state = state_of(settings),
        .topic = slice_of(settings->consumer.topic),
        .items_topic = slice_of(settings->consumer.items_topic),
        .limits = {.history_max = (uint32_t)settings->history.max,
                   .seen_max = (uint32_t)settings->history.seen_max,
                   .dedup_window = (uint32_t)settings->history.dedup_window,
                   .impressions_max = (uint32_t)settings->impression.max},
        .neighbours_max = (uint32_t)settings->history.neighbours,
        .max_age_ms = settings->events.max_age_ms,
        .tombstone_ms = settings->lists.expiry_ms,
        .hot_bytes = settings->state.hot_bytes,
        .dead_pending_max = (uint32_t)settings->consumer.dead_pending_max,
        .type_count = settings->events.type_count,
        .types = type_names(settings),
        .type_counts = settings->events.counts,
    };
}

void settings_scorer(const struct settings *settings, struct scorer_settings *out)
{
    *out = (struct scorer_settings){
        .finishing = {.n = (uint32_t)settings->lists.n,
                      .discount = settings->impression.discount,
                      .explore = {.share = settings->explore.share,
                                  .slots = (uint32_t)settings->explore.slots,
                                  .depth = (uint32_t)settings->explore.depth,
                                  .newest = (uint32_t)settings->explore.newest,
                                  .from = (enum explore_from)settings->explore.from}},
        .update = settings->model.update,
        .sgd_rate = settings->model.sgd_rate,
        .first = {.taste = 0,
                  .trend = 1,
                  .trend_half_life = settings->model.first_half_life,
                  .rho = 1,
                  .together = 0},
        .types = settings->events.weights,
        .type_count = settings->events.type_count,
        .exclude_categories = settings->lists.exclude_categories,
        .exclude_category_count = settings->lists.exclude_category_count,
        .arm_name = SLICE("default"),
    };
}

void settings_train(const struct settings *settings, struct train_settings *out)
{
    *out = (struct train_settings){
        .state = state_of(settings),
        .topic = slice_of(settings->consumer.topic),
        .als = {.hyper = settings->model.hyper,
                .iterations = (int)settings->train.iterations,
                .threads = (int)settings->train.threads,
                .pace = {.duty = settings->train.duty, .yields = true}},
        .warm_iterations = (int)settings->train.warm_iterations,
        .gate = settings->train.gate,
        .seed = (uint64_t)settings->train.seed,
        .choice = {.taste = settings->model.taste,
                   .rho = settings->model.rho,
                   .trend_weight = settings->model.trend_weight,
                   .trend_half_life = settings->model.trend_half_life,
                   .together_weight =
                       settings->history.neighbours > 0 ? settings->model.together_weight : 0},
        .neighbours_max = (uint32_t)settings->history.neighbours,
        .types = settings->events.weights,
        .type_names = type_names(settings),
        .type_count = settings->events.type_count,
        /* train.first_events decides when; what is kept of so many can be fewer (history.max). */
        .interactions_min = TRAIN_INTERACTIONS_MIN,
    };
}

struct tls_settings settings_tls(const struct settings *settings)
{
    return (struct tls_settings){
        .enabled = settings->redis.tls_enabled,
        .ca_file = settings->redis.tls_ca_file,
        .cert_file = settings->redis.tls_cert_file,
        .key_file = settings->redis.tls_key_file,
        .server_name = settings->redis.tls_server_name,
    };
}

void settings_publisher(const struct settings *settings, const struct state_meta *meta,
                        const char *log, struct publisher_settings *out)
{
    *out = (struct publisher_settings){
        .redis = {.tls = settings_tls(settings),
                  .address = settings->redis.address,
                  .username = settings->redis.username,
                  .password = settings->redis.password,
                  .database = (int)settings->redis.database,
                  .timeout_ms = (int)settings->redis.timeout_ms,
                  .in_flight_max = (int)settings->redis.in_flight_max},
        .prefix = settings->redis.prefix,
        .expiry_ms = settings->lists.expiry_ms,
        .expiry_jitter = settings->lists.expiry_jitter,
        .changes_max = settings->lists.changes_max,
        .nonce = meta->nonce,
        .log = log,
        .place = {.epoch = meta->epoch, .swap = meta->swap},
    };
}
