/* `freshet eval`: how good are the lists, on a recorded stream? */
#include "daemon/judging.h"

#include <inttypes.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRAINS 40
#define DAY_MS 86400000

struct eval_options {
    const char *config, *protocol, *from, *to, *seed, *retrains, *every, *sample, *k, *chr_min;
    const char *methods, *threads, *json, *dump, *keep;
};

/* -- parsing ----------------------------------------------------------------------------------- */

static int parse_protocol(const char *text, enum protocol *protocol, struct error *err)
{
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (strcmp(text, protocol_names[p]) == 0) {
            *protocol = (enum protocol)p;
            return 0;
        }
    return error_set(err, ERR_USAGE,
                     "--protocol wants prequential, split or leave-last-out, not \"%s\"", text);
}

/* "10,20", each once, in any order. */
static int parse_ks(const char *text, struct eval_settings *eval, struct error *err)
{
    eval->k_count = 0;
    for (const char *at = text; at != NULL; at = strchr(at, ',')) {
        char *end;
        at += *at == ',';
        long k = strtol(at, &end, 10);
        if (end == at || (*end != ',' && *end != '\0') || k < 1 || k > 1000 ||
            eval->k_count == FIGURES_KS_MAX)
            return error_set(err, ERR_USAGE,
                             "--k wants up to %d numbers from 1 to 1000, like 10,20, not \"%s\"",
                             FIGURES_KS_MAX, text);
        uint32_t place = eval->k_count++;
        for (; place > 0 && eval->ks[place - 1] > (uint32_t)k; place--)
            eval->ks[place] = eval->ks[place - 1];
        eval->ks[place] = (uint32_t)k;
        if (place > 0 && eval->ks[place - 1] == (uint32_t)k)
            return error_set(err, ERR_USAGE, "--k has %ld twice", k);
    }
    return 0;
}

static int parse_methods(const char *text, unsigned *methods, struct error *err)
{
    *methods = 0;
    for (const char *at = text; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        size_t length = strcspn(at, ",");
        int m = 0;
        while (m < METHOD_COUNT &&
               (strlen(method_names[m]) != length || strncmp(at, method_names[m], length) != 0))
            m++;
        if (m == METHOD_COUNT)
            return error_set(err, ERR_USAGE,
                             "--methods wants some of popular,recent,cooccurrence,als,freshet, not "
                             "\"%s\"",
                             text);
        *methods |= 1u << m;
    }
    return 0;
}

/* 90s, 15m, 6h, 30d. */
static int parse_duration(const char *text, int64_t *ms, struct error *err)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", DAY_MS}};
    char *end;
    double number = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (end != text && number > 0 && number < 1e9 && strcmp(end, units[i].unit) == 0) {
            *ms = (int64_t)(number * units[i].ms);
            if (*ms > 0)
                return 0;
        }
    return error_set(err, ERR_USAGE, "--every wants a duration like 6h or 30d, not \"%s\"", text);
}

static int parse_value(const char *text, double *value, struct error *err)
{
    char *end;
    *value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(*value))
        return error_set(err, ERR_USAGE, "--chr-min wants a number, not \"%s\"", text);
    return 0;
}

/* What needs no recording. seed: also of the stream's order. */
static int parse_options(const struct eval_options *options, struct eval_settings *eval,
                         int64_t *threads, struct error *err)
{
    int64_t seed = 1, retrains = RETRAINS, sample = 0;
    if ((options->protocol && parse_protocol(options->protocol, &eval->protocol, err) != 0) ||
        (options->seed && command_number("seed", options->seed, 0, INT64_MAX, &seed, err) != 0) ||
        (options->retrains &&
         command_number("retrains", options->retrains, 0, 100000, &retrains, err) != 0) ||
        (options->every && parse_duration(options->every, &eval->every_ms, err) != 0) ||
        (options->sample &&
         command_number("sample", options->sample, 1, INT64_MAX, &sample, err) != 0) ||
        (options->threads && command_number("threads", options->threads, 1, 256, threads, err)) ||
        (options->chr_min && parse_value(options->chr_min, &eval->chr_min, err) != 0) ||
        (options->methods && parse_methods(options->methods, &eval->methods, err) != 0) ||
        parse_ks(options->k ? options->k : "10,20", eval, err) != 0)
        return err->code;
    if (options->every != NULL && options->retrains != NULL)
        return error_set(err, ERR_USAGE, "--every and --retrains exclude each other");
    eval->seed = (uint64_t)seed;
    eval->retrains = (size_t)retrains;
    eval->sample = (size_t)sample;
    return 0;
}

