/* What the system knows of the process: /proc/self (proc(5)). */
#include "daemon/metrics.h"
#include "base/clock.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void add_memory(struct exposition *e)
{
    unsigned long virtual_pages, resident_pages;
    double page = (double)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return;
    if (fscanf(file, "%lu %lu", &virtual_pages, &resident_pages) == 2) {
        exposition_add(e, "process_resident_memory_bytes", NULL, (double)resident_pages * page);
        exposition_add(e, "process_virtual_memory_bytes", NULL, (double)virtual_pages * page);
    }
    fclose(file);
}

/* How many there are; NaN if that cannot be seen. */
static double open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return NAN;
    int count = -1; /* the one that reads them */
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static double most_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return NAN;
    return limit.rlim_cur == RLIM_INFINITY ? INFINITY : (double)limit.rlim_cur;
}

void metrics_add_process(struct exposition *e, double start_time_s)
{
    exposition_add(e, "process_cpu_seconds_total", NULL, (double)clock_cpu_ns() * 1e-9);
    add_memory(e);
    exposition_add(e, "process_open_fds", NULL, open_files());
    exposition_add(e, "process_max_fds", NULL, most_files());
    exposition_add(e, "process_start_time_seconds", NULL, start_time_s);
}
