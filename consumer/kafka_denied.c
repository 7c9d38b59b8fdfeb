/* What may not be given under kafka:, for two kinds of reasons: the daemon's promises rest on it,
 * or it would run or load code, or reach for addresses, that are not the brokers. The names are
 * those of librdkafka 2.0's CONFIGURATION.md. */
#include "consumer/consumer.h"

#include <string.h>

#define REASON_OFFSETS "the state says where to start, and offsets are settled when it is durable"
#define REASON_DELIVERY "dead letters must arrive once each, and be reported"
#define REASON_LOG "the client's own log is silent; Freshet reports its errors"
#define REASON_CODE "it would load code into the daemon"
#define REASON_SHELL "its values go into a shell command that the client runs"
#define REASON_TOKENS "the client would fetch tokens from an address of its own, or make them up"

static const struct kafka_denied denied[] = {
    {"group.id", "it is consumer.group"},
    {"group.instance.id", "it is consumer.instance"},
    {"group.protocol.type", "Kafka consumers have one"},
    {"partition.assignment.strategy", "partitions move all at once, by range"},
    {"enable.auto.commit", REASON_OFFSETS},
    {"auto.commit.enable", REASON_OFFSETS},
    {"auto.commit.interval.ms", REASON_OFFSETS},
    {"enable.auto.offset.store", REASON_OFFSETS},
    {"auto.offset.reset", REASON_OFFSETS},
    {"offset.store.method", REASON_OFFSETS},
    {"offset.store.path", REASON_OFFSETS},
    {"offset.store.sync.interval.ms", REASON_OFFSETS},
    {"enable.partition.eof", "the lag is counted by it"},
    {"allow.auto.create.topics", "consumer.create_partitions decides"},
    {"enable.idempotence", REASON_DELIVERY},
    {"enable.gapless.guarantee", REASON_DELIVERY},
    {"transactional.id", REASON_DELIVERY},
    {"acks", REASON_DELIVERY},
    {"request.required.acks", REASON_DELIVERY},
    {"delivery.report.only.error", REASON_DELIVERY},
    {"enabled_events", "callbacks are ours"},
    {"log.queue", REASON_LOG},
    {"debug", REASON_LOG},
    {"plugin.library.paths", REASON_CODE},
    {"ssl.engine.location", REASON_CODE},
    {"ssl.engine.id", REASON_CODE},
    {"ssl.providers", REASON_CODE},
    {"sasl.kerberos.*", REASON_SHELL},
    {"sasl.oauthbearer.*", REASON_TOKENS},
    {"enable.sasl.oauthbearer.unsecure.jwt", REASON_TOKENS},
    {"internal.termination.signal", "signals are ours"},
    {"test.*", "it takes the place of the brokers"},
};

const struct kafka_denied *kafka_properties_denied(size_t *count)
{
    *count = sizeof denied / sizeof *denied;
    return denied;
}

/* A star stands for any end. */
static bool is_meant(const char *pattern, const char *name)
{
    size_t length = strcspn(pattern, "*");
    return strncmp(pattern, name, length) == 0 && (pattern[length] == '*' || name[length] == '\0');
}

/* GSSAPI runs a shell command, OAUTHBEARER fetches tokens. */
static bool is_mechanism(const char *value)
{
    static const char *const known[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], value) == 0)
            return true;
    return false;
}

const char *kafka_property_denied(const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
        if (is_meant(denied[i].name, name))
            return denied[i].reason;
    bool is_mechanisms =
        strcmp(name, "sasl.mechanism") == 0 || strcmp(name, "sasl.mechanisms") == 0;
    if (is_mechanisms && value != NULL && !is_mechanism(value))
        return "to anything but SCRAM-SHA-512, SCRAM-SHA-256 and PLAIN";
    return NULL;
}
