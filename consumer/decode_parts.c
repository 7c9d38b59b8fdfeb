#include "consumer/decode_parts.h"
#include "consumer/scan.h"
#include "consumer/scan_bytes.h"

enum dead_reason decode_check_bytes(const struct decode_settings *settings, struct slice bytes)
{
    if (bytes.length > settings->event_bytes_max)
        return DEAD_TOO_LARGE;
    if (bytes.length == 0)
        return DEAD_NO_VALUE;
    return utf8_is_valid(bytes) ? DECODE_FINE : DEAD_BAD_UTF8;
}

/* Control characters (Unicode's Cc, in UTF-8) would let an id forge a line of a log or a file.
 * Those below U+0020 come by an escape alone, those above are rare. */
static bool has_control(struct slice text)
{
    const unsigned char *s = (const unsigned char *)text.data, *end = s + text.length;
    if (bytes_plain_end(s, end) == end && !bytes_hint_control(s, end))
        return false;
    for (uint32_t i = 0; i < text.length; i++)
        if (s[i] < 0x20 || s[i] == 0x7F || (s[i] == 0xC2 && s[i + 1] < 0xA0))
            return true;
    return false;
}

bool decode_is_id(struct slice text)
{
    return text.length >= 1 && text.length <= ID_BYTES_MAX && !has_control(text);
}

void decode_bury(struct event *event, enum dead_reason reason)
{
    *event = (struct event){.kind = EVENT_DEAD,
                            .reason = reason,
                            .partition = event->partition,
                            .from_items = event->from_items,
                            .offset = event->offset,
                            .record_ts_ms = event->record_ts_ms,
                            .ts_ms = event->record_ts_ms,
                            .pos = -1,
                            .key = event->key,
                            .bytes = event->bytes};
}
