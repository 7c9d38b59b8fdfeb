/* Lines of a recording, or of a file of items. Input: one byte of flags (1: items, 2: compressed by
 * us, 4: as if compressed, 8: shuffled), then the file. */
#include "base/buffer.h"
#include "base/json.h"
#include "consumer/decode.h"
#include "consumer/item_file.h"
#include "consumer/recording.h"
#include "tests/fuzz/fuzz.h"

#include <zstd.h>

#define LINES_READ_MAX 1000

enum { ITEMS = 1, COMPRESSED = 2, AS_IF_COMPRESSED = 4, SHUFFLED = 8 };

static void is_json(struct slice text)
{
    struct error err = {0};
    struct json *json = json_parse(text, &err);
    MUST(json != NULL);
    json_free(json);
}

static void read_recording(const char *path, bool shuffle)
{
    struct recording *recording;
    struct recorded_event event;
    struct error err = {0};
    if (recording_open(&recording, path, shuffle, 1, &err) != 0)
        return;
    for (int i = 0; i < LINES_READ_MAX && recording_next(recording, &event, &err) == 1; i++) {
        struct buffer json = {0};
        MUST(event.ts_ms >= 0 && event.ts_ms <= DECODE_TS_MAX_MS && event.user.length > 0);
        recorded_event_write(&json, &event);
        is_json(buffer_slice(&json));
        buffer_deinit(&json);
    }
    MUST(recording_progress(recording) <= 1);
    recording_close(recording);
}

static void read_items(const char *path)
{
    struct item_file *file;
    struct slice item, value;
    struct error err = {0};
    if (item_file_open(&file, path, &err) != 0)
        return;
    for (int i = 0; i < LINES_READ_MAX && item_file_next(file, &item, &value, &err) == 1; i++) {
        MUST(item.length > 0);
        is_json(value);
    }
    item_file_close(file);
}

static const char *make_file(struct slice input, unsigned flags)
{
    if (flags & COMPRESSED) {
        size_t room = ZSTD_compressBound(input.length);
        char *bytes = malloc(room);
        size_t size = ZSTD_compress(bytes, room, input.data, input.length, 1);
        MUST(!ZSTD_isError(size));
        const char *path = file_of(bytes, size, ".zst");
        free(bytes);
        return path;
    }
    return file_of(input.data, input.length, flags & AS_IF_COMPRESSED ? ".zst" : ".tsv");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, (uint32_t)size};
    unsigned flags = (unsigned)take_number(&input, 1);
    const char *path = make_file(input, flags);
    if (flags & ITEMS)
        read_items(path);
    else
        read_recording(path, (flags & SHUFFLED) != 0);
    return 0;
}
