#include "base/log.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static atomic_int lowest = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&lowest, (int)level);
}

static int stamp(char *line, size_t size, enum log_level level)
{
    static const char *const names[] = {"debug", "info ", "warn ", "error"};
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t used = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return (int)used +
           snprintf(line + used, size - used, ".%03dZ %s ", (int)(now_ms % 1000), names[level]);
}

void log_line(enum log_level level, const char *format, ...)
{
    if ((int)level < atomic_load(&lowest))
        return;
    char line[LINE_MAX_BYTES];
    int used = stamp(line, sizeof line, level);
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
    va_end(args);
    if (length < 0)
        return;

    size_t end = strlen(line);
    for (size_t i = 0; i < end; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
    line[end++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, end);
    (void)ignored; /* nowhere left to say that the log is full */
}

bool log_once_a_minute(int64_t *last_ms)
{
    int64_t now_ms = clock_monotonic_ns() / 1000000;
    if (*last_ms != 0 && now_ms - *last_ms < 60000)
        return false;
    *last_ms = now_ms;
    return true;
}
