/* A generation: item factors with all that is needed to score with them, in one immutable file.
 *
 * DIR/generations/NNNNNNNN.gen, little-endian:
 *   0    magic "FRESHGEN", u32 version (1), u32 byte-order mark 0x01020304
 *   16   u64 checksum: hash_stable of all bytes from 24 to the end
 *   24   u64 file bytes, u64 items, u32 rank, u32 stride (floats per row), u64 manifest offset,
 *        u64 manifest bytes, u64 ids offset, u64 factors offset             (80 bytes in all)
 *   ...  manifest: one JSON object (hyperparameters, score weights, figures, cut-off; see below)
 *   ...  ids: u32 begin[items + 1] relative to the bytes that follow; ids in strict byte order
 *   ...  factors: float32 [items, stride], on a 64-byte boundary, zero beyond rank, in any basis
 *
 * The manifest:
 *   {"number","objective":"ials|hu|implicit","rank","w0","lambda","lambda_scaling":"none|count",
 *    "alpha","seed":"16 hex digits","iterations",
 *    "weights":{"taste","trend","trend_half_life":"1w","rho",
 *               "together","together_rho","together_horizon":"1d|ever","together_direction":"forward|both"},
 *    "figures":{"users","items","interactions","tail_events","loss",
 *               "ndcg20","ndcg20_se","ndcg20_live","ndcg20_recent",
 *               "ndcg20_taste","ndcg20_together"},                  (null: not a number)
 *    "cutoff":[{"partition","next_offset"}],"gate":"passed|first|refused"}
 * The hyperparameters and weights must be there (what says how `together` is made only if it is
 * above 0); another maker may leave out the rest.
 *
 * Written aside, fsynced, renamed, directory fsynced. Read in full and checked in full (lengths,
 * order of ids, finiteness of every factor, checksum) before any of it is believed. Any one thread.
 */
#ifndef FRESHET_MODEL_GENERATION_H
#define FRESHET_MODEL_GENERATION_H

#include "model/confidence.h"
#include "model/foldin.h"
#include "model/together.h"

#define RANK_MAX 512
#define GENERATION_CUTOFFS_MAX 1024

struct score_weights {
    double taste;        /* a */
    double trend;        /* b */
    int trend_half_life; /* index into half_life_ms; HALF_LIFE_EVER only in baselines, never in a
                            file */
    double rho;          /* recency in the fold-in, (0, 1] */
    double together;     /* c >= 0 */
    struct together_choice together_of;
};

struct generation_figures {
    uint64_t users, items, interactions, tail_events;
    double loss;
    double seconds; /* of the run that made it; not in the file, which is the same every time */
    double ndcg20, ndcg20_se; /* this candidate on the held-out tail */
    double ndcg20_live;       /* the running generation there; NaN: see train.h */
    double ndcg20_recent;     /* the best trend list alone */
    double ndcg20_taste;      /* the best by taste alone; NaN: there is none to fit */
    double ndcg20_together;   /* the same, by together */
};

enum gate { GATE_FIRST, GATE_PASSED, GATE_REFUSED };

struct generation_cutoff {
    int32_t partition;
    int64_t next_offset;
};

/* Items spread evenly over the catalogue, in which probes look for an item's neighbours. */
#define GENERATION_SAMPLE_MAX 1024

struct generation_sample {
    uint32_t count;
    uint32_t *rows; /* [count] of Y, ascending; none that is all zeros */
    float *units;   /* [count, stride]: each row divided by its length */
};

struct generation {
    uint64_t number;
    struct hyperparameters hyper;
    struct score_weights weights;
    struct generation_figures figures;
    enum gate gate;
    uint64_t seed;
    int iterations;
    size_t cutoff_count;
    struct generation_cutoff *cutoffs;
    size_t items, stride;
    struct slice *ids; /* [items], strict byte order, into `bytes` */
    float *Y;          /* [items, stride], 64-byte aligned */
    double *g;         /* [rank]: eigenvalues of Y'Y once generation_rotate was called, else NULL */
    void *bytes;       /* what ids point into */
    struct topn_index *index;        /* of Y, once generation_prepare was called, else NULL */
    struct generation_sample sample; /* the same */
    uint32_t sharers;                /* further owners: see generation_share */
};

/* One more owner of it, who calls generation_free, too. Owners live on one thread. */
struct generation *generation_share(struct generation *generation);

/* With the last owner: releases `generation`, its index, and each of its arrays with free(). NULL
 * is allowed. */
void generation_free(struct generation *generation);

/* ERR_IO, or ERR_DATA if the generation is not one that generation_read would take. */
int generation_write(const struct generation *generation, const char *path, struct error *err);

/* ERR_IO if it cannot be read, ERR_DATA with what is wrong if it is not a generation. */
int generation_read(struct generation **generation, const char *path, struct error *err);

/* The checksum that the file says it has, without a look at the rest. ERR_IO, ERR_DATA. */
int generation_checksum(const char *path, uint64_t *checksum, struct error *err);

/* Rotates Y into the eigenbasis of its Gram matrix and sets g. */
int generation_rotate(struct generation *generation, struct error *err);

/* All that scoring needs: rotates, packs Y for the top N, and takes the sample. ERR_DOWN if memory
 * lacks. */
int generation_prepare(struct generation *generation, struct error *err);

/* Each series of generations (struct state_series) has numbers of its own, from 1, and a directory:
 * DIR/generations for key 0, DIR/generations/KKKKKKKKKKKKKKKK, its key in hex, for another. */
void generation_dir(char *path, size_t size, const char *state_dir, uint64_t key);
void generation_path(char *path, size_t size, const char *state_dir, uint64_t key, uint64_t number);

/* Makes it, with those above it but the first. */
int generation_make_dir(const char *state_dir, uint64_t key, struct error *err);

/* The numbers there, ascending (caller frees); none if there is no such directory. */
int generation_list(const char *state_dir, uint64_t key, uint64_t **numbers, size_t *count,
                    struct error *err);

/* Removes the oldest beyond the newest `keep`, never `live` or one newer than it. */
int generation_prune(const char *state_dir, uint64_t key, size_t keep, uint64_t live,
                     struct error *err);

#endif
