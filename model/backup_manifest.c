/* A backup's manifest, both ways. */
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/backup.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define MANIFEST "MANIFEST"
#define MANIFEST_BYTES_MAX (16u << 20) /* 1024 partitions and any number of generations kept */
#define HASH_LINE_BYTES 17             /* 16 hex digits and a newline */

static void hex(char text[17], uint64_t number)
{
    snprintf(text, 17, "%016" PRIx64, number);
}

/* -- writing ----------------------------------------------------------------------------------- */

static void write_live(struct json_writer *w, const struct backup *backup)
{
    char text[17];
    json_begin_array(w, "live");
    for (uint32_t i = 0; i < backup->live_count; i++) {
        hex(text, backup->live[i].key);
        json_begin_object(w, NULL);
        json_text(w, "series", text);
        json_int(w, "generation", (int64_t)backup->live[i].generation);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_offsets(struct json_writer *w, const struct backup *backup)
{
    json_begin_array(w, "offsets");
    for (size_t i = 0; i < backup->offset_count; i++) {
        json_begin_object(w, NULL);
        json_text(w, "topic", backup->offsets[i].topic);
        json_int(w, "partition", backup->offsets[i].partition);
        json_int(w, "next_offset", backup->offsets[i].next_offset);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_files(struct json_writer *w, const struct backup *backup)
{
    char text[17];
    json_begin_array(w, "files");
    for (size_t i = 0; i < backup->file_count; i++) {
        hex(text, backup->files[i].sum.hash);
        json_begin_object(w, NULL);
        json_text(w, "name", backup->files[i].name);
        json_int(w, "bytes", (int64_t)backup->files[i].sum.bytes);
        json_text(w, "hash", text);
        json_end_object(w);
    }
    json_end_array(w);
}

int backup_write_manifest(const struct backup *backup, const char *dir, struct error *err)
{
    char path[PATH_MAX], text[17];
    struct buffer out = {0};
    struct json_writer w = {.out = &out};
    json_begin_object(&w, NULL);
    json_int(&w, "backup", BACKUP_FORMAT);
    json_int(&w, "state_format", backup->state_format);
    json_int(&w, "made_ms", backup->made_ms);
    json_text(&w, "cluster", backup->cluster_id);
    json_int(&w, "partition_count", backup->partition_count);
    json_text(&w, "topic", backup->topic);
    json_text(&w, "items_topic", backup->items_topic);
    json_int(&w, "epoch", backup->epoch);
    write_live(&w, backup);
    write_offsets(&w, backup);
    write_files(&w, backup);
    json_end_object(&w);
    hex(text, hash_stable(out.data, out.length));
    buffer_printf(&out, "\n%s\n", text);
    snprintf(path, sizeof path, "%s/" MANIFEST, dir);
    int status = file_write(path, buffer_slice(&out), err);
    buffer_deinit(&out);
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static char *copy_of(const struct json *object, const char *key)
{
    struct slice text = json_get_string(object, key, SLICE(""));
    return mem_strndup(text.data, text.length);
}

static bool read_hex(const struct json *object, const char *key, uint64_t *number)
{
    struct slice text = json_get_string(object, key, SLICE(""));
    char copy[17], *end;
    if (text.length != 16)
        return false;
    memcpy(copy, text.data, 16);
    copy[16] = '\0';
    *number = strtoull(copy, &end, 16);
    return *end == '\0';
}

/* Names lead out of no directory, whoever wrote the manifest. */
static bool is_name(const char *name)
{
    if (strcmp(name, "data.mdb") == 0)
        return true;
    size_t length = strlen(name);
    return strncmp(name, "generations/", 12) == 0 && strstr(name, "..") == NULL && length < 80 &&
           strcmp(name + length - 4, ".gen") == 0;
}

static bool read_live(struct backup *backup, const struct json *list)
{
    if (json_count(list) > SERIES_MAX)
        return false;
    for (size_t i = 0; i < json_count(list); i++) {
        struct state_series *live = &backup->live[backup->live_count++];
        live->generation = (uint64_t)json_get_int(json_at(list, i), "generation", 0);
        if (!read_hex(json_at(list, i), "series", &live->key))
            return false;
    }
    return true;
}

static bool read_offsets(struct backup *backup, const struct json *list)
{
    backup->offsets = mem_zalloc(json_count(list) * sizeof *backup->offsets);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *entry = json_at(list, i);
        struct backup_offset *offset = &backup->offsets[backup->offset_count++];
        int64_t partition = json_get_int(entry, "partition", -1);
        offset->topic = copy_of(entry, "topic");
        offset->partition = (int32_t)partition;
        offset->next_offset = json_get_int(entry, "next_offset", INT64_MIN);
        if (partition < 0 || partition >= PARTITIONS_MAX || offset->topic[0] == '\0' ||
            strlen(offset->topic) > STATE_TOPIC_MAX)
            return false;
    }
    return true;
}

static bool read_files(struct backup *backup, const struct json *list)
{
    backup->files = mem_zalloc(json_count(list) * sizeof *backup->files);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *entry = json_at(list, i);
        struct backup_file *file = &backup->files[backup->file_count++];
        file->name = copy_of(entry, "name");
        file->sum.bytes = (uint64_t)json_get_int(entry, "bytes", 0);
        if (!is_name(file->name) || !read_hex(entry, "hash", &file->sum.hash))
            return false;
    }
    return backup->file_count > 0 && strcmp(backup->files[0].name, "data.mdb") == 0;
}

static int check_formats(const struct json *root, struct error *err)
{
    int64_t format = json_get_int(root, "backup", 0);
    int64_t state_format = json_get_int(root, "state_format", 0);
    if (format < 1 || state_format < 1)
        return error_set(err, ERR_DATA, "not the manifest of a backup");
    if (format > BACKUP_FORMAT)
        return error_set(err, ERR_SETTINGS,
                         "a backup of format %lld, and this freshet knows %d: restore it with the "
                         "newer freshet that made it",
                         (long long)format, BACKUP_FORMAT);
    if (state_format > STATE_FORMAT)
        return error_set(
            err, ERR_SETTINGS,
            "its state has format %lld, and this freshet knows %d: restore it with the "
            "newer freshet that made it",
            (long long)state_format, STATE_FORMAT);
    return 0;
}

static int read_root(struct backup *backup, const struct json *root, struct error *err)
{
    int status = check_formats(root, err);
    if (status != 0)
        return status;
    backup->state_format = (uint32_t)json_get_int(root, "state_format", 0);
    backup->made_ms = json_get_int(root, "made_ms", 0);
    backup->cluster_id = copy_of(root, "cluster");
    backup->partition_count = (int)json_get_int(root, "partition_count", 0);
    backup->topic = copy_of(root, "topic");
    backup->items_topic = copy_of(root, "items_topic");
    backup->epoch = (uint32_t)json_get_int(root, "epoch", 0);
    if (!read_live(backup, json_get(root, "live")) ||
        !read_offsets(backup, json_get(root, "offsets")) ||
        !read_files(backup, json_get(root, "files")))
        return error_set(err, ERR_DATA, "something is missing or out of range");
    return 0;
}

/* The JSON, if what follows it says that it is whole. */
static bool cut_hash(const char *text, size_t length, struct slice *json)
{
    char want[17];
    if (length <= HASH_LINE_BYTES + 1 || text[length - HASH_LINE_BYTES - 1] != '\n')
        return false;
    *json = (struct slice){text, (uint32_t)(length - HASH_LINE_BYTES - 1)};
    hex(want, hash_stable(json->data, json->length));
    return memcmp(text + length - HASH_LINE_BYTES, want, 16) == 0;
}

static int parse(struct backup *backup, const char *text, size_t length, struct error *err)
{
    struct slice whole;
    if (!cut_hash(text, length, &whole))
        return error_set(err, ERR_DATA, "damaged: its checksum does not fit: use another backup");
    struct json *root = json_parse(whole, err);
    if (root == NULL)
        return ERR_DATA;
    int status = read_root(backup, root, err);
    json_free(root);
    return status;
}

int backup_read(struct backup **backup, const char *dir, struct error *err)
{
    char path[PATH_MAX], *text;
    size_t length;
    snprintf(path, sizeof path, "%s/" MANIFEST, dir);
    if (!file_exists(path))
        return error_set(err, ERR_DATA, "%s is no backup: there is no " MANIFEST " in it", dir);
    int status = file_read(&text, &length, path, MANIFEST_BYTES_MAX, err);
    if (status != 0)
        return status;
    struct backup *read = mem_zalloc(sizeof *read);
    status = parse(read, text, length, err);
    free(text);
    if (status == 0) {
        *backup = read;
        return 0;
    }
    backup_free(read);
    return error_wrap(err, "%s", path);
}

/* -- life -------------------------------------------------------------------------------------- */

uint64_t backup_bytes(const struct backup *backup)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < backup->file_count; i++)
        bytes += backup->files[i].sum.bytes;
    return bytes;
}

void backup_free(struct backup *backup)
{
    if (backup == NULL)
        return;
    for (size_t i = 0; i < backup->offset_count; i++)
        free(backup->offsets[i].topic);
    for (size_t i = 0; i < backup->file_count; i++)
        free(backup->files[i].name);
    for (size_t i = 0; i < backup->left_out_count; i++)
        free(backup->left_out[i]);
    free(backup->left_out);
    free(backup->offsets);
    free(backup->files);
    free(backup->cluster_id);
    free(backup->topic);
    free(backup->items_topic);
    free(backup);
}
