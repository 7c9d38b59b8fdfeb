#include "daemon/ask.h"
#include "daemon/command.h"

#include <stdio.h>

void ask_begin(struct asking *asking, const char *command)
{
    asking->request = (struct buffer){0};
    asking->w = (struct json_writer){&asking->request, false};
    json_begin_object(&asking->w, NULL);
    json_text(&asking->w, "cmd", command);
}

int ask_daemon(struct asking *asking, const char *config, int timeout_ms, struct json **answer,
               struct error *err)
{
    struct settings *settings;
    json_end_object(&asking->w);
    int status = command_settings(config, &settings, err);
    if (status == 0) {
        /* The state's directory is where the socket is. */
        status = control_ask(settings->state.dir, buffer_slice(&asking->request), timeout_ms,
                             answer, err);
        settings_free(settings);
    }
    buffer_deinit(&asking->request);
    return status;
}

static bool is_latin1_control(const unsigned char *at, const unsigned char *end)
{
    return at[0] == 0xC2 && at + 1 < end && at[1] < 0xA0;
}

void ask_print_text(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.data, *end = at + text.length;
    for (; at < end; at++) {
        bool wide = is_latin1_control(at, end);
        putchar(wide || *at < ' ' || *at == 127 ? '?' : *at);
        at += wide;
    }
    putchar('\n');
}

static void write_member(struct slice key, const struct json *value, void *arg)
{
    struct json_writer *w = arg;
    struct buffer text = {0};
    if (slice_equal(key, SLICE("ok")))
        return;
    json_write(&text, value);
    json_key(w, key);
    json_raw(w, NULL, buffer_slice(&text));
    buffer_deinit(&text);
}

void ask_print_json(const struct json *answer)
{
    struct buffer text = {0};
    struct json_writer w = {&text, false};
    json_begin_object(&w, NULL);
    json_each(answer, write_member, &w);
    json_end_object(&w);
    printf("%.*s\n", (int)text.length, text.data);
    buffer_deinit(&text);
}
