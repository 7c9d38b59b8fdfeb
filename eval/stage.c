#include "eval/stage.h"
#include "base/clock.h"
#include "base/mem.h"
#include "eval/crew.h"
#include "eval/training.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH_EVENTS 1024   /* learned at once where nothing is asked for in between */
#define COMMIT_EVENTS 20000 /* users changed stay in memory until they are committed */

struct stage {
    const struct stream *stream;
    struct stage_settings settings;
    char dir[4096];
    bool has_loop;
    uv_loop_t loop;
    struct history *history;
    struct batch batch;   /* not yet learned */
    struct slate *slates; /* [slates_count], for lists made side by side */
    size_t slates_count;
    struct crew *crew;
    bool one_by_one;         /* scorers share what is cached with a user (update: sgd) */
    struct scorer **scorers; /* [scorer_count] */
    size_t scorer_count;
    int64_t next_offset;
    size_t uncommitted;
    uint32_t *state_item;  /* [stream items]: the history's number, or UINT32_MAX */
    uint32_t *stream_item; /* [items_met]: and back */
    uint32_t items_met;
};

/* -- the directory ----------------------------------------------------------------------------- */

static int make_directory(struct stage *stage, struct error *err)
{
    if (stage->settings.keep_dir != NULL) {
        snprintf(stage->dir, sizeof stage->dir, "%s", stage->settings.keep_dir);
        if (mkdir(stage->dir, 0700) != 0)
            return error_set(err, ERR_IO, "%s must be a directory that is not there yet: %s",
                             stage->dir, strerror(errno));
        return 0;
    }
    const char *under = getenv("TMPDIR");
    snprintf(stage->dir, sizeof stage->dir, "%s/freshet-eval-XXXXXX",
             under != NULL && *under != '\0' ? under : "/tmp");
    if (mkdtemp(stage->dir) == NULL)
        return error_set(err, ERR_IO, "%s: %s", stage->dir, strerror(errno));
    return 0;
}

static void remove_files(const char *dir)
{
    DIR *opened = opendir(dir);
    if (opened == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(opened)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(opened), entry->d_name, 0);
    closedir(opened);
}

static void remove_directory(const struct stage *stage)
{
    char generations[4200];
    snprintf(generations, sizeof generations, "%s/generations", stage->dir);
    remove_files(generations);
    rmdir(generations);
    remove_files(stage->dir);
    rmdir(stage->dir);
}

/* -- opening and closing ----------------------------------------------------------------------- */

static int open_history(struct stage *stage, struct error *err)
{
    int32_t partition = 0;
    stage->settings.history.state.dir = stage->dir;
    stage->settings.train.state = stage->settings.history.state;
    stage->settings.train.topic = stage->settings.history.topic;
    if (uv_loop_init(&stage->loop) != 0)
        return error_set(err, ERR_DOWN, "no event loop");
    stage->has_loop = true;
    if (history_open(&stage->history, &stage->loop, &stage->settings.history, scorer_release_cache,
                     err) != 0)
        return err->code;
    return history_assign(stage->history, &partition, 1, err);
}

int stage_open(struct stage **stage, const struct stream *stream,
               const struct stage_settings *settings, struct error *err)
{
    if (stream->items.count > ITEMS_MAX)
        return error_set(err, ERR_DATA, "more than %d items", ITEMS_MAX);
    struct stage *opened = mem_zalloc(sizeof *opened);
    opened->stream = stream;
    opened->settings = *settings;
    if (make_directory(opened, err) != 0) {
        free(opened);
        return err->code;
    }
    batch_init(&opened->batch);
    opened->crew = crew_new(settings->threads);
    opened->state_item = mem_array(NULL, stream->items.count, sizeof *opened->state_item);
    opened->stream_item = mem_array(NULL, stream->items.count, sizeof *opened->stream_item);
    for (uint32_t i = 0; i < stream->items.count; i++)
        opened->state_item[i] = UINT32_MAX;
    if (open_history(opened, err) != 0) {
        stage_close(opened);
        return err->code;
    }
    *stage = opened;
    return 0;
}

