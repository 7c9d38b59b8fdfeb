/* A backup has all that was there, or is refused with what is wrong with it. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "generation_sample.h"
#include "history_fixture.h"
#include "model/backup.h"
#include "model/generation.h"

#include <inttypes.h>
#include <sys/stat.h>

#define OTHER 0xabcu /* a series beside the base's */
#define MANIFEST_MAX 4096

static char backup_dir[128];

/* "PLACE/NAME", of the state's directory; "-backup/NAME" of the backup's. */
static const char *in(const struct place *place, const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 256, "%s%s", place->dir, name);
    return path;
}

static void add_generation(const struct place *place, uint64_t key, uint64_t number)
{
    char path[256];
    struct error err = {0};
    struct generation *generation = sample_generation(number);
    generation_make_dir(place->dir, key, NULL);
    generation_path(path, sizeof path, place->dir, key, number);
    if (generation_write(generation, path, &err) != 0)
        fail_msg("%s", err.text);
    generation_free(generation);
}

/* A state of two series and one partition, closed. */
static int set_up_state(void **at)
{
    if (set_up(at) != 0)
        return -1;
    struct place *place = *at;
    struct error err = {0};
    open_history(place);
    assert_int_equal(history_bind(place->history, "a cluster", 2, &err), 0);
    assign(place, 2);
    click(place, 7, "anna", "i1", MINUTE_MS);
    click(place, 8, "ben", "i2", 2 * MINUTE_MS);
    learn(place);
    struct state_others alone = {0};
    history_join(place->history, &alone); /* an epoch */
    history_set_generation(place->history, 0, 2, 2, 0);
    history_set_generation(place->history, OTHER, 5, 5, 0);
    commit(place);
    close_history(place);
    add_generation(place, 0, 1);
    add_generation(place, 0, 2);
    add_generation(place, OTHER, 5);
    snprintf(backup_dir, sizeof backup_dir, "%s-backup", place->dir);
    return 0;
}

static int tear_down_state(void **at)
{
    const struct place *place = *at;
    struct error err;
    file_remove_tree(in(place, "/generations"), &err);
    file_remove_tree(in(place, "-backup"), &err);
    file_remove_tree(in(place, "-backup.partial"), &err);
    file_remove_tree(in(place, "-aside"), &err);
    return tear_down(at);
}

static int try_backup(struct place *place, struct backup **made, struct error *err)
{
    struct backup_settings settings = {place->settings.state, TOPIC, ITEMS_TOPIC};
    return backup_write(made, &settings, backup_dir, NULL, NULL, err);
}

static void make_backup(struct place *place)
{
    struct backup *made;
    struct error err = {0};
    if (try_backup(place, &made, &err) != 0)
        fail_msg("%s", err.text);
    backup_free(made);
    assert_false(file_exists(in(place, "-backup.partial")));
    assert_false(file_exists(in(place, "-backup/lock.mdb")));
}

static struct backup *read_backup(void)
{
    struct backup *read;
    struct error err = {0};
    if (backup_read(&read, backup_dir, &err) != 0)
        fail_msg("%s", err.text);
    return read;
}

/* -- there and back ---------------------------------------------------------------------------- */

static void test_the_manifest_says_what_is_in_the_backup(void **at)
{
    struct place *place = *at;
    int64_t before_ms = clock_wall_ms();
    make_backup(place);
    struct backup *read = read_backup();
    assert_int_equal(read->state_format, STATE_FORMAT);
    assert_true(read->made_ms >= before_ms && read->epoch > 0);
    assert_string_equal(read->cluster_id, "a cluster");
    assert_string_equal(read->topic, "events");
    assert_string_equal(read->items_topic, "items");
    assert_int_equal(read->partition_count, 2);
    assert_int_equal(read->live_count, 2);
    assert_int_equal(read->live[0].generation, 2);
    assert_int_equal(read->live[1].key, OTHER);
    assert_int_equal(read->live[1].generation, 5);
    assert_int_equal(read->offset_count, 1);
    assert_string_equal(read->offsets[0].topic, "events");
    assert_int_equal(read->offsets[0].partition, 0);
    assert_int_equal(read->offsets[0].next_offset, 9);
    assert_int_equal(read->file_count, 4);
    assert_string_equal(read->files[0].name, "data.mdb");
    assert_string_equal(read->files[3].name, "generations/0000000000000abc/00000005.gen");
    backup_free(read);
}

struct moved {
    uint64_t bytes, of;
    int calls;
};

