#include "base/json.h"
#include "base/mem.h"
#include "consumer/consumer.h"
#include "consumer/scan.h"

#include <stdlib.h>

#define PAYLOAD_BYTES_MAX (64 * 1024)

/* The first 64 KiB, cut where a character ends if the text is UTF-8 at all. */
static struct slice cut_payload(struct slice bytes)
{
    if (bytes.length <= PAYLOAD_BYTES_MAX)
        return bytes;
    struct slice cut = {bytes.data, PAYLOAD_BYTES_MAX};
    for (int back = 0; back < 4; back++) {
        struct slice shorter = {cut.data, cut.length - (uint32_t)back};
        if (utf8_is_valid(shorter))
            return shorter;
    }
    return cut;
}

/* RFC 4648, section 4. */
static size_t write_base64(struct slice bytes, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = (const unsigned char *)bytes.data;
    size_t length = 0;
    for (uint32_t i = 0; i < bytes.length; i += 3) {
        uint32_t left = bytes.length - i;
        uint32_t group = (uint32_t)in[i] << 16;
        group |= left > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)in[i + 2] : 0;
        out[length++] = digits[group >> 18];
        out[length++] = digits[group >> 12 & 63];
        out[length++] = left > 1 ? digits[group >> 6 & 63] : '=';
        out[length++] = left > 2 ? digits[group & 63] : '=';
    }
    return length;
}

static void write_payload(struct json_writer *w, struct slice bytes)
{
    struct slice payload = cut_payload(bytes);
    if (payload.data == NULL) {
        json_text(w, "payload", NULL);
    } else if (utf8_is_valid(payload)) {
        json_string(w, "payload", payload);
    } else {
        char *text = mem_alloc((payload.length + 2) / 3 * 4);
        size_t length = write_base64(payload, text);
        json_string(w, "payload_base64", (struct slice){text, (uint32_t)length});
        free(text);
    }
}

void dead_letter_write(struct buffer *out, const char *topic, const struct event *event)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w, NULL);
    json_text(&w, "reason", dead_reason_name(event->reason));
    json_text(&w, "topic", topic);
    json_int(&w, "partition", event->partition);
    json_int(&w, "offset", event->offset);
    json_int(&w, "ts", event->record_ts_ms);
    write_payload(&w, event->bytes);
    json_end_object(&w);
}