void stage_close(struct stage *stage)
{
    if (stage == NULL)
        return;
    while (stage->scorer_count > 0)
        stage_scorer_free(stage, stage->scorers[0]);
    for (size_t i = 0; i < stage->slates_count; i++)
        slate_deinit(&stage->slates[i]);
    free(stage->slates);
    crew_free(stage->crew);
    if (stage->history != NULL)
        history_close(stage->history);
    if (stage->has_loop) {
        uv_run(&stage->loop, UV_RUN_DEFAULT);
        uv_loop_close(&stage->loop);
    }
    if (stage->settings.keep_dir == NULL)
        remove_directory(stage);
    batch_deinit(&stage->batch);
    free(stage->scorers);
    free(stage->state_item);
    free(stage->stream_item);
    free(stage);
}

int stage_go_on(const struct stage *stage, struct error *err)
{
    if (stage->settings.stop != NULL && *stage->settings.stop != 0)
        return error_set(err, ERR_DOWN, "interrupted");
    return 0;
}

/* -- learning ---------------------------------------------------------------------------------- */

/* The history numbers items in the order of first sight, and so does the stage. */
static void meet(struct stage *stage, uint32_t item)
{
    if (stage->state_item[item] != UINT32_MAX)
        return;
    stage->state_item[item] = stage->items_met;
    stage->stream_item[stage->items_met++] = item;
}

static void learn_batch(struct stage *stage)
{
    struct learned learned;
    if (stage->batch.count == 0)
        return;
    history_learn(stage->history, &stage->batch, NULL, NULL, &learned);
    batch_clear(&stage->batch);
    for (size_t i = 0; i < stage->scorer_count; i++)
        scorer_learned(stage->scorers[i], &learned);
}

int stage_learn(struct stage *stage, const struct stream_event *event, struct error *err)
{
    struct slice user = ids_text(&stage->stream->users, event->user);
    struct event *added = batch_add(&stage->batch);
    meet(stage, event->item);
    added->kind = EVENT_INTERACTION;
    added->type = event->type;
    added->offset = stage->next_offset++;
    added->record_ts_ms = added->ts_ms = event->ts_ms;
    added->value = event->value;
    added->user = added->key = user;
    added->item = ids_text(&stage->stream->items, event->item);
    added->pos = -1;
    if (stage->batch.count >= BATCH_EVENTS)
        learn_batch(stage);
    if (++stage->uncommitted < COMMIT_EVENTS)
        return 0;
    return stage_commit(stage, err);
}

struct saving {
    bool done;
    struct error err;
};

static void committed(const struct error *err, const int32_t *partitions,
                      const int64_t *next_offsets, size_t count, void *arg)
{
    struct saving *saving = arg;
    saving->done = true;
    if (err != NULL)
        saving->err = *err;
}

int stage_commit(struct stage *stage, struct error *err)
{
    struct saving saving = {0};
    learn_batch(stage);
    stage->uncommitted = 0;
    if (!history_is_dirty(stage->history))
        return 0;
    if (!history_commit(stage->history, committed, &saving))
        return error_set(err, ERR_BUG, "a commit is under way");
    while (!saving.done)
        uv_run(&stage->loop, UV_RUN_ONCE);
    assert(items_count(history_items(stage->history)) == stage->items_met);
    return saving.err.code == 0 ? 0 : error_set(err, saving.err.code, "%s", saving.err.text);
}

/* -- training ---------------------------------------------------------------------------------- */

int stage_train(struct stage *stage, const struct train_settings *settings,
                struct generation **generation, struct error *err)
{
    struct train_settings train = settings != NULL ? *settings : stage->settings.train;
    char path[4300];
    uint64_t number;
    *generation = NULL;
    train.state = stage->settings.train.state;
    train.topic = stage->settings.train.topic;
    if (stage_commit(stage, err) != 0 || stage_go_on(stage, err) != 0)
        return err->code;
    if ((uint64_t)stage->next_offset < train.interactions_min)
        return 0;
    if (training_run(&train, stage->settings.stop, &number, err) != 0)
        return err->code;
    if (number == 0)
        return 0;
    generation_path(path, sizeof path, stage->dir, 0, number);
    return generation_read(generation, path, err);
}

int stage_make_live(struct stage *stage, const struct generation *generation, bool *live,
                    struct error *err)
{
    const struct state_series *series = history_series(stage->history, 0);
    *live = generation->gate != GATE_REFUSED;
    if (*live)
        history_announce_swap(stage->history, 0, generation->number, generation->number);
    else
        history_set_generation(stage->history, 0, series->generation, generation->number,
                               series->gate_refusals + 1);
    if (stage_commit(stage, err) != 0)
        return err->code;
    if (*live)
        history_take_swap(stage->history);
    return generation_prune(stage->dir, 0, stage->settings.generations_keep,
                            history_series(stage->history, 0)->generation, err);
}

