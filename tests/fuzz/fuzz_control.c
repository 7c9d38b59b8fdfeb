/* Bytes on the control socket, and what the commands make of them (daemon/requests.c), with a
 * daemon whose stations are told here: each line is answered once, with one line of JSON.
 *
 * Input: one byte of flags (1: the client hangs up before it is answered), then what it sends. */
#include "base/mem.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/explain_write.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TURNS_MAX 400

enum { HANGS_UP = 1 };

struct server {
    struct daemon *daemon; /* its loop and its settings, and no station */
    struct control *control;
    char dir[64];
};

/* What a station does later; at most one, since a client has one request under way. */
static void (*later)(void *arg);
static void *later_arg;

static void do_later(void (*what)(void *arg), void *arg)
{
    MUST(later == NULL);
    later = what;
    later_arg = arg;
}

/* -- the stations ------------------------------------------------------------------------------ */

void daemon_status(struct daemon *daemon, struct json_writer *w)
{
    json_text(w, "said", "status");
}

void daemon_overview(struct daemon *daemon, struct json_writer *w)
{
    json_text(w, "said", "overview");
}

void daemon_arms(struct daemon *daemon, struct json_writer *w)
{
    json_text(w, "said", "arms");
}

void daemon_metrics(struct daemon *daemon, struct buffer *out)
{
    buffer_text(out, "up 1\n");
}

int daemon_reload(struct daemon *daemon, struct buffer *complaints, struct error *err)
{
    buffer_text(complaints, "settings.yaml:1: no\n");
    return error_set(err, ERR_SETTINGS, "one complaint");
}

bool publisher_is_up(const struct publisher *publisher)
{
    return true;
}

/* The list in Redis is not of our making either: it is what the user is called. */
void publisher_get(struct publisher *publisher, struct slice user, publisher_list_cb got, void *arg)
{
    MUST(user.length > 0);
    got(user.length > 1 ? user : SLICE("{\"items\":[[\"i1\",0.5],7,[]]}"), NULL, arg);
}

void renewal_start(struct renewal *renewal, enum slate_cause cause, bool all)
{
}

void renewal_when_queued(struct renewal *renewal, void (*queued)(void *arg), void *arg)
{
    do_later(queued, arg);
}

void line_when_sent(struct line *line, waiting_sent_cb sent, void *arg)
{
    sent(true, arg);
}

void line_queue(struct line *line, struct user *user, enum slate_cause cause)
{
}

void line_hold(struct line *line, void (*held)(void *arg), void *arg)
{
    do_later(held, arg);
}

void line_release(struct line *line)
{
}

void line_lock(struct line *line)
{
}

void line_unlock(struct line *line)
{
}

struct settling *line_settling(struct line *line)
{
    return NULL;
}

void settling_commit(struct settling *settling, settling_cb committed, void *arg)
{
    committed(NULL, arg);
}

struct items *history_items(struct history *history)
{
    static struct items items;
    return &items;
}

struct user *history_find_user(struct history *history, struct slice id, struct error *err)
{
    *err = (struct error){0};
    return NULL;
}

struct user *history_user(struct history *history, int32_t partition, struct slice id,
                          struct error *err)
{
    return history_find_user(history, id, err);
}

bool history_is_assigned(const struct history *history, int32_t partition)
{
    return partition == 0;
}

int64_t history_next_offset(const struct history *history, bool items, int32_t partition)
{
    return INT64_MIN;
}

uint32_t history_dead_of(const struct history *history, struct slice key)
{
    MUST(key.length > 0 && key.length <= ID_BYTES_MAX);
    return 0;
}

size_t history_partitions(const struct history *history, int32_t *partitions, size_t max)
{
    if (max > 0)
        partitions[0] = 0;
    return 1;
}

uint16_t history_type_number(const struct history *history, uint16_t settings_type)
{
    return settings_type;
}

/* No arm: questions about lists are read, and end there. */
size_t scorers_count(const struct scorers *scorers)
{
    return 0;
}

struct scorer *scorers_at(struct scorers *scorers, uint32_t arm)
{
    abort();
}

uint32_t scorers_control(const struct scorers *scorers)
{
    return 0;
}

uint32_t scorers_arm_of(const struct scorers *scorers, struct slice user)
{
    return 0;
}

uint64_t scorers_series_of(const struct scorers *scorers, uint32_t arm)
{
    return 0;
}

