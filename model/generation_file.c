/* Generations to and from the bytes of a file. */
#include "base/buffer.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "consumer/event.h"
#include "model/als.h"
#include "model/generation.h"
#include "model/generation_manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "FRESHGEN"
#define VERSION 1
#define BYTE_ORDER_MARK 0x01020304u
#define MANIFEST_BYTES_MAX (1u << 20)

struct file_header {
    char magic[8];
    uint32_t version, byte_order;
    uint64_t checksum; /* of all that follows */
    uint64_t file_bytes, items;
    uint32_t rank, stride;
    uint64_t manifest_at, manifest_bytes, ids_at, factors_at;
};

#define CHECKED_FROM 24
_Static_assert(sizeof(struct file_header) == 80, "the header has no holes");

/* What is wrong with the ids and factors of a generation, or NULL. */
static const char *complaint_of(const struct generation *generation)
{
    size_t rank = (size_t)generation->hyper.rank;
    for (size_t i = 0; i < generation->items; i++) {
        struct slice id = generation->ids[i];
        const float *row = generation->Y + i * generation->stride;
        if (id.length == 0 || id.length > ID_BYTES_MAX)
            return "an item id is empty or too long";
        if (i > 0 && slice_compare(generation->ids[i - 1], id) >= 0)
            return "item ids are not in byte order";
        for (size_t k = 0; k < rank; k++)
            if (!isfinite(row[k]))
                return "a factor is not a finite number";
        for (size_t k = rank; k < generation->stride; k++)
            if (row[k] != 0)
                return "a factor beyond the rank is not zero";
    }
    return NULL;
}

static size_t ids_bytes(const struct generation *generation)
{
    size_t bytes = (generation->items + 1) * sizeof(uint32_t);
    for (size_t i = 0; i < generation->items; i++)
        bytes += generation->ids[i].length;
    return bytes;
}

static void write_ids(char *to, const struct generation *generation)
{
    uint32_t begin = 0;
    char *text = to + (generation->items + 1) * sizeof begin;
    for (size_t i = 0; i < generation->items; i++) {
        memcpy(to + i * sizeof begin, &begin, sizeof begin);
        memcpy(text + begin, generation->ids[i].data, generation->ids[i].length);
        begin += generation->ids[i].length;
    }
    memcpy(to + generation->items * sizeof begin, &begin, sizeof begin);
}

/* The whole file in memory (the checksum is of one run of bytes). */
static char *image_of(const struct generation *generation, size_t *bytes, struct error *err)
{
    struct buffer manifest = {0};
    manifest_write(&manifest, generation);
    size_t factor_bytes = generation->items * generation->stride * sizeof(float);
    struct file_header header = {.magic = MAGIC, .version = VERSION, .byte_order = BYTE_ORDER_MARK};
    header.items = generation->items;
    header.rank = (uint32_t)generation->hyper.rank;
    header.stride = (uint32_t)generation->stride;
    header.manifest_at = sizeof header;
    header.manifest_bytes = manifest.length;
    header.ids_at = (header.manifest_at + manifest.length + 7) / 8 * 8;
    header.factors_at = (header.ids_at + ids_bytes(generation) + 63) / 64 * 64;
    header.file_bytes = header.factors_at + factor_bytes;

    char *image = mem_try(header.file_bytes, 1);
    if (image == NULL) {
        error_set(err, ERR_DOWN, "no memory for a file of %zu bytes", (size_t)header.file_bytes);
    } else {
        memcpy(image + header.manifest_at, manifest.data, manifest.length);
        write_ids(image + header.ids_at, generation);
        memcpy(image + header.factors_at, generation->Y, factor_bytes);
        memcpy(image, &header, sizeof header);
        header.checksum = hash_stable(image + CHECKED_FROM, header.file_bytes - CHECKED_FROM);
        memcpy(image, &header, sizeof header);
        *bytes = header.file_bytes;
    }
    buffer_deinit(&manifest);
    return image;
}

/* As a full disk says it. */
static int no_space(void)
{
    errno = ENOSPC;
    return -1;
}

