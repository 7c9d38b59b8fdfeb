/* Errors: a code for the program, a sentence for the person.
 *
 * A function that can fail takes `struct error *err` last and returns 0 or a negative code. The
 * callee writes the sentence, each caller may put its own context in front ("history: partition 3:
 * ..."), and one place, the daemon, logs it or prints it. `err` may be NULL where only the code
 * matters. An error is plain memory: nothing to release, any thread may use its own.
 *
 * The codes mirror sysexits.h, so that a subcommand can exit with `-code`. */
#ifndef FRESHET_BASE_ERROR_H
#define FRESHET_BASE_ERROR_H

#define ERROR_CODES(X)                                                                      \
    X(ERR_USAGE, -64, "usage")            /* the command line is wrong */                   \
    X(ERR_DATA, -65, "bad data")          /* a file or a record is not what it should be */ \
    X(ERR_BUG, -70, "internal error")     /* ours */                                        \
    X(ERR_IO, -74, "input/output error")  /* a disk or a local file failed */               \
    X(ERR_DOWN, -75, "temporary failure") /* the world is down: try again later */          \
    X(ERR_SETTINGS, -78, "bad settings")  /* the settings, or what they point at, are wrong */

#define ERROR_ENUM(name, value, text) name = value,
enum error_code { ERROR_CODES(ERROR_ENUM) };
#undef ERROR_ENUM

#define ERROR_TEXT_MAX 1024 /* bytes, with the closing NUL; longer texts are cut */

struct error {
    int code;
    char text[ERROR_TEXT_MAX];
};

/* Sets code and text; returns `code`, so that `return error_set(...)` reads well. */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the text; returns the error's code. */
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The short name of a code ("bad settings"), "unknown error" for any other number. */
const char *error_name(int code);

#endif