/* -- scoring ----------------------------------------------------------------------------------- */

struct scorer *stage_scorer_new(struct stage *stage, const struct scorer_settings *settings)
{
    learn_batch(stage);
    struct scorer *scorer = scorer_new(stage->history, settings);
    stage->one_by_one |= settings->update == UPDATE_SGD;
    stage->scorers = mem_array(stage->scorers, stage->scorer_count + 1, sizeof(struct scorer *));
    stage->scorers[stage->scorer_count++] = scorer;
    return scorer;
}

void stage_scorer_free(struct stage *stage, struct scorer *scorer)
{
    for (size_t i = 0; i < stage->scorer_count; i++)
        if (stage->scorers[i] == scorer) {
            stage->scorers[i] = stage->scorers[--stage->scorer_count];
            scorer_free(scorer);
            return;
        }
}

int stage_install(struct stage *stage, struct scorer *scorer, const struct generation *generation,
                  struct error *err)
{
    char path[4300];
    struct generation *own;
    learn_batch(stage);
    generation_path(path, sizeof path, stage->dir, 0, generation->number);
    if (generation_read(&own, path, err) != 0)
        return err->code;
    if (generation_prepare(own, err) != 0) {
        generation_free(own);
        return err->code;
    }
    scorer_install(scorer, own);
    return 0;
}

int stage_user(struct stage *stage, uint32_t user, struct user **found, struct error *err)
{
    struct error why = {0};
    learn_batch(stage);
    *found = history_user(stage->history, 0, ids_text(&stage->stream->users, user), &why);
    if (*found == NULL && why.code != 0)
        return error_set(err, why.code, "%s", why.text);
    return 0;
}

struct scoring {
    struct stage *stage;
    struct asked *asked;
};

/* What may be done beside other scorers. */
static void score(size_t number, void *arg)
{
    const struct scoring *scoring = arg;
    struct stage *stage = scoring->stage;
    struct asked *asked = &scoring->asked[number];
    scorer_run(asked->scorer, &stage->slates[number]);
    const struct slate_list *list = &stage->slates[number].lists[0];
    asked->count = list->count;
    for (uint32_t i = 0; i < list->count; i++)
        asked->list[i] = stage->stream_item[list->items[i].item];
}

static void reserve_slates(struct stage *stage, size_t count)
{
    if (count <= stage->slates_count)
        return;
    stage->slates = mem_array(stage->slates, count, sizeof *stage->slates);
    for (; stage->slates_count < count; stage->slates_count++)
        stage->slates[stage->slates_count] = (struct slate){0};
}

int stage_lists(struct stage *stage, uint32_t user, struct asked *asked, size_t count,
                struct error *err)
{
    struct user *known;
    struct scoring scoring = {stage, asked};
    if (stage_user(stage, user, &known, err) != 0)
        return err->code;
    reserve_slates(stage, count);
    for (size_t i = 0; i < count; i++)
        if (known != NULL)
            scorer_add(asked[i].scorer, &stage->slates[i], known);
        else
            scorer_add_popular(asked[i].scorer, &stage->slates[i]);
    if (stage->one_by_one)
        for (size_t i = 0; i < count; i++)
            score(i, &scoring);
    else
        crew_run(stage->crew, count, score, &scoring);
    for (size_t i = 0; i < count; i++) {
        if (known != NULL)
            history_unpin(stage->history, known);
        slate_clear(&stage->slates[i]);
    }
    return 0;
}

int stage_has_seen(struct stage *stage, uint32_t user, uint32_t item, bool *seen, struct error *err)
{
    struct user *known;
    if (stage_user(stage, user, &known, err) != 0)
        return err->code;
    *seen = known != NULL && stage->state_item[item] != UINT32_MAX &&
            user_has_seen(known->record, stage->state_item[item]);
    return 0;
}

struct history *stage_history(struct stage *stage)
{
    learn_batch(stage);
    return stage->history;
}

uint32_t stage_item(const struct stage *stage, uint32_t item)
{
    return stage->state_item[item];
}
