#include "base/mem.h"
#include "consumer/broker.h"
#include "daemon/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPICS_MAX 64

/* Splits "a,b" in place. */
static int split_topics(char *text, const char **topics, struct error *err)
{
    size_t count = 0;
    for (char *rest = text, *topic; (topic = strsep(&rest, ",")) != NULL;) {
        if (count == TOPICS_MAX)
            return error_set(err, ERR_USAGE, "--topics: more than %d", TOPICS_MAX);
        if (*topic != '\0')
            topics[count++] = topic;
    }
    topics[count] = NULL;
    return 0;
}

static int serve(const char *const *topics, int partitions, struct error *err)
{
    sigset_t ends; /* blocked before librdkafka starts threads, so that only sigwait sees them */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);

    struct broker *broker;
    if (broker_open(&broker, topics, partitions, err) != 0)
        return err->code;
    printf("%s\n", broker_bootstrap(broker));
    fflush(stdout);
    int signal_number;
    sigwait(&ends, &signal_number);
    broker_close(broker);
    return 0;
}

int cmd_broker(int argc, char **argv)
{
    const char *topics_text = "events,items,events.dead", *partitions_text = "3";
    const struct option_row rows[] = {
        {"topics", "A,B,...", "topics to create (events,items,events.dead)", &topics_text},
        {"partitions", "N", "partitions of each (3)", &partitions_text},
        {0},
    };
    const struct command_line line = {
        .synopsis = "broker [options]",
        .summary =
            "Runs an embedded Kafka broker on 127.0.0.1 until SIGTERM and prints its address.\n"
            "It keeps a few megabytes in memory: for trying things, never for data that matters.",
        .rows = rows,
    };
    struct error err = {0};
    bool help;
    int64_t partitions;
    if (command_parse(&line, argc, argv, &help, &err) != 0)
        return command_fail(&err);
    if (help)
        return 0;
    if (command_number("partitions", partitions_text, 1, 128, &partitions, &err) != 0)
        return command_fail(&err);

    const char *topics[TOPICS_MAX + 1];
    char *copy = mem_strdup(topics_text);
    int status = split_topics(copy, topics, &err);
    if (status == 0)
        status = serve(topics, (int)partitions, &err);
    free(copy);
    return status == 0 ? 0 : command_fail(&err);
}
