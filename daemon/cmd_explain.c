/* The subcommands that ask about one list: explain, whatif, similar. What they are told is JSON
 * (docs/MODEL.md, "Explaining a score"); here it is made readable. */
#include "base/mem.h"
#include "daemon/ask.h"
#include "daemon/command.h"
#include "model/similar.h"
#include "model/whatif.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHOWN_STANDARD "10" /* past events of explain, items of similar */
#define TIME_BYTES 32

/* UTC, to the minute. */
static void format_time(char text[TIME_BYTES], const struct json *object, const char *key)
{
    int64_t ms = json_get_int(object, key, INT64_MIN);
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    snprintf(text, TIME_BYTES, "?");
    if (ms != INT64_MIN && gmtime_r(&seconds, &utc) != NULL)
        strftime(text, TIME_BYTES, "%Y-%m-%d %H:%M", &utc);
}

static struct slice text_of(const struct json *object, const char *key)
{
    return json_get_string(object, key, SLICE(""));
}

static bool is_null(const struct json *object, const char *key)
{
    return json_type(json_get(object, key)) == JSON_NULL;
}

static void print_head(const struct json *answer)
{
    printf("user %.*s%s, arm %.*s, generation %" PRId64 "\n", SLICE_ARG(text_of(answer, "user")),
           json_get_bool(answer, "kept", true) ? "" : " (nothing is kept of this user here)",
           SLICE_ARG(text_of(answer, "arm")), json_get_int(answer, "generation", 0));
}

/* Asks, and prints the answer as it is or as `print` does; the exit status. */
static int tell(struct asking *asking, const char *config, bool as_json,
                void (*print)(const struct json *answer, int64_t shown), int64_t shown)
{
    struct error err = {0};
    struct json *answer;
    if (ask_daemon(asking, config, ASK_MS, &answer, &err) != 0)
        return command_fail(&err);
    if (as_json)
        ask_print_json(answer);
    else
        print(answer, shown);
    json_free(answer);
    return 0;
}

/* -- explain ----------------------------------------------------------------------------------- */

static void print_reason(const struct json *reason)
{
    const struct json *types = json_get(reason, "types");
    char time[TIME_BYTES];
    struct slice name = text_of(reason, "reason");
    printf("  left out: ");
    if (slice_equal(name, SLICE("seen"))) {
        printf("the user has had it");
        for (size_t i = 0; i < json_count(types); i++)
            printf("%s %.*s", i == 0 ? " by" : ",",
                   SLICE_ARG(json_to_string(json_at(types, i), SLICE("a type no longer named"))));
    } else if (slice_equal(name, SLICE("blocked"))) {
        printf("it is blocked");
    } else if (slice_equal(name, SLICE("not_yet"))) {
        format_time(time, reason, "from");
        printf("it is available from %s", time);
    } else if (slice_equal(name, SLICE("no_longer"))) {
        format_time(time, reason, "until");
        printf("it was available until %s", time);
    } else if (slice_equal(name, SLICE("category"))) {
        printf("it is of a category that lists leave out");
    } else if (slice_equal(name, SLICE("unknown"))) {
        printf("nobody ever named such an item");
    }
    printf("\n");
}

static void print_place(const struct json *answer)
{
    const struct json *list = json_get(answer, "list"), *why = json_get(answer, "why");
    double propensity = json_get_number(list, "propensity", 0);
    for (size_t i = 0; i < json_count(why); i++)
        print_reason(json_at(why, i));
    if (propensity > 0)
        printf("  rank %" PRId64 " of %" PRId64 ", to be explored (propensity %.3g)\n",
               json_get_int(list, "rank", 0), json_get_int(list, "count", 0), propensity);
    else if (!is_null(list, "rank"))
        printf("  rank %" PRId64 " of %" PRId64 "\n", json_get_int(list, "rank", 0),
               json_get_int(list, "count", 0));
    else if (json_get_bool(answer, "eligible", false))
        printf("  not in the list, whose last score is %.6f\n",
               json_get_number(list, "last_score", 0));
}

