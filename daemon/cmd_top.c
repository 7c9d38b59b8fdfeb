/* `freshet top`: what the dashboard shows, at a terminal, refreshed in place. */
#include "daemon/arms_table.h"
#include "daemon/ask.h"
#include "daemon/command.h"

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#define TOP_MS 2000
#define SPARK_SAMPLES 60

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

/* -- what it shows ----------------------------------------------------------------------------- */

static double latest(const struct json *series, const char *key)
{
    const struct json *values = json_get(series, key);
    for (size_t i = json_count(values); i > 0; i--) {
        double value = json_to_number(json_at(values, i - 1), NAN);
        if (!isnan(value))
            return value;
    }
    return NAN;
}

static double largest(const struct json *values, size_t from)
{
    double most = 0;
    for (size_t i = from; i < json_count(values); i++)
        most = fmax(most, json_to_number(json_at(values, i), 0));
    return most;
}

/* The latest samples as bars, scaled to the highest; a gap where there is nothing. */
static void write_spark(struct buffer *out, const struct json *series, const char *key)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const struct json *values = json_get(series, key);
    size_t count = json_count(values), from = count > SPARK_SAMPLES ? count - SPARK_SAMPLES : 0;
    double most = largest(values, from);
    for (size_t i = from; i < count; i++) {
        double value = json_to_number(json_at(values, i), NAN);
        if (isnan(value))
            buffer_byte(out, ' ');
        else
            buffer_text(out, bars[most > 0 ? (int)fmin(7, value / most * 8) : 0]);
    }
}

static void write_row(struct buffer *out, const struct json *series, const char *label,
                      const char *key, int decimals)
{
    double value = latest(series, key);
    buffer_printf(out, "  %-22s", label);
    if (isnan(value))
        buffer_printf(out, "%12s  ", "-");
    else
        buffer_printf(out, "%12.*f  ", decimals, value);
    write_spark(out, series, key);
    buffer_byte(out, '\n');
}

static void write_part(struct buffer *out, const struct json *health, const char *name)
{
    const struct json *part = json_get(health, name);
    struct slice why = json_get_string(part, "why", SLICE(""));
    buffer_printf(out, "  %s %s%s%.*s", name, json_get_bool(part, "up", false) ? "up" : "DOWN",
                  why.length > 0 ? ": " : "", SLICE_ARG(why));
}

/* "-" for what is not known yet. */
static void write_figure(struct buffer *out, const char *label, const struct json *object,
                         const char *key, int decimals)
{
    double value = json_get_number(object, key, NAN);
    buffer_text(out, label);
    if (isnan(value))
        buffer_text(out, "-");
    else
        buffer_printf(out, "%.*f", decimals, value);
}

static void write_head(struct buffer *out, const struct json *o)
{
    const struct json *health = json_get(o, "health"), *totals = json_get(o, "totals");
    const struct json *latency = json_get(json_get(o, "latency"), "event_to_list_ms");
    const struct json *generation = json_get(o, "generation");
    buffer_printf(out, "freshet %.*s  %.*s, up %.0f s\n",
                  SLICE_ARG(json_get_string(o, "version", SLICE("?"))),
                  SLICE_ARG(json_get_string(o, "state", SLICE("?"))),
                  json_get_number(o, "uptime_s", 0));
    write_part(out, health, "kafka");
    buffer_printf(out, " (lag %" PRId64 ")", json_get_int(json_get(health, "kafka"), "lag", -1));
    write_part(out, health, "redis");
    write_part(out, health, "state");
    write_part(out, health, "trainer");
    buffer_printf(out,
                  "\n  %" PRId64 " events, %" PRId64 " lists, %" PRId64 " held, %" PRId64
                  " owed, %" PRId64 " dead letters, %" PRId64 " items\n",
                  json_get_int(totals, "events", 0), json_get_int(totals, "lists", 0),
                  json_get_int(totals, "held", 0), json_get_int(totals, "owed", 0),
                  json_get_int(totals, "dead", 0), json_get_int(totals, "items", 0));
    buffer_text(out, "  event to list");
    write_figure(out, " p50 ", latency, "p50", 1);
    write_figure(out, " ms, p90 ", latency, "p90", 1);
    write_figure(out, " ms, p99 ", latency, "p99", 1);
    buffer_printf(out, " ms; generation %" PRId64, json_get_int(generation, "number", 0));
    write_figure(out, ", ", generation, "age_s", 0);
    buffer_text(out, " s old\n\n");
}

