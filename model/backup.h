/* Backups: a consistent copy of a state, and of the generation files that go with it.
 *
 *   DIR/data.mdb                 the state, as of one commit, without free pages
 *   DIR/generations/...          every whole generation file of its series, named as in state.dir
 *   DIR/MANIFEST                 one JSON object, a newline, hash_stable of it as 16 hex digits, a
 *                                newline:
 *     {"backup":1,"state_format":3,"made_ms","cluster","partition_count","topic","items_topic",
 *      "epoch","live":[{"series":"16 hex digits","generation"}],
 *      "offsets":[{"topic","partition","next_offset"}],
 *      "files":[{"name","bytes","hash":"16 hex digits"}]}
 *
 * Made while a daemon writes the state: nobody waits for it. It is written to DIR.partial, synced,
 * and renamed, so that a DIR is a whole backup. Pages freed in the state while data.mdb is copied
 * can not be used again until that is done: the state's file may grow by what is committed
 * meanwhile. Blocking calls of a process that does not have the state open; not for the loop. */
#ifndef FRESHET_MODEL_BACKUP_H
#define FRESHET_MODEL_BACKUP_H

#include "base/file.h"
#include "model/history.h"

#define BACKUP_FORMAT 1

struct backup_file {
    char *name; /* in the backup's directory, and in state.dir */
    struct file_sum sum;
};

struct backup_offset {
    char *topic;
    int32_t partition;
    int64_t next_offset;
};

struct backup { /* what its manifest says; all owned */
    uint32_t state_format;
    int64_t made_ms;
    char *cluster_id, *topic, *items_topic;
    int partition_count; /* 0: the state never saw the log */
    uint32_t epoch;
    struct state_series live[SERIES_MAX]; /* [live_count] key and generation; 0: none */
    uint32_t live_count;
    struct backup_offset *offsets; /* [offset_count] */
    size_t offset_count;
    struct backup_file *files; /* [file_count], data.mdb first */
    size_t file_count;
    char **left_out; /* [left_out_count] damaged generation files that are not in it, and why */
    size_t left_out_count;
};

uint64_t backup_bytes(const struct backup *backup); /* of all files */
void backup_free(struct backup *backup);            /* NULL is allowed */

/* How far it is. */
typedef void (*backup_progress_cb)(const char *stage, uint64_t bytes, uint64_t of, void *arg);

struct backup_settings {
    struct state_settings state;
    struct slice topic, items_topic; /* for the manifest */
};

/* ERR_SETTINGS if `dir` is there already, or another backup is being written to it. */
int backup_write(struct backup **made, const struct backup_settings *settings, const char *dir,
                 backup_progress_cb progress, void *arg, struct error *err);

/* The manifest alone. ERR_DATA if it is none, is damaged, or of a newer format. */
int backup_read(struct backup **backup, const char *dir, struct error *err);

/* Reads every file in full; ERR_DATA names the first that is not what the manifest says. */
int backup_check(const struct backup *backup, const char *dir, backup_progress_cb progress,
                 void *arg, struct error *err);

/* The same, copying them to `aside`, which is empty. */
int backup_copy(const struct backup *backup, const char *dir, const char *aside,
                backup_progress_cb progress, void *arg, struct error *err);

/* For backup_write. */
int backup_write_manifest(const struct backup *backup, const char *dir, struct error *err);

#endif
