/* A small generation in which every field says something. */
#ifndef FRESHET_TESTS_GENERATION_SAMPLE_H
#define FRESHET_TESTS_GENERATION_SAMPLE_H

#include "base/mem.h"
#include "model/als.h"
#include "model/generation.h"

#include <math.h>

/* Three items of rank 5. */
static inline struct generation *sample_generation(uint64_t number)
{
    static const char text[] = "i1i10i9";
    struct generation *g = mem_zalloc(sizeof *g);
    g->number = number;
    g->hyper = (struct hyperparameters){OBJECTIVE_HU, 5, 1, 0.02, 40, LAMBDA_NONE};
    g->weights = (struct score_weights){1, 0.05, 3, 0.5, 2.5, {0.7, PAIRS_EVER, true}};
    g->figures = (struct generation_figures){.users = 10,
                                             .items = 3,
                                             .interactions = 99,
                                             .tail_events = 12,
                                             .loss = 5.5,
                                             .seconds = 1.25,
                                             .ndcg20 = 0.08,
                                             .ndcg20_se = 0.003,
                                             .ndcg20_live = NAN,
                                             .ndcg20_recent = 0.02,
                                             .ndcg20_taste = 0.05,
                                             .ndcg20_together = 0.06};
    g->gate = GATE_PASSED;
    g->seed = UINT64_MAX - 5;
    g->iterations = 15;
    g->cutoff_count = 2;
    g->cutoffs = mem_array(NULL, 2, sizeof *g->cutoffs);
    g->cutoffs[0] = (struct generation_cutoff){0, 123456789012};
    g->cutoffs[1] = (struct generation_cutoff){3, 0};
    g->items = 3;
    g->stride = als_stride(5);
    g->bytes = mem_strdup(text);
    g->ids = mem_array(NULL, 3, sizeof *g->ids);
    g->ids[0] = (struct slice){g->bytes, 2};
    g->ids[1] = (struct slice){(char *)g->bytes + 2, 3};
    g->ids[2] = (struct slice){(char *)g->bytes + 5, 2};
    g->Y = mem_try(3 * g->stride, sizeof *g->Y);
    for (size_t item = 0; item < 3; item++)
        for (size_t k = 0; k < 5; k++)
            g->Y[item * g->stride + k] = (float)(item + 1) / (float)(k + 3);
    return g;
}

#endif