static int write_and_sync(int fd, const char *bytes, size_t count)
{
    if (file_write_all(fd, bytes, count / 2) != 0)
        return -1;
    if (FAILPOINT_FAILS("train.write"))
        return no_space();
    if (file_write_all(fd, bytes + count / 2, count - count / 2) != 0)
        return -1;
    return FAILPOINT_FAILS("train.sync") ? no_space() : fsync(fd);
}

/* A rename is durable when its directory is. */
static int sync_directory(const char *path)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    return file_sync_dir(dir, NULL) == 0 ? 0 : -1;
}

static int move_into_place(const char *aside, const char *path)
{
    if (FAILPOINT_FAILS("train.rename"))
        return no_space();
    if (rename(aside, path) != 0)
        return -1;
    return FAILPOINT_FAILS("train.renamed") ? no_space() : sync_directory(path);
}

/* Written aside and renamed: a reader sees the whole file or none. */
static int write_file(const char *path, const char *bytes, size_t count, struct error *err)
{
    char aside[4096];
    snprintf(aside, sizeof aside, "%s.tmp", path);
    int fd = FAILPOINT_FAILS("train.open")
                 ? no_space()
                 : open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(err, ERR_IO, "%s: %s", aside, strerror(errno));
    int failed = write_and_sync(fd, bytes, count);
    int reason = errno;
    if (close(fd) != 0 && !failed) {
        failed = -1;
        reason = errno;
    }
    if (!failed && move_into_place(aside, path) != 0) {
        failed = -1;
        reason = errno;
    }
    if (failed) {
        unlink(aside);
        return error_set(err, ERR_IO, "%s: %s", path, strerror(reason));
    }
    return 0;
}

int generation_write(const struct generation *generation, const char *path, struct error *err)
{
    const char *complaint = complaint_of(generation);
    if (complaint != NULL)
        return error_set(err, ERR_DATA, "%s: %s", path, complaint);
    size_t bytes = 0;
    char *image = image_of(generation, &bytes, err);
    if (image == NULL)
        return ERR_DOWN;
    int failed = write_file(path, image, bytes, err);
    free(image);
    return failed;
}

static char *read_file(const char *path, size_t *bytes, struct error *err)
{
    struct stat about;
    char *image = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) {
        error_set(err, ERR_IO, "%s", strerror(errno));
    } else if (!S_ISREG(about.st_mode) || (image = mem_try((size_t)about.st_size, 1)) == NULL) {
        error_set(err, ERR_IO, "not a file that fits in memory");
    } else {
        *bytes = 0;
        while (*bytes < (size_t)about.st_size) {
            ssize_t got = read(fd, image + *bytes, (size_t)about.st_size - *bytes);
            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                break;
            *bytes += (size_t)got;
        }
        if (*bytes < (size_t)about.st_size) {
            error_set(err, ERR_IO, "cannot be read to its end");
            free(image);
            image = NULL;
        }
    }
    if (fd >= 0)
        close(fd);
    return image;
}

/* NULL, or what is wrong; after it every offset in the header may be followed. */
static const char *check_header(const struct file_header *header, const char *image, size_t bytes)
{
    if (memcmp(header->magic, MAGIC, sizeof header->magic) != 0)
        return "not a generation file";
    if (header->byte_order != BYTE_ORDER_MARK)
        return "written on a machine of the other byte order";
    if (header->version != VERSION)
        return "of a version that this freshet does not know";
    if (header->file_bytes != bytes)
        return "cut short or grown";
    if (header->checksum != hash_stable(image + CHECKED_FROM, bytes - CHECKED_FROM))
        return "damaged: the checksum does not fit";
    if (header->rank < 1 || header->rank > RANK_MAX || header->stride < header->rank ||
        header->stride % 16 != 0 || header->stride > als_stride(RANK_MAX))
        return "rank or stride out of range";
    /* In this order no sum or product can overflow: each part is smaller than the file. */
    if (header->items > bytes / (header->stride * sizeof(float)) || header->factors_at > bytes ||
        header->factors_at % 64 != 0 ||
        bytes - header->factors_at != header->items * header->stride * sizeof(float))
        return "factors out of place";
    if (header->manifest_bytes > MANIFEST_BYTES_MAX || header->manifest_at < sizeof *header ||
        header->manifest_at > header->factors_at ||
        header->manifest_bytes > header->factors_at - header->manifest_at)
        return "manifest out of place";
    if (header->ids_at < sizeof *header || header->ids_at > header->factors_at ||
        (header->items + 1) * sizeof(uint32_t) > header->factors_at - header->ids_at)
        return "ids out of place";
    return NULL;
}