static bool is_kind(const struct json *term, const char *kind)
{
    return slice_equal(text_of(term, "kind"), slice_of(kind));
}

static int compare_terms(const void *left, const void *right)
{
    const struct json *const *a = left, *const *b = right;
    double x = fabs(json_get_number(*a, "score", 0)), y = fabs(json_get_number(*b, "score", 0));
    return (x < y) - (x > y);
}

static void print_event(const struct json *term)
{
    char time[TIME_BYTES];
    format_time(time, term, "ts");
    printf("    %+12.6f  %-16.*s %-10.*s %s  c %-9.4g  ", json_get_number(term, "score", 0),
           SLICE_ARG(text_of(term, "item")), SLICE_ARG(json_get_string(term, "type", SLICE("?"))),
           time, json_get_number(term, "confidence", 0));
    ask_print_text(text_of(term, "title"));
}

/* The events that matter most, and what the others come to. */
static void print_taste(const struct json *answer, const struct json *terms, int64_t shown)
{
    const struct json *factors = json_get(answer, "factors");
    const struct json **events = mem_array(NULL, json_count(terms) + 1, sizeof *events);
    size_t count = 0;
    double rest = 0;
    for (size_t i = 0; i < json_count(terms); i++)
        if (is_kind(json_at(terms, i), "taste"))
            events[count++] = json_at(terms, i);
    qsort(events, count, sizeof *events, compare_terms);
    if (!json_get_bool(factors, "user", false))
        printf("    the user has no factors\n");
    else if (!json_get_bool(factors, "item", false))
        printf("    the item is newer than the generation\n");
    else
        for (size_t i = 0; i < count; i++) {
            if ((int64_t)i < shown)
                print_event(events[i]);
            else
                rest += json_get_number(events[i], "score", 0);
            if (i + 1 == count && (int64_t)count > shown)
                printf("    %+12.6f  %zu more events\n", rest, count - (size_t)shown);
        }
    free(events);
}

static void print_trend(const struct json *term)
{
    printf("    %.6g x log(1 + %.6g events at a half-life of %.*s)\n",
           json_get_number(term, "weight", 0), json_get_number(term, "count", 0),
           SLICE_ARG(text_of(term, "half_life")));
}

static void print_together(const struct json *term)
{
    printf("    %+12.6f  %-16.*s %.6g x %.3g x %.4g events x %.4g  ",
           json_get_number(term, "score", 0), SLICE_ARG(text_of(term, "item")),
           json_get_number(term, "weight", 0), json_get_number(term, "fade", 0),
           json_get_number(term, "count", 0), json_get_number(term, "norm", 0));
    ask_print_text(text_of(term, "title"));
}

static void print_impressions(const struct json *term)
{
    printf("    shown %" PRId64 " times and passed over, at a discount of %.4g\n",
           json_get_int(term, "times", 0), json_get_number(term, "discount", 0));
}

static void print_kind(const struct json *answer, const char *kind,
                       void (*print)(const struct json *term), int64_t shown)
{
    const struct json *terms = json_get(answer, "terms");
    printf("  %-12s %12.6f\n", kind, json_get_number(json_get(answer, "sums"), kind, 0));
    if (print == NULL)
        print_taste(answer, terms, shown);
    for (size_t i = 0; print != NULL && i < json_count(terms); i++)
        if (is_kind(json_at(terms, i), kind))
            print(json_at(terms, i));
}

static void print_explain(const struct json *answer, int64_t shown)
{
    print_head(answer);
    printf("item %.*s  ", SLICE_ARG(text_of(answer, "item")));
    ask_print_text(text_of(answer, "title"));
    print_place(answer);
    if (json_count(json_get(answer, "terms")) == 0)
        return;
    print_kind(answer, "taste", NULL, shown);
    print_kind(answer, "trend", print_trend, shown);
    print_kind(answer, "together", print_together, shown);
    if (json_get_number(json_get(answer, "sums"), "impressions", 0) != 0)
        print_kind(answer, "impressions", print_impressions, shown);
    printf("  %-12s %12.6f\n", "score", json_get_number(answer, "score", 0));
}

