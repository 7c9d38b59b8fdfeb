/* What the files of the line share: line.c moves batches, line_send.c is its send station. */
#ifndef FRESHET_DAEMON_LINE_INTERNAL_H
#define FRESHET_DAEMON_LINE_INTERNAL_H

#include "daemon/line.h"
#include "daemon/standstill.h"

struct line {
    uv_loop_t *loop;
    struct line_settings settings;
    struct consumer *consumer;
    struct history *history;
    struct scorers *scorers;
    struct publisher *publisher;
    struct watch *watch;
    struct line_arm arms[ARMS_MAX];
    struct budget budgets[ARMS_MAX];
    void (*spilled)(void *arg);
    void *arg;

    struct batch batch;
    struct waiting *waiting;
    struct slate slates[2];           /* one in the score station, one in the send station */
    struct slate *at_score, *at_send; /* NULL: the station is empty */
    bool scored;                      /* at_score is finished and waits for the send station */
    uv_work_t score_work;
    uv_mutex_t reading; /* held by a worker that reads history and scorers */
    uv_idle_t turn;
    struct settling *settling;
    bool stop_learning, stop;
    struct standstill still; /* who changes what scoring reads */
    void (*stopped)(void *arg);
    void *stopped_arg;
    bool spill;
    int64_t replay_to[PARTITIONS_MAX]; /* by partition: see line_send.c; 0: there is nothing */
    bool replays;                      /* one of them is something */
    int64_t popular_ms;                /* when the popular list was last scored */
    bool popular_stale, popular_ours;
    struct line_figures figures;
    int64_t dead_told_ms;
    void (*freed)(void *arg);
    void *freed_arg;
};

/* The slate that is scored goes on to the send station, which is empty. */
void line_send_slate(struct line *line);

/* Something was learned: whose lists were refused for a longer prefix, if it is as long now, are
 * looked for when nobody waits. */
void line_look_at_replay(struct line *line);

/* Redis went away while that slate waited: its users are owed. */
void line_give_up_slate(struct line *line);

#endif
