#include "monitor/http_target.h"
#include "base/mem.h"

#include <stdlib.h>

/* A copy that lives as long as the target. */
static char *keep(struct http_target *target, struct slice text)
{
    char *copy = mem_strndup(text.length > 0 ? text.data : "", text.length);
    target->texts[target->text_count++] = copy;
    return copy;
}

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The byte of the escape at `text`, which has `left` bytes; -1 if it is none, or NUL. */
static int escaped(const char *text, size_t left)
{
    int high = left >= 3 ? hex(text[1]) : -1, low = left >= 3 ? hex(text[2]) : -1;
    return high < 0 || low < 0 || high + low == 0 ? -1 : high << 4 | low;
}

/* Decodes in place: the decoded is never longer. */
static int decode(char *text, uint32_t length, struct slice *decoded, struct error *err)
{
    uint32_t written = 0;
    for (uint32_t i = 0; i < length; i++) {
        int byte = (unsigned char)text[i];
        if (byte == '%') {
            byte = escaped(text + i, length - i);
            i += 2;
        }
        if (byte == -1)
            return error_set(err, ERR_DATA,
                             "a percent sign must have two hexadecimal digits "
                             "behind it, and not 00");
        text[written++] = (char)byte;
    }
    *decoded = (struct slice){text, written};
    return 0;
}

int http_target_set_path(struct http_target *target, struct slice path, struct error *err)
{
    char *copy = keep(target, path);
    target->path = (struct slice){keep(target, path), path.length};
    if (path.length == 0 || path.data[0] != '/')
        return error_set(err, ERR_DATA, "a path begins with a slash");
    if (path.length == 1)
        return 0;
    for (char *at = copy; at != NULL;) {
        char *begin = at + 1;
        at = strchr(begin, '/');
        uint32_t length = (uint32_t)(at != NULL ? at - begin : (long)strlen(begin));
        if (target->segment_count == HTTP_SEGMENTS_MAX)
            return error_set(err, ERR_DATA, "a path has at most %d segments", HTTP_SEGMENTS_MAX);
        if (decode(begin, length, &target->segments[target->segment_count++], err) != 0)
            return err->code;
    }
    return 0;
}

int http_target_add(struct http_target *target, struct slice name, struct slice value,
                    struct error *err)
{
    if (target->parameter_count == HTTP_PARAMETERS_MAX)
        return error_set(err, ERR_DATA, "a request has at most %d parameters", HTTP_PARAMETERS_MAX);
    struct http_parameter *parameter = &target->parameters[target->parameter_count++];
    if (decode(keep(target, name), name.length, &parameter->name, err) != 0)
        return err->code;
    return decode(keep(target, value), value.length, &parameter->value, err);
}

static struct slice cut(struct slice *rest, char at)
{
    const char *end = rest->length > 0 ? memchr(rest->data, at, rest->length) : NULL;
    struct slice first = {rest->data, end != NULL ? (uint32_t)(end - rest->data) : rest->length};
    uint32_t used = first.length + (end != NULL);
    *rest = (struct slice){rest->data + used, rest->length - used};
    return first;
}

int http_target_add_form(struct http_target *target, struct slice form, struct error *err)
{
    char *copy = mem_strndup(form.length > 0 ? form.data : "", form.length);
    struct slice rest = {copy, form.length};
    int status = 0;
    for (uint32_t i = 0; i < form.length; i++)
        if (copy[i] == '+')
            copy[i] = ' ';
    while (rest.length > 0 && status == 0) {
        struct slice value = cut(&rest, '&'), name = cut(&value, '=');
        if (name.length > 0)
            status = http_target_add(target, name, value, err);
    }
    free(copy);
    return status;
}

void http_target_deinit(struct http_target *target)
{
    for (size_t i = 0; i < target->text_count; i++)
        free(target->texts[i]);
    target->text_count = 0;
}
