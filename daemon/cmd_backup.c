/* `freshet backup` and `freshet restore`. */
#include "base/clock.h"
#include "base/mem.h"
#include "consumer/log_look.h"
#include "daemon/command.h"
#include "daemon/control.h"
#include "daemon/progress.h"
#include "model/anew.h"
#include "model/backup.h"
#include "model/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT_MS 60000
#define LOOK_MS 30000 /* for Kafka to answer */

static void draw(const char *stage, uint64_t bytes, uint64_t of, void *arg)
{
    progress_draw(arg, of > 0 ? (double)bytes / (double)of : 0, stage);
}

/* "DIR/" is DIR. */
static char *without_slashes(const char *dir)
{
    size_t length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/')
        length--;
    return mem_strndup(dir, length);
}

static void print_offsets(const struct backup *backup)
{
    for (size_t i = 0; i < backup->offset_count; i++)
        printf("%s partition %d: up to offset %" PRId64 "\n", backup->offsets[i].topic,
               (int)backup->offsets[i].partition, backup->offsets[i].next_offset);
    for (uint32_t i = 0; i < backup->live_count; i++)
        if (backup->live[i].generation != 0)
            printf("generation %" PRIu64 " of series %016" PRIx64 " is live\n",
                   backup->live[i].generation, backup->live[i].key);
}

/* -- backup ------------------------------------------------------------------------------------ */

static int make_backup(const struct settings *settings, const char *dir, struct error *err)
{
    if (dir[0] == '\0')
        return error_set(err, ERR_USAGE, "the backup's DIR is empty");
    struct history_settings history;
    struct backup *backup;
    struct progress progress;
    settings_history(settings, &history);
    struct backup_settings wanted = {history.state, history.topic, history.items_topic};
    int status = control_make_durable(settings->state.dir, COMMIT_MS, err);
    if (status != 0)
        return status;
    int64_t began_ns = clock_monotonic_ns();
    progress_begin(&progress);
    status = backup_write(&backup, &wanted, dir, draw, &progress, err);
    progress_end(&progress);
    if (status != 0)
        return status;
    print_offsets(backup);
    for (size_t i = 0; i < backup->left_out_count; i++)
        printf("left out: %s\n", backup->left_out[i]);
    printf("%s: %zu files, %.1f MB, in %.1f s\n", dir, backup->file_count,
           (double)backup_bytes(backup) * 1e-6, (double)(clock_monotonic_ns() - began_ns) * 1e-9);
    backup_free(backup);
    return 0;
}

