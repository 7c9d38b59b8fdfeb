#include "daemon/judging.h"
#include "base/clock.h"
#include "base/mem.h"
#include "consumer/recording.h"
#include "model/blas.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TELL_NS 10000000000
#define SHUFFLED false /* here not: the stream does it */

static volatile sig_atomic_t stopped; /* the signal that asked to stop */

static void stop(int signal)
{
    stopped = signal;
}

/* No SA_RESTART: waiting for a training ends, too. The second signal does what it always did. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error of the next write */
}

int judging_printed(struct error *err)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return error_set(err, ERR_IO, "the result cannot be written");
    return 0;
}

/* -- reading ----------------------------------------------------------------------------------- */

static int type_of(struct settings *settings, struct slice name, uint16_t *type, struct error *err)
{
    for (uint32_t i = 0; i < settings->events.type_count; i++)
        if (slice_equal(slice_of(settings->events.names[i]), name)) {
            *type = (uint16_t)i;
            return 0;
        }
    if (settings->events.default_type >= 0) {
        *type = (uint16_t)settings->events.default_type;
        return 0;
    }
    uint32_t next = settings->events.type_count;
    if (next == EVENT_TYPES_MAX)
        return error_set(err, ERR_DATA, "more than %d event types", EVENT_TYPES_MAX);
    settings->events.names[next] = mem_strndup(name.data, name.length);
    settings->events.weights[next] = (struct type_weight){.weight = 1, .cap = 1, .hides = true};
    settings->events.counts[next] = true;
    settings->events.type_count++;
    *type = (uint16_t)next;
    return 0;
}

static int read_events(struct judging *judging, struct recording *recording, struct error *err)
{
    struct recorded_event event;
    int got;
    while ((got = recording_next(recording, &event, err)) == 1) {
        uint16_t type = 0;
        if (event.item.length == 0) /* a retraction or a forgetting: nothing to judge by */
            continue;
        if (stopped)
            return error_set(err, ERR_DOWN, "interrupted");
        if (type_of(judging->settings, event.type, &type, err) != 0)
            return err->code;
        stream_add(&judging->stream, event.ts_ms, event.user, event.item, type, event.value);
    }
    return got;
}

static int read_recording(struct judging *judging, const char *path, uint64_t seed,
                          struct error *err)
{
    struct recording *recording;
    if (recording_open(&recording, path, SHUFFLED, 0, err) != 0)
        return err->code;
    int failed = read_events(judging, recording, err);
    recording_close(recording);
    if (failed)
        return failed;
    if (judging->stream.count == 0)
        return error_set(err, ERR_DATA, "%s: no events", path);
    stream_arrange(&judging->stream, seed);
    return 0;
}

int judging_open(struct judging *judging, const char *config, const char *recording, uint64_t seed,
                 int64_t threads, struct error *err)
{
    *judging = (struct judging){.told_ns = clock_monotonic_ns()};
    int failed = config != NULL ? command_settings(config, &judging->settings, err)
                                : settings_load(&judging->settings, NULL, NULL, err);
    if (failed)
        return err->code;
    catch_signals();
    blas_init();
    if (read_recording(judging, recording, seed, err) != 0) {
        judging_close(judging);
        return err->code;
    }
    settings_history(judging->settings, &judging->stage.history);
    settings_train(judging->settings, &judging->stage.train);
    settings_scorer(judging->settings, &judging->scorer);
    judging->stage.threads = (size_t)threads;
    judging->stage.train.als.threads = (int)threads;
    judging->stage.train.als.pace = (struct pace){.duty = 1}; /* no stream to leave room for */
    judging->stage.generations_keep = (size_t)judging->settings->train.keep;
    judging->stage.stop = &stopped;
    progress_begin(&judging->progress);
    return 0;
}

int64_t judging_threads(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? count : 1;
}

void judging_close(struct judging *judging)
{
    progress_end(&judging->progress);
    stream_deinit(&judging->stream);
    settings_free(judging->settings);
    judging->settings = NULL;
}

/* -- saying ------------------------------------------------------------------------------------ */

static void format_left(char *text, size_t size, const struct judging *judging, double share)
{
    double seconds = (double)(clock_monotonic_ns() - judging->progress.began_ns) * 1e-9;
    double left = share > 0 ? seconds * (1 - share) / share : 0;
    if (share < 0.01 && seconds < 10)
        snprintf(text, size, "%s", "");
    else if (left < 90)
        snprintf(text, size, ", %.0f s left", left);
    else
        snprintf(text, size, ", %.0f min left", left / 60);
}

/* With a deadline the time that has gone says more than the work that is done. */
static double share_of_time(const struct judging *judging, int64_t now_ns, double share)
{
    int64_t began_ns = judging->progress.began_ns;
    if (judging->deadline_ns <= began_ns)
        return share;
    double gone = (double)(now_ns - began_ns) / (double)(judging->deadline_ns - began_ns);
    return fmin(fmax(gone, share), 1);
}

void judging_show(struct judging *judging, double share, const char *text)
{
    char left[32], line[256];
    int64_t now_ns = clock_monotonic_ns();
    share = share_of_time(judging, now_ns, share);
    if (!judging->progress.terminal && now_ns - judging->told_ns < TELL_NS)
        return;
    format_left(left, sizeof left, judging, share);
    snprintf(line, sizeof line, "%s%s", text, left);
    progress_draw(&judging->progress, share, line);
    if (judging->progress.terminal)
        return;
    judging->told_ns = now_ns;
    fprintf(stderr, "%3.0f%% %s\n", share * 100, line);
}

int judging_fail(const struct error *err)
{
    if (!stopped)
        return command_fail(err);
    fprintf(stderr, "freshet: interrupted\n");
    return 128 + stopped;
}
