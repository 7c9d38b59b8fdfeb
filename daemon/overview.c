/* The answers to "overview" and "arms": what docs/openapi.json says, with nothing measured yet. */
#include "daemon/daemon.h"
#include "base/clock.h"

static void write_part(struct json_writer *w, const char *name, bool up, const char *why)
{
    json_begin_object(w, name);
    json_bool(w, "up", up);
    json_text(w, "why", why);
    json_end_object(w);
}

static void write_health(struct daemon *daemon, struct json_writer *w)
{
    json_begin_object(w, "health");
    write_part(w, "kafka", daemon->kafka_up, daemon->kafka_why);
    write_part(w, "redis", publisher_is_up(daemon->publisher), daemon->redis_why);
    write_part(w, "state", !settling_failed(line_settling(daemon->line)), "");
    write_part(w, "trainer", true, "");
    json_end_object(w);
}

void daemon_arms(struct daemon *daemon, struct json_writer *w)
{
    (void)daemon;
    json_begin_object(w, "experiment");
    json_text(w, "id", "");
    json_text(w, "state", "none");
    json_end_object(w);
    json_begin_array(w, "arms");
    json_end_array(w);
}

void daemon_overview(struct daemon *daemon, struct json_writer *w)
{
    json_int(w, "now", clock_wall_ms());
    json_text(w, "version", FRESHET_VERSION);
    json_text(w, "state", daemon->draining || daemon->leaving ? "draining" : "running");
    json_real6(w, "uptime_s", (double)(clock_monotonic_ns() - daemon->began_ns) * 1e-9);
    write_health(daemon, w);
    daemon_arms(daemon, w);
}
