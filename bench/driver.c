#include "bench/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void answer(const struct driver_run *run)
{
    char fields[512] = "";
    double cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID), wall = now_ms(CLOCK_MONOTONIC);
    run->run(run->arg, fields, sizeof fields);
    cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = now_ms(CLOCK_MONOTONIC) - wall;
    printf("{\"cpu_ms\":%.6f,\"wall_ms\":%.6f%s%s}\n", cpu, wall, fields[0] ? "," : "", fields);
    fflush(stdout);
}

int driver_serve(const struct driver_run *runs, size_t count)
{
    char line[256];
    while (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "quit\n") != 0) {
        line[strcspn(line, "\n")] = '\0';
        size_t i = 0;
        while (i < count && (strncmp(line, "run ", 4) != 0 || strcmp(line + 4, runs[i].name) != 0))
            i++;
        if (i == count) {
            fprintf(stderr, "driver: no such run: %s\n", line);
            return 64;
        }
        answer(&runs[i]);
    }
    return 0;
}

void *driver_load(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    void *data = NULL;
    if (size >= 0 && posix_memalign(&data, 64, (size_t)size + 64) == 0) {
        rewind(file);
        if (fread(data, 1, (size_t)size, file) == (size_t)size) {
            fclose(file);
            if (bytes != NULL)
                *bytes = (size_t)size;
            return data;
        }
    }
    fprintf(stderr, "driver: %s cannot be read\n", path);
    exit(66);
}