void swapper_look(struct swapper *swapper)
{
}

void swapper_force(struct swapper *swapper, uint64_t series, uint64_t number, swapper_cb done,
                   void *arg)
{
    MUST(number > 0);
    done(NULL, arg);
}

int experiment_stop(struct experiment *experiment, const char *arm, const char *why,
                    struct error *err)
{
    return error_set(err, ERR_USAGE, "there is no arm \"%s\"", arm);
}

int experiment_resume(struct experiment *experiment, const char *arm, struct error *err)
{
    MUST(strlen(arm) <= ARM_NAME_BYTES_MAX);
    return 0;
}

/* With no arm nothing of this is ever asked for. */

void explain(struct scorer *scorer, const struct user *user, uint32_t item, struct explain *out)
{
    abort();
}

void explain_deinit(struct explain *explain)
{
    abort();
}

int whatif(struct scorer *scorer, const struct user *user, const uint32_t *items, uint32_t count,
           uint16_t type, struct whatif *out, struct error *err)
{
    abort();
}

void whatif_deinit(struct whatif *whatif)
{
    abort();
}

void similar(struct scorer *scorer, uint32_t item, uint32_t n, struct similar *out)
{
    abort();
}

void similar_deinit(struct similar *similar)
{
    abort();
}

void explain_write(struct json_writer *w, const struct explain_context *context,
                   const struct explain *explain)
{
    abort();
}

void whatif_write(struct json_writer *w, const struct explain_context *context,
                  const struct whatif *whatif)
{
    abort();
}

void similar_write(struct json_writer *w, const struct explain_context *context,
                   const struct similar *similar)
{
    abort();
}

/* -- the client -------------------------------------------------------------------------------- */

static struct server *open_server(void)
{
    static struct server server = {.dir = "/dev/shm/freshet-fuzz-XXXXXX"};
    struct settings *settings;
    struct buffer complaints = {0};
    struct error err = {0};
    if (server.daemon != NULL)
        return &server;
    server.daemon = mem_zalloc(sizeof *server.daemon);
    MUST(settings_load(&settings, NULL, &complaints, &err) == 0 || err.code == ERR_SETTINGS);
    server.daemon->settings = settings;
    uv_loop_init(&server.daemon->loop);
    signal(SIGPIPE, SIG_IGN); /* as daemon_run does */
    MUST(mkdtemp(server.dir) != NULL);
    MUST(control_open(&server.control, &server.daemon->loop, server.dir, daemon_request,
                      server.daemon, &err) == 0);
    return &server;
}

static int connect_client(const struct server *server)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%.64s/%s", server->dir, CONTROL_SOCKET);
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static void turn(struct server *server)
{
    uv_run(&server->daemon->loop, UV_RUN_NOWAIT);
    if (later == NULL)
        return;
    void (*what)(void *arg) = later;
    later = NULL;
    what(later_arg);
}

static void check_answer(struct slice line)
{
    struct error err = {0};
    struct json *json = json_parse(line, &err);
    MUST(json_type(json_get(json, "ok")) == JSON_BOOL);
    MUST(json_get_bool(json, "ok", false) || json_get_string(json, "error", SLICE("")).length > 0);
    json_free(json);
}

/* Takes whole lines off the front. */
static void check_answers(struct buffer *text)
{
    char *end;
    while (text->length > 0 && (end = memchr(text->data, '\n', text->length)) != NULL) {
        size_t length = (size_t)(end - text->data);
        check_answer((struct slice){text->data, (uint32_t)length});
        buffer_consume(text, length + 1);
    }
}

/* False at the end of the stream. */
static bool receive(int fd, struct buffer *text)
{
    ssize_t count;
    while ((count = recv(fd, buffer_reserve(text, 4096), 4096, MSG_DONTWAIT)) > 0)
        text->length += (size_t)count;
    check_answers(text);
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, (uint32_t)size};
    struct server *server = open_server();
    struct buffer text = {0};
    unsigned flags = (unsigned)take_number(&input, 1);
    int fd = connect_client(server);
    if (input.length > 0)
        send(fd, input.data, input.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < TURNS_MAX && !(flags & HANGS_UP) && receive(fd, &text); i++)
        turn(server);
    MUST(text.length == 0); /* nothing but whole lines */
    close(fd);
    for (int i = 0; i < 3 || later != NULL; i++)
        turn(server);
    buffer_deinit(&text);
    return 0;
}
