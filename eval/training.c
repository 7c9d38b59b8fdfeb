#include "eval/training.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 200

struct account { /* what the child says through the pipe: one write, shorter than PIPE_BUF */
    uint64_t number;
    struct error err;
};

/* The child. Ends without atexit: nothing of the parent's is its to put away. */
static _Noreturn void train(const struct train_settings *settings, int out)
{
    struct account outcome = {0};
    struct generation *generation = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (train_run(settings, NULL, NULL, &generation, &outcome.err) == 0) {
        outcome.number = generation->number;
        outcome.err.code = 0;
    }
    ssize_t written = write(out, &outcome, sizeof outcome);
    _exit(written == (ssize_t)sizeof outcome ? 0 : 1);
}

static bool asked_to_stop(const volatile sig_atomic_t *stop)
{
    return stop != NULL && *stop != 0;
}

/* True if the child said all of it. */
static bool read_outcome(int in, struct account *outcome, const volatile sig_atomic_t *stop)
{
    struct pollfd ready = {.fd = in, .events = POLLIN};
    while (poll(&ready, 1, LOOK_MS) <= 0) /* a signal may come just before it */
        if (asked_to_stop(stop))
            return false;
    return read(in, outcome, sizeof *outcome) == (ssize_t)sizeof *outcome;
}

static void end(pid_t child, bool now)
{
    if (now)
        kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

int training_run(const struct train_settings *settings, const volatile sig_atomic_t *stop,
                 uint64_t *number, struct error *err)
{
    struct account outcome;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(err, ERR_DOWN, "no pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return error_set(err, ERR_DOWN, "no process to train in: %s", strerror(errno));
    }
    if (child == 0)
        train(settings, ends[1]);
    close(ends[1]);
    bool said = read_outcome(ends[0], &outcome, stop);
    close(ends[0]);
    end(child, !said);
    *number = 0;
    if (asked_to_stop(stop))
        return error_set(err, ERR_DOWN, "interrupted");
    if (!said)
        return error_set(err, ERR_DOWN, "training ended before its time");
    if (outcome.err.code == ERR_DATA) /* too few interactions: the daemon, too, tries again later */
        return 0;
    if (outcome.err.code != 0)
        return error_set(err, outcome.err.code, "train: %s", outcome.err.text);
    *number = outcome.number;
    return 0;
}
