/* What the two decoders, of events and of item records, share. Not for others. */
#ifndef FRESHET_CONSUMER_DECODE_PARTS_H
#define FRESHET_CONSUMER_DECODE_PARTS_H

#include "consumer/decode.h"

/* What a check answers when nothing is wrong. */
#define DECODE_FINE DEAD_REASON_COUNT

/* Too large, empty, or not UTF-8. */
enum dead_reason decode_check_bytes(const struct decode_settings *settings, struct slice bytes);

/* 1 to ID_BYTES_MAX bytes (of UTF-8) without control characters. */
bool decode_is_id(struct slice text);

/* Makes the event a dead one, which says what the record was and why it is dead, no more. */
void decode_bury(struct event *event, enum dead_reason reason);

#endif
