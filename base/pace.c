#include "base/pace.h"
#include "base/clock.h"

#include <time.h>

static void begin_slice(struct pacing *pacing)
{
    pacing->began_ns = clock_monotonic_ns();
    pacing->began_cpu_ns = clock_thread_cpu_ns();
}

void pacing_begin(struct pacing *pacing, struct pace pace)
{
    pacing->pace = pace;
    begin_slice(pacing);
}

int64_t pace_rest_ns(struct pace pace, int64_t worked_ns, int64_t ran_ns)
{
    double share = worked_ns > 0 ? (double)ran_ns / (double)worked_ns : 1;
    share = share < 1 ? share : 1;
    share = share > PACE_SHARE_LEAST ? share : PACE_SHARE_LEAST;
    double duty = pace.yields ? pace.duty * share : pace.duty;
    double rest_ns = (double)worked_ns * (1 - duty) / duty;
    if (rest_ns < PACE_REST_LEAST_NS)
        return 0;
    return rest_ns < (double)PACE_REST_MOST_NS ? (int64_t)rest_ns : PACE_REST_MOST_NS;
}

void pacing_end(struct pacing *pacing)
{
    int64_t worked_ns = clock_monotonic_ns() - pacing->began_ns;
    int64_t ran_ns = clock_thread_cpu_ns() - pacing->began_cpu_ns;
    int64_t ns = pace_rest_ns(pacing->pace, worked_ns, ran_ns);
    struct timespec rest = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    if (ns > 0)
        nanosleep(&rest, NULL);
    begin_slice(pacing);
}

void pacing_rest(struct pacing *pacing)
{
    if (clock_monotonic_ns() - pacing->began_ns >= PACE_SLICE_NS)
        pacing_end(pacing);
}