int cmd_explain(int argc, char **argv)
{
    const char *config = NULL, *as_json = NULL, *arm = NULL, *shown_text = SHOWN_STANDARD;
    const char *names[2]; /* user, item */
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"json", NULL, "all terms, as one JSON object", &as_json},
        {"arm", "NAME", "as if the user were in this arm", &arm},
        {"n", "N", "past events that are shown (" SHOWN_STANDARD ")", &shown_text},
        {0},
    };
    const struct command_line line = {
        .synopsis = "explain USER ITEM --config FILE [--json] [--arm NAME] [-n N]",
        .summary = "Why an item has the score it has for a user: what each past event, the trend\n"
                   "and each of the latest items adds to it, and why it is not in the list if it\n"
                   "is not.",
        .rows = rows,
        .positional = names,
        .positional_max = 2,
        .positional_min = 2,
    };
    struct error err = {0};
    int64_t shown;
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if (command_number("n", shown_text, 0, INT32_MAX, &shown, &err) != 0)
        return command_fail(&err);
    struct asking asking;
    ask_begin(&asking, "explain");
    json_text(&asking.w, "user", names[0]);
    json_text(&asking.w, "item", names[1]);
    json_text(&asking.w, "arm", arm);
    return tell(&asking, config, as_json != NULL, print_explain, shown);
}

/* -- whatif ------------------------------------------------------------------------------------ */

static void print_rank(const struct json *place, const char *key)
{
    if (is_null(place, key))
        printf("%5s", "-");
    else
        printf("%5" PRId64, json_get_int(place, key, 0));
}

static void print_score(const struct json *place, const char *key)
{
    if (is_null(place, key))
        printf(" %10s", "-");
    else
        printf(" %10.4f", json_get_number(place, key, 0));
}

static const char *change_of(const struct json *place)
{
    if (is_null(place, "before"))
        return "new";
    if (is_null(place, "after"))
        return "left";
    int64_t up = json_get_int(place, "before", 0) - json_get_int(place, "after", 0);
    return up > 0 ? "up" : up < 0 ? "down" : "";
}

static void print_whatif(const struct json *answer, int64_t shown)
{
    const struct json *items = json_get(answer, "items"), *places = json_get(answer, "places");
    print_head(answer);
    printf("after %.*s of", SLICE_ARG(json_get_string(answer, "type", SLICE("?"))));
    for (size_t i = 0; i < json_count(items); i++)
        printf(" %.*s", SLICE_ARG(json_to_string(json_at(items, i), SLICE("?"))));
    printf("\n%5s %5s  %-4s  %-16s %10s %10s\n", "was", "is", "", "item", "score was", "is");
    for (size_t i = 0; i < json_count(places); i++) {
        const struct json *place = json_at(places, i);
        print_rank(place, "before");
        printf(" ");
        print_rank(place, "after");
        printf("  %-4s  %-16.*s", change_of(place), SLICE_ARG(text_of(place, "item")));
        print_score(place, "score_before");
        print_score(place, "score_after");
        printf("  ");
        ask_print_text(text_of(place, "title"));
    }
    printf("%" PRId64 " entered, %" PRId64 " left, %" PRId64
           " moved; 1 - Jaccard@20 %.4f, 1 - RBO %.4f\n",
           json_get_int(answer, "entered", 0), json_get_int(answer, "left", 0),
           json_get_int(answer, "moved", 0), json_get_number(answer, "jaccard_distance", 0),
           json_get_number(answer, "rbo_distance", 0));
}

/* names: [1 + WHATIF_ITEMS_MAX + 1], the user and then +ITEM, ended by NULL. */
static int write_items(struct json_writer *w, const char **names, struct error *err)
{
    json_begin_array(w, "items");
    for (size_t i = 1; names[i] != NULL; i++) {
        if (names[i][0] != '+' || names[i][1] == '\0')
            return error_set(err, ERR_USAGE, "an item is written +ITEM, not \"%s\"", names[i]);
        json_text(w, NULL, names[i] + 1);
    }
    json_end_array(w);
    return 0;
}

