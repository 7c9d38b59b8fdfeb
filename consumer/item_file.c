#include "consumer/item_file.h"
#include "base/buffer.h"
#include "base/json.h"
#include "base/mem.h"
#include "consumer/event.h"
#include "consumer/lines.h"
#include "consumer/scan.h"

#include <inttypes.h>
#include <stdlib.h>

struct item_file {
    struct lines *lines;
    bool is_json;
    struct json *json;   /* of the line last handed out */
    struct buffer value; /* made from a tab-separated line */
};

/* What the daemon would refuse is refused here, where the line can be named. */
static int check_item(struct slice item, struct error *err)
{
    if (item.length == 0)
        return error_set(err, ERR_DATA, "no item in it");
    if (item.length > ID_BYTES_MAX)
        return error_set(err, ERR_DATA, "an item has 1 to %d bytes", ID_BYTES_MAX);
    return 0;
}

static int read_json(struct item_file *file, struct slice line, struct slice *item,
                     struct slice *value, struct error *err)
{
    json_free(file->json);
    file->json = json_parse(line, err);
    if (file->json == NULL)
        return err->code;
    *item = json_get_string(file->json, "item", SLICE(""));
    *value = line;
    return check_item(*item, err);
}

static int read_tsv(struct item_file *file, struct slice line, struct slice *item,
                    struct slice *value, struct error *err)
{
    const char *tab = memchr(line.data, '\t', line.length);
    uint32_t length = tab ? (uint32_t)(tab - line.data) : line.length;
    if (!utf8_is_valid(line) || memchr(line.data, '\0', line.length) != NULL)
        return error_set(err, ERR_DATA, "not UTF-8 without U+0000");
    struct slice title = {line.data + length, 0};
    if (tab != NULL)
        title = (struct slice){tab + 1, line.length - length - 1};
    *item = (struct slice){line.data, length};
    if (check_item(*item, err) != 0)
        return err->code;
    struct json_writer w = {&file->value, false};
    buffer_clear(&file->value);
    json_begin_object(&w, NULL);
    json_string(&w, "item", *item);
    json_string(&w, "title", title);
    json_end_object(&w);
    *value = buffer_slice(&file->value);
    return 0;
}

int item_file_next(struct item_file *file, struct slice *item, struct slice *value,
                   struct error *err)
{
    struct slice line;
    int got = lines_next(file->lines, &line, err);
    if (got != 1)
        return got;
    int failed = file->is_json ? read_json(file, line, item, value, err)
                               : read_tsv(file, line, item, value, err);
    if (failed == 0)
        return 1;
    return error_wrap(err, "%s:%" PRIu64, lines_path(file->lines), lines_number(file->lines));
}

/* JSON lines begin with a brace, the other form with its header. */
static int find_form(struct item_file *file, struct error *err)
{
    struct slice line;
    int got = lines_next(file->lines, &line, err);
    if (got < 0)
        return got;
    if (got == 1 && line.data[0] == '{') {
        file->is_json = true;
        lines_put_back(file->lines);
        return 0;
    }
    if (got == 1 && slice_equal(line, SLICE("item\ttitle")))
        return 0;
    return error_set(err, ERR_DATA,
                     "%s:1: neither JSON lines nor the header \"item title\" (tab-separated)",
                     lines_path(file->lines));
}

int item_file_open(struct item_file **file, const char *path, struct error *err)
{
    struct item_file *opened = mem_zalloc(sizeof *opened);
    int failed = lines_open(&opened->lines, path, err);
    if (failed == 0)
        failed = find_form(opened, err);
    if (failed)
        item_file_close(opened);
    else
        *file = opened;
    return failed;
}

void item_file_close(struct item_file *file)
{
    lines_close(file->lines);
    json_free(file->json);
    buffer_deinit(&file->value);
    free(file);
}
