#include "model/history_internal.h"

#include <stdio.h>
#include <sys/random.h>

#define CATCHING_UP "catching_up" /* a note of the state: see anew_begin */

int meta_draw(struct state_meta *meta, struct error *err)
{
    unsigned char bytes[(sizeof meta->nonce - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_set(err, ERR_DOWN, "the system gives no random bytes");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(meta->nonce + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

/* -- catching up ---------------------------------------------------------------------------------
 */

bool history_is_catching_up(const struct history *history)
{
    return history_note(history, CATCHING_UP).length > 0;
}

void history_caught_up(struct history *history)
{
    history_set_note(history, CATCHING_UP, SLICE(""));
}

void catching_up_save(struct state_commit *commit)
{
    state_commit_put(commit, STATE_META, SLICE(NOTE_PREFIX CATCHING_UP), SLICE("1"));
}
