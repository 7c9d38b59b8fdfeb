/* Reads a file of items: what `freshet items` sends. Tab-separated with the header `item title`, or
 * JSON lines in the shape of the items topic (consumer/decode.h), plain or ".zst". Blocking; one
 * thread. */
#ifndef FRESHET_CONSUMER_ITEM_FILE_H
#define FRESHET_CONSUMER_ITEM_FILE_H

#include "base/error.h"
#include "base/slice.h"

struct item_file;

int item_file_open(struct item_file **file, const char *path, struct error *err);

/* 1: the item's id and the record's value (until the next call), 0: the end, or an error with file
 * and line. */
int item_file_next(struct item_file *file, struct slice *item, struct slice *value,
                   struct error *err);
void item_file_close(struct item_file *file);

#endif
