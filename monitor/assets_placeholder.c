/* Stands where the table of scripts/embed.py will be. */
#include "monitor/assets.h"

__asm__(".section .rodata\n"
        "openapi_begin: .incbin \"" OPENAPI_FILE "\"\n"
        "openapi_end: .byte 0\n"
        ".previous\n");
extern const unsigned char openapi_begin[], openapi_end[];

static const char page[] = "<!doctype html>\n<html lang=\"en\"><title>Freshet</title>\n"
                           "<p>Freshet is running. Its figures are at <a href=\"/metrics\">"
                           "/metrics</a> and <a href=\"/api/overview\">/api/overview</a>.\n";

const struct asset *assets_find(struct slice path)
{
    static struct asset assets[] = {
        {"/", "text/html; charset=utf-8", (const unsigned char *)page, sizeof page - 1, "\"0\""},
        {"/api/openapi.json", "application/json", openapi_begin, 0, "\"0\""},
    };
    assets[1].length = (size_t)(openapi_end - openapi_begin);
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++)
        if (slice_equal(slice_of(assets[i].path), path))
            return &assets[i];
    return NULL;
}