static int parse_part(const struct eval_options *options, const struct stream *stream,
                      struct eval_settings *eval, struct error *err)
{
    const char *from = eval->protocol == PROTOCOL_LEAVE_LAST_OUT ? "0" : "0.6";
    if (stream_place(stream, "from", options->from ? options->from : from, &eval->from, err) != 0 ||
        stream_place(stream, "to", options->to ? options->to : "1", &eval->to, err) != 0)
        return err->code;
    if (eval->from >= eval->to)
        return error_set(err, ERR_USAGE, "nothing lies between --from and --to");
    return 0;
}

/* -- running ----------------------------------------------------------------------------------- */

static void show(const struct eval_progress *progress, void *arg)
{
    char text[128], ndcg[32] = "";
    if (!isnan(progress->ndcg))
        snprintf(ndcg, sizeof ndcg, ", ndcg %.4f", progress->ndcg);
    snprintf(text, sizeof text, "%s: %zu events, %zu judged%s", progress->stage, progress->events,
             progress->judged, ndcg);
    judging_show(arg, progress->share, text);
}

static int print_result(const struct judging *judging, const struct eval_settings *eval,
                        const struct eval_result *result, bool json, struct error *err)
{
    struct buffer out = {0};
    if (json)
        eval_write_json(&out, &judging->stream, eval, result);
    else
        eval_write_table(&out, &judging->stream, eval, result);
    fwrite(out.data, 1, out.length, stdout);
    buffer_deinit(&out);
    return judging_printed(err);
}

static int run(struct judging *judging, const struct eval_options *options,
               struct eval_settings *eval, struct error *err)
{
    struct eval_result result;
    eval->stage = judging->stage;
    eval->stage.keep_dir = options->keep;
    eval->scorer = judging->scorer;
    eval->progress = show;
    eval->arg = judging;
    if (parse_part(options, &judging->stream, eval, err) != 0)
        return err->code;
    if (options->dump != NULL && (eval->dump = fopen(options->dump, "w")) == NULL)
        return error_set(err, ERR_IO, "%s: %s", options->dump, strerror(errno));
    int failed = eval_run(&judging->stream, eval, &result, err);
    if (eval->dump != NULL && fclose(eval->dump) != 0 && !failed)
        failed = error_set(err, ERR_IO, "%s: %s", options->dump, strerror(errno));
    progress_end(&judging->progress);
    if (failed)
        return failed;
    failed = print_result(judging, eval, &result, options->json != NULL, err);
    eval_result_deinit(&result);
    return failed;
}

int cmd_eval(int argc, char **argv)
{
    struct eval_options options = {0};
    const char *path = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings to judge; default: the defaults", &options.config},
        {"protocol", "P", "prequential (default), split or leave-last-out", &options.protocol},
        {"from", "WHEN", "the judged part begins: a share of the events or a time; default 0.6",
         &options.from},
        {"to", "WHEN", "and ends; default 1", &options.to},
        {"seed", "N", "of the order of equal times and of all that is drawn; default 1",
         &options.seed},
        {"retrains", "N", "cut the stream in so many parts, train between them; default 40",
         &options.retrains},
        {"every", "DURATION", "train that often in stream time instead: 6h, 30d", &options.every},
        {"sample", "N", "judge at most so many events (users, where lists are frozen)",
         &options.sample},
        {"k", "K,K", "list lengths that are judged; default 10,20", &options.k},
        {"chr-min", "VALUE", "cHR counts hits from this value on; default the median",
         &options.chr_min},
        {"methods", "M,M", "some of popular,recent,cooccurrence,als,freshet; default all",
         &options.methods},
        {"threads", "N", "that train and make lists; default one a processor", &options.threads},
        {"json", NULL, "print one JSON object instead of a table", &options.json},
        {"dump", "FILE", "write each judged list there, as JSON lines", &options.dump},
        {"keep", "DIR", "work in this new directory and leave it; default a temporary one",
         &options.keep},
        {0},
    };
    const struct command_line line = {
        .synopsis = "eval FILE [--config FILE] [options]",
        .summary = "Judges the lists that freshet would have made on a recorded stream (.tsv or "
                   "JSON lines, also\n"
                   ".zst), beside popular and recent items, co-occurrence and plain ALS. No Kafka, "
                   "no Redis.",
        .rows = rows,
        .positional = &path,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    struct judging judging;
    struct eval_settings eval = {.chr_min = NAN, .methods = (1u << METHOD_COUNT) - 1};
    int64_t threads = judging_threads();
    bool help;
    if (command_parse(&line, argc, argv, &help, &err) != 0)
        return command_fail(&err);
    if (help)
        return 0;
    if (parse_options(&options, &eval, &threads, &err) != 0 ||
        judging_open(&judging, options.config, path, eval.seed, threads, &err) != 0)
        return judging_fail(&err);
    int failed = run(&judging, &options, &eval, &err);
    judging_close(&judging);
    return failed ? judging_fail(&err) : 0;
}
