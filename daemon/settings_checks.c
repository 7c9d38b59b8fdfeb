#include "daemon/settings_loading.h"
#include "monitor/http_address.h"
#include "publisher/address.h"

#include <string.h>

#define TOPIC_BYTES_MAX 249 /* Kafka's own limit */

/* Complains at the first of two keys that was given; two defaults never contradict each other. */
static void complain_of_two(struct loading *loading, const char *path, const char *other,
                            const char *what)
{
    int line = line_of(loading, path), other_line = line_of(loading, other);
    if (line > 0)
        complain(loading, line, path, "%s %s", what, other);
    else if (other_line > 0)
        complain(loading, other_line, other, "%s %s (which has its default)", what, path);
}

/* Kafka's rule (org.apache.kafka.common.internals.Topic). */
static bool is_topic_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= TOPIC_BYTES_MAX && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               length;
}

static void check_topic(struct loading *loading, const char *path, const char *name)
{
    if (!is_topic_name(name))
        complain(loading, line_of(loading, path), path,
                 "must be a topic's name: 1 to %d of a-z, A-Z, 0-9, '.', '_' and '-'",
                 TOPIC_BYTES_MAX);
}

static void check_topics(struct loading *loading)
{
    const char *topic = loading->settings->consumer.topic;
    const char *items = loading->settings->consumer.items_topic;
    const char *dead = loading->settings->consumer.dead_topic;
    check_topic(loading, "consumer.topic", topic);
    if (*items != '\0')
        check_topic(loading, "consumer.items_topic", items);
    if (*dead != '\0')
        check_topic(loading, "consumer.dead_topic", dead);
    else if (is_topic_name(topic) && strlen(topic) + strlen(".dead") > TOPIC_BYTES_MAX)
        complain(loading, line_of(loading, "consumer.topic"), "consumer.topic",
                 "is too long for \".dead\" behind it: give consumer.dead_topic");

    char derived[TOPIC_BYTES_MAX + sizeof ".dead"];
    if (*dead == '\0' && strlen(topic) <= TOPIC_BYTES_MAX)
        dead = strcat(strcpy(derived, topic), ".dead");
    if (strcmp(topic, items) == 0)
        complain_of_two(loading, "consumer.items_topic", "consumer.topic",
                        "must not be the same as");
    if (strcmp(topic, dead) == 0)
        complain_of_two(loading, "consumer.dead_topic", "consumer.topic",
                        "must not be the same as");
    if (*items != '\0' && strcmp(items, dead) == 0)
        complain_of_two(loading, "consumer.items_topic", "consumer.dead_topic",
                        "must not be the same as");
}

static void check_group(struct loading *loading)
{
    if (loading->settings->consumer.group[0] == '\0')
        complain(loading, line_of(loading, "consumer.group"), "consumer.group",
                 "must not be empty");
}

static void check_follow(struct loading *loading)
{
    const struct settings *settings = loading->settings;
    if (settings->train.follow[0] != '\0' &&
        strcmp(settings->train.follow, settings->state.dir) == 0)
        complain_of_two(loading, "train.follow", "state.dir",
                        "must be another instance's, not the same as");
}

/* The earliest a list may go, jitter included, must be later than its next renewal. */
static void check_expiry(struct loading *loading)
{
    const struct settings *settings = loading->settings;
    double earliest_ms = (double)settings->lists.expiry_ms * (1 - settings->lists.expiry_jitter);
    if ((double)settings->lists.sweep_ms < earliest_ms)
        return;
    static const char *const paths[] = {"lists.sweep", "lists.expiry", "lists.expiry_jitter"};
    size_t given = 0;
    while (given < 2 && line_of(loading, paths[given]) == 0)
        given++;
    complain(loading, line_of(loading, paths[given]), paths[given],
             "lists.sweep must be shorter than lists.expiry less its jitter, or lists go before "
             "they are renewed");
}

/* Of the file, or of an arm that takes part in it. */
static void check_w0(struct loading *loading)
{
    const struct hyperparameters *hyper = &loading->into->model.hyper;
    int line = line_of(loading, "model.w0"), objective_line = line_of(loading, "model.objective");
    if (hyper->objective == OBJECTIVE_IALS || hyper->w0 == 1)
        return;
    if (line > 0)
        complain(loading, line, "model.w0", "is 1 by definition with objective hu or implicit");
    else if (objective_line > 0 && loading->lines[0][row_find("model.w0") - settings_rows] > 0)
        complain(loading, objective_line, "model.objective",
                 "has a w0 of 1 by definition, which the file's model.w0 is not: give the arm "
                 "model.w0: 1");
}

