/* The scoreboard as a table for people, from the answer to "arms" or "overview". */
#ifndef FRESHET_DAEMON_ARMS_TABLE_H
#define FRESHET_DAEMON_ARMS_TABLE_H

#include "base/buffer.h"
#include "base/json.h"

/* One line for the experiment, a head, a line an arm, and what is to be said of them. */
void arms_table_write(struct buffer *out, const struct json *answer);

#endif
