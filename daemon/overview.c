/* The answers to "overview" and "arms": what docs/openapi.json says, with nothing measured yet. */
#include "daemon/daemon.h"
#include "base/clock.h"

#define NOTHING "{\"mean\":null,\"low\":null,\"high\":null}"

static void write_rest(struct json_writer *w, const char *key, const char *json)
{
    json_raw(w, key, slice_of(json));
}

void daemon_arms(struct daemon *daemon, struct json_writer *w)
{
    (void)daemon;
    write_rest(w, "experiment",
               "{\"id\":\"\",\"state\":\"none\",\"start\":null,\"end\":null,\"level\":0.05,"
               "\"sample_ratio_p\":null,\"sample_ratio_alarm\":false}");
    write_rest(
        w, "arms",
        "[{\"name\":\"default\",\"control\":true,\"shadow\":false,\"share\":1,"
        "\"state\":\"running\",\"why\":\"\",\"generation\":null,\"users\":null,\"events\":null,"
        "\"hit20\":" NOTHING ",\"hit10\":" NOTHING ",\"mrr20\":" NOTHING ",\"uplift\":null,"
        "\"churn_rbo\":null,\"churn_jaccard\":null,\"lists\":null,\"held\":null,"
        "\"series\":{\"hit20\":[],\"churn_rbo\":[]}}]");
}

static void begin_part(struct json_writer *w, const char *name, bool up, const char *why)
{
    json_begin_object(w, name);
    json_bool(w, "up", up);
    json_text(w, "why", why);
}

static void write_health(struct daemon *daemon, struct json_writer *w)
{
    json_begin_object(w, "health");
    begin_part(w, "kafka", daemon->kafka_up, daemon->kafka_why);
    json_int(w, "lag", consumer_lag(daemon->consumer));
    json_end_object(w);
    begin_part(w, "redis", publisher_is_up(daemon->publisher), daemon->redis_why);
    json_end_object(w);
    begin_part(w, "state", !settling_failed(line_settling(daemon->line)), "");
    json_end_object(w);
    begin_part(w, "trainer", true, "");
    json_bool(w, "running", false);
    json_real(w, "last_s", 0);
    json_int(w, "refused_in_a_row", 0);
    json_end_object(w);
    json_end_object(w);
}

void daemon_overview(struct daemon *daemon, struct json_writer *w)
{
    json_int(w, "now", clock_wall_ms());
    json_text(w, "version", FRESHET_VERSION);
    json_text(w, "state", daemon->draining || daemon->leaving ? "draining" : "running");
    json_real6(w, "uptime_s", (double)(clock_monotonic_ns() - daemon->began_ns) * 1e-9);
    write_health(daemon, w);
    write_rest(w, "totals",
               "{\"events\":null,\"lists\":null,\"held\":null,\"owed\":null,\"dead\":null,"
               "\"items\":null}");
    write_rest(w, "latency", "{\"event_to_list_ms\":{\"p50\":null,\"p90\":null,\"p99\":null}}");
    write_rest(w, "generation",
               "{\"number\":null,\"age_s\":null,\"items\":null,\"rank\":null,\"ndcg20\":null}");
    json_int(w, "step_s", 5);
    write_rest(w, "series",
               "{\"t\":[],\"events_per_s\":[],\"lists_per_s\":[],\"lag\":[],"
               "\"event_to_list_p50_ms\":[],\"event_to_list_p99_ms\":[],\"churn_rbo\":[],"
               "\"churn_jaccard\":[],\"gap_closed\":[],\"drift\":[],\"hit20\":[],"
               "\"hit20_popular\":[],\"hit20_recent\":[]}");
    write_rest(w, "generations", "[]");
    daemon_arms(daemon, w);
}