static void write_all(struct buffer *out, const struct json *o)
{
    const struct json *series = json_get(o, "series");
    write_head(out, o);
    write_row(out, series, "events a second", "events_per_s", 0);
    write_row(out, series, "lists a second", "lists_per_s", 0);
    write_row(out, series, "lag", "lag", 0);
    write_row(out, series, "event to list p99, ms", "event_to_list_p99_ms", 1);
    write_row(out, series, "churn (1 - RBO)", "churn_rbo", 4);
    write_row(out, series, "response gap closed", "gap_closed", 4);
    write_row(out, series, "hit@20", "hit20", 4);
    write_row(out, series, "hit@20 of popular", "hit20_popular", 4);
    write_row(out, series, "hit@20 of recent", "hit20_recent", 4);
    buffer_byte(out, '\n');
    arms_table_write(out, o);
}

/* -- the terminal ------------------------------------------------------------------------------ */

/* Each line clears what was longer there before, and the end what was below. */
static void show_in_place(const struct buffer *text)
{
    struct buffer out = {0};
    buffer_text(&out, "\033[H");
    for (size_t i = 0; i < text->length; i++) {
        if (text->data[i] == '\n')
            buffer_text(&out, "\033[K");
        buffer_byte(&out, text->data[i]);
    }
    buffer_text(&out, "\033[J");
    fwrite(out.data, 1, out.length, stdout);
    fflush(stdout);
    buffer_deinit(&out);
}

static int ask_once(const char *config, struct buffer *text, struct error *err)
{
    struct asking asking;
    struct json *answer;
    ask_begin(&asking, "overview");
    if (ask_daemon(&asking, config, ASK_MS, &answer, err) != 0)
        return err->code;
    write_all(text, answer);
    json_free(answer);
    return 0;
}

/* True when `q` was pressed, or a signal came. */
static bool wait_for_end(void)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    char key = 0;
    if (poll(&keys, 1, TOP_MS) > 0 && read(STDIN_FILENO, &key, 1) <= 0)
        return true;
    return stopped || key == 'q';
}

/* The daemon may be away for a while: then that is shown, and asked again. */
static void show_until_end(const char *config)
{
    do {
        struct buffer text = {0};
        struct error err = {0};
        if (ask_once(config, &text, &err) != 0)
            buffer_printf(&text, "%s\n", err.text);
        buffer_text(&text, "\nq: quit\n");
        show_in_place(&text);
        buffer_deinit(&text);
    } while (!wait_for_end());
}

static int show_live(const char *config)
{
    struct termios before, raw;
    bool keys = tcgetattr(STDIN_FILENO, &before) == 0;
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    if (keys) {
        raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    fputs("\033[?1049h\033[?25l", stdout); /* another screen, no cursor */
    show_until_end(config);
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return 0;
}

int cmd_top(int argc, char **argv)
{
    const char *config = NULL, *once = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"once", NULL, "show it once and end; so it is where the output is no terminal", &once},
        {0},
    };
    const struct command_line line = {
        .synopsis = "top --config FILE [--once]",
        .summary = "The dashboard at a terminal, refreshed in place every two seconds; q ends it.",
        .rows = rows,
    };
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if (once == NULL && isatty(STDOUT_FILENO))
        return show_live(config);
    struct buffer text = {0};
    struct error err = {0};
    if (ask_once(config, &text, &err) != 0)
        return command_fail(&err);
    fwrite(text.data, 1, text.length, stdout);
    buffer_deinit(&text);
    return 0;
}