static void check_explore(struct loading *loading)
{
    const struct settings *settings = loading->into;
    static const char *const paths[] = {"explore.slots", "explore.depth", "lists.n"};
    int64_t places =
        settings->explore.depth < settings->lists.n ? settings->explore.depth : settings->lists.n;
    if (settings->explore.slots <= places)
        return;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (line_of(loading, paths[i]) > 0) {
            complain(loading, line_of(loading, paths[i]), paths[i],
                     "explore.slots must be at most explore.depth and lists.n");
            return;
        }
}

static void check_experiment(struct loading *loading)
{
    if (loading->settings->experiment.start_ms >= loading->settings->experiment.end_ms)
        complain_of_two(loading, "experiment.start", "experiment.end", "must be before");
}

static void check_http(struct loading *loading)
{
    struct http_address address;
    struct error err;
    const char *listen = loading->settings->http.listen;
    int line = line_of(loading, "http.listen");
    if (*listen == '\0')
        return;
    if (http_address_parse(&address, listen, &err) != 0)
        complain(loading, line, "http.listen", "%s", err.text);
    else if (!http_address_is_loopback(&address) && loading->settings->http.token[0] == '\0')
        complain(loading, line, "http.listen", "beyond this machine it needs http.token");
}

/* The files are tried; where in the settings a complaint belongs is the word it begins with. */
static void check_tls_files(struct loading *loading)
{
    struct tls_settings tls = settings_tls(loading->settings);
    struct error err;
    if (tls_check(&tls, &err) == 0)
        return;
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(err.text, ":"), err.text);
    complain(loading, line_of(loading, key), key, "%s", err.text + strlen(key) + 2);
}

static void check_tls(struct loading *loading)
{
    const struct settings *s = loading->settings;
    const struct {
        const char *key, *value;
    } needs_tls[] = {{"redis.tls_ca_file", s->redis.tls_ca_file},
                     {"redis.tls_cert_file", s->redis.tls_cert_file},
                     {"redis.tls_key_file", s->redis.tls_key_file},
                     {"redis.tls_server_name", s->redis.tls_server_name}};
    for (size_t i = 0; i < sizeof needs_tls / sizeof *needs_tls && !s->redis.tls_enabled; i++)
        if (needs_tls[i].value[0] != '\0')
            complain(loading, line_of(loading, needs_tls[i].key), needs_tls[i].key,
                     "does nothing without redis.tls: true");
    if (!s->redis.tls_enabled)
        return;
    if ((s->redis.tls_cert_file[0] != '\0') != (s->redis.tls_key_file[0] != '\0'))
        complain_of_two(loading, "redis.tls_cert_file", "redis.tls_key_file", "needs");
    else
        check_tls_files(loading);
    if (s->redis.address[0] == '/' && s->redis.tls_server_name[0] == '\0')
        complain(loading, line_of(loading, "redis.tls"), "redis.tls_server_name",
                 "is needed where redis.address is a socket's path");
}

static void check_redis(struct loading *loading)
{
    struct address address;
    struct error err;
    int line = line_of(loading, "redis.address");
    if (line > 0 && address_parse(&address, loading->settings->redis.address, &err) != 0)
        complain(loading, line, "redis.address", "%s", err.text);
    if (loading->settings->redis.prefix[0] == '\0')
        complain(loading, line_of(loading, "redis.prefix"), "redis.prefix", "must not be empty");
    if (loading->settings->redis.username[0] != '\0' &&
        loading->settings->redis.password[0] == '\0' && line_of(loading, "redis.password") == 0)
        complain(loading, line_of(loading, "redis.username"), "redis.username",
                 "needs redis.password as well");
    check_tls(loading);
}

static void check_state(struct loading *loading)
{
    if (loading->settings->state.dir[0] == '\0')
        complain(loading, line_of(loading, "state.dir"), "state.dir", "must not be empty");
}

/* What an arm's overrides can break. */
static void check_terms(struct loading *loading)
{
    check_w0(loading);
    check_explore(loading);
}

void settings_check(struct loading *loading)
{
    check_topics(loading);
    check_group(loading);
    check_follow(loading);
    check_state(loading);
    check_terms(loading);
    check_expiry(loading);
    check_experiment(loading);
    check_redis(loading);
    check_http(loading);
    for (uint32_t i = 0; i < loading->settings->arm_count; i++) {
        loading->arm = i + 1;
        loading->into = loading->settings->arms[i].settings;
        check_terms(loading);
    }
    loading->arm = 0;
    loading->into = loading->settings;
    settings_check_arms(loading);
}