int cmd_whatif(int argc, char **argv)
{
    const char *config = NULL, *as_json = NULL, *arm = NULL, *type = NULL;
    const char *names[1 + WHATIF_ITEMS_MAX + 1] = {NULL};
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"json", NULL, "both lists, as one JSON object", &as_json},
        {"arm", "NAME", "as if the user were in this arm", &arm},
        {"type", "TYPE", "of the events (the default type, else the first that counts)", &type},
        {0},
    };
    const struct command_line line = {
        .synopsis = "whatif USER +ITEM... --config FILE [--type TYPE] [--json] [--arm NAME]",
        .summary = "The list a user would get if he had just had an event with each of these\n"
                   "items, beside the one he would get as things are. Nothing is published, and\n"
                   "nothing is learned.",
        .rows = rows,
        .positional = names,
        .positional_max = 1 + WHATIF_ITEMS_MAX,
        .positional_min = 2,
    };
    struct error err = {0};
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    struct asking asking;
    ask_begin(&asking, "whatif");
    json_text(&asking.w, "user", names[0]);
    json_text(&asking.w, "type", type);
    json_text(&asking.w, "arm", arm);
    if (write_items(&asking.w, names, &err) != 0) {
        buffer_deinit(&asking.request);
        return command_fail(&err);
    }
    return tell(&asking, config, as_json != NULL, print_whatif, 0);
}

/* -- similar ----------------------------------------------------------------------------------- */

static void print_nearest(const struct json *list)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *item = json_at(list, i);
        printf("%4zu  %-16.*s %8.4f  ", i + 1, SLICE_ARG(text_of(item, "item")),
               json_get_number(item, "cosine", 0));
        ask_print_text(text_of(item, "title"));
    }
}

static void print_similar(const struct json *answer, int64_t shown)
{
    const struct json *together = json_get(answer, "together");
    printf("item %.*s  ", SLICE_ARG(text_of(answer, "item")));
    ask_print_text(text_of(answer, "title"));
    printf("nearest by factors, generation %" PRId64 "%s\n", json_get_int(answer, "generation", 0),
           json_get_bool(answer, "has_factors", false) ? "" : ": the item has none");
    print_nearest(json_get(answer, "by_factors"));
    printf("going together most, horizon %.*s, direction %.*s\n",
           SLICE_ARG(text_of(together, "horizon")), SLICE_ARG(text_of(together, "direction")));
    print_nearest(json_get(answer, "by_together"));
}

int cmd_similar(int argc, char **argv)
{
    const char *config = NULL, *as_json = NULL, *arm = NULL, *n_text = SHOWN_STANDARD;
    const char *item = NULL;
    const struct option_row rows[] = {
        {"config", "FILE", "the settings", &config},
        {"json", NULL, "as one JSON object", &as_json},
        {"arm", "NAME", "by the generation of this arm, not control's", &arm},
        {"n", "N", "items in each list (" SHOWN_STANDARD ")", &n_text},
        {0},
    };
    const struct command_line line = {
        .synopsis = "similar ITEM --config FILE [--json] [--arm NAME] [-n N]",
        .summary = "The items nearest to one by their factors, and those that go together with\n"
                   "it most.",
        .rows = rows,
        .positional = &item,
        .positional_max = 1,
        .positional_min = 1,
    };
    struct error err = {0};
    int64_t n;
    int status;
    if (!command_begin(&line, argc, argv, &status))
        return status;
    if (command_number("n", n_text, 1, SIMILAR_MAX, &n, &err) != 0)
        return command_fail(&err);
    struct asking asking;
    ask_begin(&asking, "similar");
    json_text(&asking.w, "item", item);
    json_text(&asking.w, "arm", arm);
    json_int(&asking.w, "n", n);
    return tell(&asking, config, as_json != NULL, print_similar, 0);
}
