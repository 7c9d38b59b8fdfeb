#include "daemon/progress.h"
#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

#define WIDTH 30
#define REDRAW_NS 100000000

void progress_begin(struct progress *progress)
{
    *progress = (struct progress){isatty(STDERR_FILENO) == 1, 0, clock_monotonic_ns()};
}

void progress_draw(struct progress *progress, double share, const char *text)
{
    int64_t now_ns = clock_monotonic_ns();
    if (!progress->terminal || now_ns - progress->drawn_ns < REDRAW_NS)
        return;
    progress->drawn_ns = now_ns;
    int full = (int)(share * WIDTH);
    char bar[WIDTH + 1];
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %3.0f%% %s\033[K", bar, share * 100, text);
}

void progress_end(struct progress *progress)
{
    if (progress->terminal && progress->drawn_ns != 0)
        fprintf(stderr, "\r\033[K");
}
