/* Stands where the dashboard will be. */
#include "monitor/assets.h"

static const char page[] = "<!doctype html>\n<html lang=\"en\"><title>Freshet</title>\n"
                           "<p>Freshet is running. Its figures are at <a href=\"/metrics\">"
                           "/metrics</a> and <a href=\"/api/overview\">/api/overview</a>.\n";
static const struct asset index_page = {"/", "text/html; charset=utf-8",
                                        (const unsigned char *)page, sizeof page - 1, "\"0\""};

const struct asset *assets_find(struct slice path)
{
    return slice_equal(path, SLICE("/")) ? &index_page : NULL;
}
