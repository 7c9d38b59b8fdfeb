/* The dashboard's files are in the binary, whole. */
#include "monitor/assets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct asset *find(const char *path)
{
    const struct asset *asset = assets_find(slice_of(path));
    assert_non_null(asset);
    return asset;
}

static void test_page_is_html_and_its_parts_have_their_types(void **state)
{
    assert_string_equal(find("/")->content_type, "text/html; charset=utf-8");
    assert_string_equal(find("/assets/dashboard.css")->content_type, "text/css; charset=utf-8");
    assert_string_equal(find("/assets/dashboard.js")->content_type,
                        "text/javascript; charset=utf-8");
    assert_string_equal(find("/assets/favicon.svg")->content_type, "image/svg+xml");
}

static void test_bytes_are_those_of_the_file(void **state)
{
    const struct asset *asset = find("/assets/dashboard.css");
    FILE *file = fopen(FRESHET_SOURCE_DIR "/monitor/web/dashboard.css", "rb");
    assert_non_null(file);
    unsigned char *bytes = malloc(asset->length + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, asset->length + 1, file), asset->length);
    assert_memory_equal(bytes, asset->bytes, asset->length);
    free(bytes);
    fclose(file);
}

static void test_chart_js_is_there_with_its_licence(void **state)
{
    const struct asset *chart = find("/assets/chart.min.js");
    assert_true(chart->length > 100000);
    assert_non_null(memmem(chart->bytes, 200, "Chart.js v3.", 12));
    const struct asset *licence = find("/assets/chart.LICENSE.txt");
    assert_non_null(memmem(licence->bytes, licence->length, "Chart.js Contributors", 21));
}

static void test_etags_are_quoted_and_differ(void **state)
{
    const char *page = find("/")->etag, *style = find("/assets/dashboard.css")->etag;
    assert_int_equal(page[0], '"');
    assert_int_equal(page[strlen(page) - 1], '"');
    assert_string_not_equal(page, style);
}

static void test_other_paths_are_not_found(void **state)
{
    const char *const paths[] = {"",
                                 "/assets",
                                 "/assets/",
                                 "/index.html",
                                 "/assets/../",
                                 "/assets/dashboard.css?v=1",
                                 "assets/dashboard.css"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_null(assets_find(slice_of(paths[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_is_html_and_its_parts_have_their_types),
        cmocka_unit_test(test_bytes_are_those_of_the_file),
        cmocka_unit_test(test_chart_js_is_there_with_its_licence),
        cmocka_unit_test(test_etags_are_quoted_and_differ),
        cmocka_unit_test(test_other_paths_are_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
