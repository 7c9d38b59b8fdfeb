#include "base/json.h"
#include "daemon/experiment_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE "experiment"

/* As text: JSON's numbers are too short for it. */
static void write_hash(struct json_writer *w, const char *key, uint64_t hash)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    json_text(w, key, text);
}

static uint64_t hash_from(struct slice hex)
{
    char text[17];
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(hex));
    return strtoull(text, NULL, 16);
}

static uint64_t read_hash(const struct json *json, const char *key)
{
    return hash_from(json_get_string(json, key, SLICE("0")));
}

static const struct settings_arm *control_of(const struct settings *settings)
{
    uint32_t i = 0;
    while (!settings->arms[i].control)
        i++;
    return &settings->arms[i];
}

void experiment_write_note(const struct experiment *experiment)
{
    struct buffer text = {0};
    struct json_writer w = {&text, false};
    const struct settings *settings = experiment->settings;
    json_begin_object(&w, NULL);
    json_text(&w, "id", settings->experiment.id);
    write_hash(&w, "in_force", experiment->noted_fingerprint);
    json_int(&w, "phase", experiment->phase);
    json_begin_array(&w, "arms");
    for (uint32_t i = 0; i < settings->arm_count; i++) {
        const struct scoreboard_arm *arm = &experiment->scoreboard.arms[i];
        json_begin_object(&w, NULL);
        json_text(&w, "name", settings->arms[i].name);
        json_bool(&w, "stopped", experiment->states[i].stopped);
        json_text(&w, "why", experiment->states[i].why);
        json_real(&w, "hit20_evidence", arm->hit20_test.evidence);
        json_real(&w, "mrr20_evidence", arm->mrr20_test.evidence);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_begin_array(&w, "trials");
    for (size_t i = 0; i < experiment->known_count; i++)
        write_hash(&w, NULL, experiment->known[i]);
    json_end_array(&w);
    json_text(&w, "control", control_of(settings)->name);
    json_real(&w, "scale", settings->experiment.scale);
    json_bool(&w, "counted", experiment->counted);
    write_hash(&w, "shares", experiment->shares);
    json_bool(&w, "ratio_void", experiment->scoreboard.ratio_void);
    json_real(&w, "ratio_evidence", experiment->scoreboard.ratio_test.evidence);
    json_end_object(&w);
    if (!slice_equal(history_note(experiment->history, NOTE), buffer_slice(&text)))
        history_set_note(experiment->history, NOTE, buffer_slice(&text));
    buffer_deinit(&text);
}

/* Evidence against another control, or by another test, is none of this one's. */
static bool is_same_test(const struct experiment *experiment, const struct json *json)
{
    const struct settings *settings = experiment->settings;
    struct slice control = json_get_string(json, "control", SLICE(""));
    return slice_equal(control, slice_of(control_of(settings)->name)) &&
           json_get_number(json, "scale", 0) == settings->experiment.scale;
}

static void read_trials(struct experiment *experiment, const struct json *trials)
{
    experiment->known_count = 0;
    for (size_t i = 0; i < json_count(trials) && i < TRIALS_MAX; i++)
        experiment->known[experiment->known_count++] =
            hash_from(json_to_string(json_at(trials, i), SLICE("0")));
}

static void read_arm(struct experiment *experiment, const struct json *noted, bool same_test)
{
    struct slice name = json_get_string(noted, "name", SLICE(""));
    for (uint32_t i = 0; i < experiment->settings->arm_count; i++) {
        if (!slice_equal(name, slice_of(experiment->settings->arms[i].name)))
            continue;
        experiment->states[i].stopped = json_get_bool(noted, "stopped", false);
        snprintf(experiment->states[i].why, STOP_REASON_MAX, "%.*s",
                 SLICE_ARG(json_get_string(noted, "why", SLICE(""))));
        struct scoreboard_arm *arm = &experiment->scoreboard.arms[i];
        if (!same_test)
            continue;
        arm->hit20_test.evidence = json_get_number(noted, "hit20_evidence", 0);
        arm->mrr20_test.evidence = json_get_number(noted, "mrr20_evidence", 0);
    }
}

bool experiment_has_note(const struct experiment *experiment)
{
    return history_note(experiment->history, NOTE).length > 0;
}

/* What the state knows of this experiment; of another: nothing. */
static struct json *parse_note(const struct experiment *experiment)
{
    struct error err = {0};
    struct slice note = history_note(experiment->history, NOTE);
    struct json *json = note.length > 0 ? json_parse(note, &err) : NULL;
    struct slice id = json_get_string(json, "id", SLICE(""));
    if (json != NULL && slice_equal(id, slice_of(experiment->settings->experiment.id)))
        return json;
    json_free(json);
    return NULL;
}

void experiment_read_note(struct experiment *experiment)
{
    memset(experiment->states, 0, sizeof experiment->states);
    experiment->scoreboard = (struct scoreboard){0};
    struct json *json = parse_note(experiment);
    const struct json *arms = json_get(json, "arms");
    bool starts_later = !experiment_is_unset(experiment->settings->experiment.start_ms);
    experiment->phase = (enum experiment_phase)json_get_int(
        json, "phase", starts_later ? EXPERIMENT_WAITING : EXPERIMENT_RUNNING);
    for (size_t i = 0; i < json_count(arms); i++)
        read_arm(experiment, json_at(arms, i), is_same_test(experiment, json));
    read_trials(experiment, json_get(json, "trials"));
    experiment->counted = json_get_bool(json, "counted", false);
    experiment->shares = read_hash(json, "shares");
    experiment->scoreboard.ratio_void = json_get_bool(json, "ratio_void", false);
    experiment->scoreboard.ratio_test.evidence = json_get_number(json, "ratio_evidence", 0);
    experiment->noted_fingerprint = read_hash(json, "in_force");
    json_free(json);
}