int cmd_backup(int argc, char **argv)
{
    const char *config = NULL, *dir = NULL;
    const struct option_row rows[] = {{"config", "FILE", "the settings", &config}, {0}};
    const struct command_line line = {
        .synopsis = "backup DIR --config FILE",
        .summary =
            "Copies the state and its generation files to DIR, which must not be there yet. A\n"
            "running daemon goes on meanwhile; the copy is as of one commit, and checked by\n"
            "checksums when it is restored.",
        .rows = rows,
        .positional = &dir,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    struct settings *settings;
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if (command_settings(config, &settings, &err) != 0)
        return command_fail(&err);
    char *path = without_slashes(dir);
    status = make_backup(settings, path, &err);
    free(path);
    settings_free(settings);
    return status == 0 ? 0 : command_fail(&err);
}

/* -- restore: does it fit? --------------------------------------------------------------------- */

struct restoring {
    const struct settings *settings;
    const char *dir;
    struct backup *backup;
    struct log_look look; /* unless offline */
    bool force, accept_gap, offline;
    struct anew_offset *moved; /* [moved_count] where the log begins later */
    size_t moved_count;
    struct progress progress;
};

static int check_topics(const struct restoring *r, struct error *err)
{
    const struct settings *s = r->settings;
    if (strcmp(r->backup->topic, s->consumer.topic) != 0 ||
        strcmp(r->backup->items_topic, s->consumer.items_topic) != 0)
        return error_set(err, ERR_SETTINGS,
                         "the backup is of the topics %s and %s, and consumer.topic and "
                         "consumer.items_topic are %s and %s: use the settings it was made with",
                         r->backup->topic, r->backup->items_topic, s->consumer.topic,
                         s->consumer.items_topic);
    return 0;
}

static int check_cluster(const struct restoring *r, struct error *err)
{
    const struct backup *backup = r->backup;
    if (backup->partition_count == 0)
        return 0;
    if (strcmp(backup->cluster_id, r->look.cluster_id) != 0)
        return error_set(
            err, ERR_SETTINGS,
            "the backup belongs to Kafka cluster %s, and kafka.bootstrap.servers leads "
            "to %s, where its offsets mean nothing: use the right brokers, or begin "
            "anew with `freshet reset`",
            backup->cluster_id, r->look.cluster_id);
    if (backup->partition_count != r->look.events.partitions)
        return error_set(
            err, ERR_SETTINGS,
            "the backup was made with %d partitions of %s, now there are %d, and users "
            "are on others than before: begin anew with `freshet reset`",
            backup->partition_count, backup->topic, r->look.events.partitions);
    return 0;
}

/* NULL: the topic has no such partition any more. */
static const struct log_ends *ends_of(const struct restoring *r, const struct backup_offset *offset)
{
    const struct log_topic *topic =
        strcmp(offset->topic, r->backup->topic) == 0 ? &r->look.events : &r->look.items;
    return offset->partition < topic->partitions ? &topic->ends[offset->partition] : NULL;
}

/* The log no longer reaches back: what lies between is lost to this backup. */
static int accept_gap(struct restoring *r, const struct backup_offset *offset, int64_t low,
                      struct error *err)
{
    if (!r->accept_gap)
        return error_set(err, ERR_SETTINGS,
                         "partition %d of %s: the backup ends at offset %" PRId64
                         " and the log begins at %" PRId64 " now: %" PRId64
                         " records between are gone. Restore a newer backup; or this one without "
                         "them (--accept-gap); or begin anew with `freshet reset`",
                         (int)offset->partition, offset->topic, offset->next_offset, low,
                         low - offset->next_offset);
    printf("%s partition %d: %" PRId64 " records are left out, from offset %" PRId64 "\n",
           offset->topic, (int)offset->partition, low - offset->next_offset, offset->next_offset);
    r->moved = mem_array(r->moved, r->moved_count + 1, sizeof *r->moved);
    r->moved[r->moved_count++] =
        (struct anew_offset){slice_of(offset->topic), offset->partition, low};
    return 0;
}

static int check_offset(struct restoring *r, const struct backup_offset *offset, struct error *err)
{
    const struct log_ends *ends = ends_of(r, offset);
    if (ends == NULL)
        return error_set(err, ERR_SETTINGS,
                         "the backup knows partition %d of %s, which is not there any more: begin "
                         "anew with `freshet reset`",
                         (int)offset->partition, offset->topic);
    if (offset->next_offset < ends->low)
        return accept_gap(r, offset, ends->low, err);
    if (offset->next_offset > ends->high)
        return error_set(err, ERR_SETTINGS,
                         "partition %d of %s: the backup ends at offset %" PRId64
                         " and the log at %" PRId64 ": the topic was cut or made anew; restore a "
                         "backup that fits, or begin anew with `freshet reset`",
                         (int)offset->partition, offset->topic, offset->next_offset, ends->high);
    return 0;
}

static int check_log(struct restoring *r, struct error *err)
{
    struct consumer_settings consumer;
    if (r->offline)
        return 0;
    settings_consumer(r->settings, &consumer);
    consumer.create_partitions = 0; /* a topic made now would not be the backup's */
    int status = log_look(&r->look, &consumer, LOOK_MS, err);
    if (status == ERR_DOWN)
        return error_wrap(err, "the backup cannot be held against the log (--offline leaves that "
                               "to the daemon)");
    if (status == 0)
        status = check_cluster(r, err);
    for (size_t i = 0; i < r->backup->offset_count && status == 0; i++)
        status = check_offset(r, &r->backup->offsets[i], err);
    return status;
}

/* -- restore: putting it in place -------------------------------------------------------------- */

static int check_empty(const struct restoring *r, struct error *err)
{
    char data[4096];
    snprintf(data, sizeof data, "%s/data.mdb", r->settings->state.dir);
    if (r->force || !file_exists(data))
        return 0;
    return error_set(err, ERR_SETTINGS,
                     "there is a state in %s already: --force replaces it, and its generation "
                     "files, by the backup's",
                     r->settings->state.dir);
}

static int replace(struct restoring *r, struct place *place, struct error *err)
{
    struct history_settings history;
    settings_history(r->settings, &history);
    struct anew anew = {true, r->moved, r->moved_count};
    struct state_settings aside = history.state;
    aside.dir = place_aside(place);
    int status = backup_copy(r->backup, r->dir, aside.dir, draw, &r->progress, err);
    if (status == 0)
        status = anew_begin(&aside, &anew, err);
    return status == 0 ? place_finish(place, err) : status;
}

static int restore(struct restoring *r, struct error *err)
{
    struct place *place;
    int status = backup_read(&r->backup, r->dir, err);
    if (status == 0)
        status = check_topics(r, err);
    if (status == 0)
        status = check_log(r, err);
    if (status == 0)
        status = backup_check(r->backup, r->dir, draw, &r->progress, err);
    if (status == 0)
        status = place_begin(&place, r->settings->state.dir, err);
    if (status != 0)
        return status;
    status = check_empty(r, err);
    if (status == 0)
        status = replace(r, place, err);
    place_end(place);
    return status;
}

static int restore_and_tell(struct restoring *r, struct error *err)
{
    progress_begin(&r->progress);
    int status = restore(r, err);
    progress_end(&r->progress);
    if (status == 0) {
        print_offsets(r->backup);
        printf("%s has the state of %s; the daemon reads the log from there, and publishes once it "
               "has caught up\n",
               r->settings->state.dir, r->dir);
    }
    backup_free(r->backup);
    log_look_deinit(&r->look);
    free(r->moved);
    return status;
}

int cmd_restore(int argc, char **argv)
{
    const char *config = NULL, *dir = NULL, *force = NULL, *gap = NULL, *offline = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"force", NULL, "replace the state that is there", &force},
        {"accept-gap", NULL, "go on from where the log begins, without what it lost", &gap},
        {"offline", NULL, "do not ask Kafka whether the backup fits", &offline},
        {0},
    };
    const struct command_line line = {
        .synopsis = "restore DIR --config FILE [--force] [--accept-gap] [--offline]",
        .summary = "Puts a backup in the place of the state. Everything is checked first, also "
                   "against the\nlog; no daemon may be running on it.",
        .rows = rows,
        .positional = &dir,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    struct settings *settings;
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if (command_settings(config, &settings, &err) != 0)
        return command_fail(&err);
    char *path = without_slashes(dir);
    struct restoring restoring = {.settings = settings,
                                  .dir = path,
                                  .force = force != NULL,
                                  .accept_gap = gap != NULL,
                                  .offline = offline != NULL};
    status = restore_and_tell(&restoring, &err);
    free(path);
    settings_free(settings);
    return status == 0 ? 0 : command_fail(&err);
}
