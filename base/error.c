#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
    if (err == NULL)
        return code;
    err->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return code;
}

int error_wrap(struct error *err, const char *format, ...)
{
    if (err == NULL)
        return ERR_BUG;
    char context[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(context, sizeof context - 2, format, args);
    va_end(args);
    if (length < 0)
        return err->code;

    size_t used = strlen(context);
    memcpy(context + used, ": ", 2);
    used += 2;
    size_t room = sizeof err->text - 1 - used;
    size_t kept = strnlen(err->text, room);
    memmove(err->text + used, err->text, kept);
    memcpy(err->text, context, used);
    err->text[used + kept] = '\0';
    return err->code;
}

const char *error_name(int code)
{
#define ERROR_NAME(name, value, text) \
    case value:                       \
        return text;
    switch (code) {
        ERROR_CODES(ERROR_NAME)
    default:
        return "unknown error";
    }
#undef ERROR_NAME
}