static void on_moved(const char *stage, uint64_t bytes, uint64_t of, void *arg)
{
    struct moved *moved = arg;
    assert_string_equal(stage, "copying");
    assert_true(bytes >= moved->bytes && bytes <= of);
    *moved = (struct moved){bytes, of, moved->calls + 1};
}

static void assert_is_generation(const char *path, uint64_t number)
{
    struct error err = {0};
    struct generation *generation;
    if (generation_read(&generation, path, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(generation->number, number);
    generation_free(generation);
}

static void test_what_is_copied_out_is_the_same_state_with_its_generations(void **at)
{
    struct place *place = *at;
    struct error err = {0};
    struct moved moved = {0};
    make_backup(place);
    struct backup *read = read_backup();
    assert_int_equal(mkdir(in(place, "-aside"), 0700), 0);
    if (backup_copy(read, backup_dir, in(place, "-aside"), on_moved, &moved, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(moved.calls > 1 && moved.bytes == moved.of && moved.of == backup_bytes(read));
    backup_free(read);
    assert_is_generation(in(place, "-aside/generations/00000001.gen"), 1);
    assert_is_generation(in(place, "-aside/generations/00000002.gen"), 2);
    assert_is_generation(in(place, "-aside/generations/0000000000000abc/00000005.gen"), 5);

    char *want = dump(place), aside[128];
    snprintf(aside, sizeof aside, "%s-aside", place->dir);
    place->settings.state.dir = aside;
    char *got = dump(place);
    assert_string_equal(got, want);
    free(got);
    free(want);
    place->settings.state.dir = place->dir;
}

static void
test_a_state_that_never_trained_has_a_backup_and_an_empty_place_for_generations(void **at)
{
    struct place *place = *at;
    struct error err = {0};
    assert_int_equal(file_remove_tree(in(place, "/generations"), &err), 0);
    open_history(place);
    history_keep_series(place->history, NULL, 0); /* the base's alone */
    history_set_generation(place->history, 0, 0, 0, 0);
    commit(place);
    close_history(place);
    make_backup(place);
    struct backup *read = read_backup();
    assert_int_equal(read->file_count, 1);
    assert_int_equal(mkdir(in(place, "-aside"), 0700), 0);
    assert_int_equal(backup_copy(read, backup_dir, in(place, "-aside"), NULL, NULL, &err), 0);
    assert_true(
        file_exists(in(place, "-aside/generations"))); /* it replaces those that are there */
    backup_free(read);
}

/* -- made or not ------------------------------------------------------------------------------- */

static void refuse_to_make(struct place *place, int status, const char *word)
{
    struct backup *made;
    struct error err = {0};
    assert_int_equal(try_backup(place, &made, &err), status);
    if (strstr(err.text, word) == NULL)
        fail_msg("%s", err.text);
}

static void change_byte(const char *path, long where, int by)
{
    FILE *file = fopen(path, "r+b");
    fseek(file, where, where < 0 ? SEEK_END : SEEK_SET);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(byte ^ by, file);
    fclose(file);
}

static void test_a_damaged_generation_is_left_out_and_named(void **at)
{
    struct place *place = *at;
    struct backup *made;
    struct error err = {0};
    change_byte(in(place, "/generations/00000001.gen"), -1, 1);
    assert_int_equal(try_backup(place, &made, &err), 0);
    assert_int_equal(made->left_out_count, 1);
    assert_non_null(strstr(made->left_out[0], "00000001.gen"));
    backup_free(made);
    assert_false(file_exists(in(place, "-backup/generations/00000001.gen")));
    assert_true(file_exists(in(place, "-backup/generations/00000002.gen")));
}

static void test_a_backup_of_a_damaged_live_generation_is_none(void **at)
{
    struct place *place = *at;
    change_byte(in(place, "/generations/00000002.gen"), -1, 1);
    refuse_to_make(place, ERR_DATA, "00000002.gen");
    assert_false(file_exists(backup_dir));
    assert_false(file_exists(in(place, "-backup.partial")));
}

static void test_what_is_there_already_is_never_written_to(void **at)
{
    struct place *place = *at;
    assert_int_equal(mkdir(backup_dir, 0700), 0);
    refuse_to_make(place, ERR_SETTINGS, "is there already");
    assert_int_equal(rmdir(backup_dir), 0);
    assert_int_equal(mkdir(in(place, "-backup.partial"), 0700), 0);
    refuse_to_make(place, ERR_SETTINGS, "another backup is being made");
    assert_true(file_exists(in(place, "-backup.partial"))); /* maybe the other's */
}

static void test_a_backup_without_the_live_generation_is_none(void **at)
{
    struct place *place = *at;
    assert_int_equal(unlink(in(place, "/generations/00000002.gen")), 0);
    refuse_to_make(place, ERR_DOWN, "generation 2, live in the copy");
    assert_false(file_exists(backup_dir));
    assert_false(file_exists(in(place, "-backup.partial")));
}

static void test_a_directory_without_a_state_has_no_backup(void **at)
{
    struct place *place = *at;
    remove_state(place);
    refuse_to_make(place, ERR_SETTINGS, "no state");
    assert_false(file_exists(in(place, "-backup.partial")));
}

/* -- damage ------------------------------------------------------------------------------------ */

static void expect_damaged(const char *name)
{
    struct error err = {0};
    struct backup *read = read_backup();
    int status = backup_check(read, backup_dir, NULL, NULL, &err);
    backup_free(read);
    assert_true(status == ERR_DATA || status == ERR_IO);
    if (strstr(err.text, name) == NULL)
        fail_msg("%s", err.text);
}

static void test_a_file_that_is_not_what_the_manifest_says_is_refused(void **at)
{
    struct place *place = *at;
    struct error err = {0};
    make_backup(place);
    const char *data = in(place, "-backup/data.mdb");
    struct backup *read = read_backup();
    assert_int_equal(backup_check(read, backup_dir, NULL, NULL, &err), 0);
    assert_int_equal(truncate(data, (off_t)read->files[0].sum.bytes + 1), 0);
    expect_damaged("data.mdb");
    assert_int_equal(truncate(data, (off_t)read->files[0].sum.bytes), 0);
    assert_int_equal(backup_check(read, backup_dir, NULL, NULL, &err), 0);
    backup_free(read);
    change_byte(data, -1, 1);
    expect_damaged("data.mdb");
    change_byte(data, -1, 1);
    change_byte(in(place, "-backup/generations/00000001.gen"), 4, 0x20);
    expect_damaged("generations/00000001.gen");
    unlink(in(place, "-backup/generations/00000001.gen"));
    expect_damaged("generations/00000001.gen");
}

/* -- the manifest ------------------------------------------------------------------------------ */

static void put_manifest(const struct place *place, const char *text, size_t length)
{
    struct error err = {0};
    const char *path = in(place, "-backup/MANIFEST");
    unlink(path);
    assert_int_equal(file_write(path, (struct slice){text, (uint32_t)length}, &err), 0);
}

static void refuse_manifest(int status, const char *word)
{
    struct backup *read = NULL;
    struct error err = {0};
    assert_int_equal(backup_read(&read, backup_dir, &err), status);
    if (strstr(err.text, word) == NULL || strstr(err.text, backup_dir) == NULL)
        fail_msg("%s", err.text);
}

static void test_a_manifest_cut_short_or_changed_anywhere_is_refused(void **at)
{
    struct place *place = *at;
    struct error err = {0};
    char *text;
    size_t length;
    make_backup(place);
    assert_int_equal(file_read(&text, &length, in(place, "-backup/MANIFEST"), MANIFEST_MAX, &err),
                     0);
    for (size_t cut = 0; cut < length; cut++) {
        put_manifest(place, text, cut);
        refuse_manifest(ERR_DATA, "damaged");
    }
    for (size_t where = 0; where + 1 < length; where++) { /* of the last newline nothing depends */
        text[where] ^= 1;
        put_manifest(place, text, length);
        refuse_manifest(ERR_DATA, "damaged");
        text[where] ^= 1;
    }
    free(text);
    unlink(in(place, "-backup/MANIFEST"));
    refuse_manifest(ERR_DATA, "no MANIFEST");
}

/* A manifest that is whole, whoever wrote it. */
static void put_whole(const struct place *place, const char *formats, const char *live,
                      const char *offsets, const char *files)
{
    struct buffer text = {0};
    buffer_printf(&text, "{%s,\"live\":[%s],\"offsets\":[%s],\"files\":[%s]}", formats, live,
                  offsets, files);
    buffer_printf(&text, "\n%016" PRIx64 "\n", hash_stable(text.data, text.length));
    put_manifest(place, text.data, text.length);
    buffer_deinit(&text);
}

#define FORMATS "\"backup\":1,\"state_format\":3"
#define LIVE "{\"series\":\"0000000000000000\",\"generation\":1}"
#define OFFSET "{\"topic\":\"t\",\"partition\":1023,\"next_offset\":-5}"
#define HASH "\"bytes\":1,\"hash\":\"0000000000000001\"}"
#define DATA "{\"name\":\"data.mdb\"," HASH

static void test_a_manifest_of_a_newer_freshet_is_refused_with_the_way_out(void **at)
{
    struct place *place = *at;
    mkdir(backup_dir, 0700);
    put_whole(place, "\"backup\":2,\"state_format\":3", LIVE, OFFSET, DATA);
    refuse_manifest(ERR_SETTINGS, "newer freshet that made it");
    put_whole(place, "\"backup\":1,\"state_format\":4", LIVE, OFFSET, DATA);
    refuse_manifest(ERR_SETTINGS, "newer freshet that made it");
    put_whole(place, "\"state_format\":3", LIVE, OFFSET, DATA);
    refuse_manifest(ERR_DATA, "not the manifest of a backup");
    put_whole(place, "\"backup\":1", LIVE, OFFSET, DATA);
    refuse_manifest(ERR_DATA, "not the manifest of a backup");
}

static void test_a_manifest_with_too_much_is_refused(void **at)
{
    struct place *place = *at;
    struct buffer live = {0}, offset = {0};
    mkdir(backup_dir, 0700);
    for (int i = 0; i <= SERIES_MAX; i++)
        buffer_printf(&live, "%s" LIVE, i > 0 ? "," : "");
    buffer_printf(&offset, "{\"topic\":\"%0*d\",\"partition\":1}", STATE_TOPIC_MAX + 1, 0);
    put_whole(place, FORMATS, live.data, OFFSET, DATA);
    refuse_manifest(ERR_DATA, "out of range");
    put_whole(place, FORMATS, LIVE, offset.data, DATA);
    refuse_manifest(ERR_DATA, "out of range");
    buffer_deinit(&live);
    buffer_deinit(&offset);
}

static void test_a_manifest_is_not_believed_what_is_out_of_range(void **at)
{
    struct place *place = *at;
    static const char *const bad_live[] = {"{\"generation\":1}", "{\"series\":\"1\"}",
                                           "{\"series\":\"000000000000000x\"}"};
    static const char *const bad_offsets[] = {"{\"topic\":\"t\",\"partition\":1024}",
                                              "{\"topic\":\"t\",\"partition\":-1}",
                                              "{\"topic\":\"\",\"partition\":1}", "{}"};
    static const char *const bad_files[] = {
        "",
        "{\"name\":\"generations/1.gen\"," HASH,
        DATA ",{\"name\":\"../data.mdb\"," HASH,
        DATA ",{\"name\":\"/etc/1.gen\"," HASH,
        DATA ",{\"name\":\"generations/../1.gen\"," HASH,
        DATA ",{\"name\":\"generations/1.mdb\"," HASH,
        DATA ",{\"name\":\"\"," HASH,
        "{\"name\":\"data.mdb\"}",
    };
    mkdir(backup_dir, 0700);
    put_whole(place, FORMATS, LIVE, OFFSET, DATA ",{\"name\":\"generations/1.gen\"," HASH);
    backup_free(read_backup()); /* so the rest is right */
    for (size_t i = 0; i < sizeof bad_live / sizeof bad_live[0]; i++) {
        put_whole(place, FORMATS, bad_live[i], OFFSET, DATA);
        refuse_manifest(ERR_DATA, "out of range");
    }
    for (size_t i = 0; i < sizeof bad_offsets / sizeof bad_offsets[0]; i++) {
        put_whole(place, FORMATS, LIVE, bad_offsets[i], DATA);
        refuse_manifest(ERR_DATA, "out of range");
    }
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        put_whole(place, FORMATS, LIVE, OFFSET, bad_files[i]);
        refuse_manifest(ERR_DATA, "out of range");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_state, tear_down_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_manifest_says_what_is_in_the_backup),
        TEST(test_what_is_copied_out_is_the_same_state_with_its_generations),
        TEST(test_a_state_that_never_trained_has_a_backup_and_an_empty_place_for_generations),
        TEST(test_what_is_there_already_is_never_written_to),
        TEST(test_a_backup_without_the_live_generation_is_none),
        TEST(test_a_damaged_generation_is_left_out_and_named),
        TEST(test_a_backup_of_a_damaged_live_generation_is_none),
        TEST(test_a_directory_without_a_state_has_no_backup),
        TEST(test_a_file_that_is_not_what_the_manifest_says_is_refused),
        TEST(test_a_manifest_cut_short_or_changed_anywhere_is_refused),
        TEST(test_a_manifest_of_a_newer_freshet_is_refused_with_the_way_out),
        TEST(test_a_manifest_with_too_much_is_refused),
        TEST(test_a_manifest_is_not_believed_what_is_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
