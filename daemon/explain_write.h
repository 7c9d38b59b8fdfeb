/* The answers to explain, whatif and similar, as JSON: docs/MODEL.md, "Explaining a score", has
 * their shapes. Each writes the members of an object that the caller has begun. Loop thread, while
 * the line is held. */
#ifndef FRESHET_DAEMON_EXPLAIN_WRITE_H
#define FRESHET_DAEMON_EXPLAIN_WRITE_H

#include "base/json.h"
#include "daemon/settings.h"
#include "model/explain.h"
#include "model/similar.h"
#include "model/whatif.h"

struct explain_context { /* borrowed */
    const struct settings *settings;
    const struct history *history;
    const struct items *items;
    struct slice user; /* as asked for; so are these */
    const struct slice *asked;
    uint32_t asked_count;
    uint16_t type; /* the state's number; of whatif */
    bool kept;     /* something is kept of the user */
};

void explain_write(struct json_writer *w, const struct explain_context *context,
                   const struct explain *explain);
void whatif_write(struct json_writer *w, const struct explain_context *context,
                  const struct whatif *whatif);
void similar_write(struct json_writer *w, const struct explain_context *context,
                   const struct similar *similar);

#endif