/* ids: what begins at ids_at, `bytes` of it up to the factors. */
static const char *read_ids(struct generation *generation, const char *ids, size_t bytes)
{
    size_t table = (generation->items + 1) * sizeof(uint32_t);
    uint32_t begin, end;
    memcpy(&begin, ids, sizeof begin);
    if (begin != 0)
        return "ids out of place";
    for (size_t i = 0; i < generation->items; i++, begin = end) {
        memcpy(&end, ids + (i + 1) * sizeof end, sizeof end);
        if (end < begin || end > bytes - table)
            return "ids out of place";
        generation->ids[i] = (struct slice){ids + table + begin, end - begin};
    }
    return NULL;
}

/* Copies ids and factors out of the image; returns what is wrong with them, or NULL. */
static const char *read_parts(struct generation *generation, const struct file_header *header,
                              const char *image)
{
    generation->items = header->items;
    generation->stride = header->stride;
    size_t factor_bytes = header->items * header->stride * sizeof(float);
    generation->Y = mem_try(factor_bytes, 1);
    generation->bytes = mem_try(header->factors_at - header->ids_at, 1);
    generation->ids = mem_try(header->items, sizeof *generation->ids);
    if (generation->Y == NULL || generation->bytes == NULL || generation->ids == NULL)
        return "too large for memory";
    memcpy(generation->Y, image + header->factors_at, factor_bytes);
    memcpy(generation->bytes, image + header->ids_at, header->factors_at - header->ids_at);
    const char *complaint =
        read_ids(generation, generation->bytes, header->factors_at - header->ids_at);
    return complaint != NULL ? complaint : complaint_of(generation);
}

static int read_image(struct generation *generation, const char *image, size_t bytes,
                      struct error *err)
{
    struct file_header header;
    if (bytes < sizeof header)
        return error_set(err, ERR_DATA, "cut short");
    memcpy(&header, image, sizeof header);
    const char *complaint = check_header(&header, image, bytes);
    if (complaint != NULL)
        return error_set(err, ERR_DATA, "%s", complaint);

    struct slice manifest = {image + header.manifest_at, (uint32_t)header.manifest_bytes};
    if (manifest_read(generation, manifest, err) != 0)
        return ERR_DATA;
    if ((uint32_t)generation->hyper.rank != header.rank)
        return error_set(err, ERR_DATA, "manifest and header differ in rank");
    complaint = read_parts(generation, &header, image);
    return complaint == NULL ? 0 : error_set(err, ERR_DATA, "%s", complaint);
}

int generation_read(struct generation **generation, const char *path, struct error *err)
{
    size_t bytes = 0;
    *generation = NULL;
    char *image = read_file(path, &bytes, err);
    if (image == NULL)
        return error_wrap(err, "%s", path);
    struct generation *read = mem_zalloc(sizeof *read);
    int failed = read_image(read, image, bytes, err);
    free(image);
    if (failed) {
        generation_free(read);
        return error_wrap(err, "%s", path);
    }
    *generation = read;
    return 0;
}

int generation_checksum(const char *path, uint64_t *checksum, struct error *err)
{
    struct file_header header;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    ssize_t got = read(fd, &header, sizeof header);
    close(fd);
    if (got != (ssize_t)sizeof header || memcmp(header.magic, MAGIC, sizeof header.magic) != 0)
        return error_set(err, ERR_DATA, "%s: not a generation file", path);
    *checksum = header.checksum;
    return 0;
}
