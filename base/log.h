/* The log: one line an event to stderr, "2026-01-02T03:04:05.678Z warn  publisher: text".
 *
 * Libraries of ours never log; the daemon does, in one place per cause. Any thread; a line is one
 * write(2), so lines never mix. Control characters in the text are printed as "?". */
#ifndef FRESHET_BASE_LOG_H
#define FRESHET_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_set_level(enum log_level level);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

/* "Say so once a minute": true if `*last_ms` (start at 0) is a minute old, and then renews it. */
bool log_once_a_minute(int64_t *last_ms);

#endif
