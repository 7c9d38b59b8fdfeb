/* Which arm of an experiment a user is in: a function of the salt, the arms' shares and the user
 * id, and of nothing else. A client may repeat it: docs/ARMS.md has it in a few lines of Python,
 * and a test holds the two against each other.
 *
 *   bucket(user) = XXH3_64(user, seed = XXH3_64(salt)) mod ARM_BUCKETS
 *
 * Which arm owns which bucket: every arm but control starts at a bucket of the van der Corput
 * sequence (0, 5000, 2500, 7500, 1250, ...), in the order of the settings. In rounds, each arm in
 * turn takes the next free bucket to the right of its last, over the end to 0, until it has
 * round(share * ARM_BUCKETS) of them or none is free. What is left is control's.
 *
 * So a changed share moves users between that arm and control alone, and no more of them than the
 * difference, as long as the stretches do not meet: never while each share is at most
 * 1 / 2^ceil(log2(arms but control)), half of the users with two such arms, a quarter with four.
 * An arm keeps its place while its share is 0 or it is a shadow. To remove any but the last without
 * moving others, leave it there with share 0.
 *
 * A shadow arm owns no bucket. Its users are drawn apart, so that they are spread over all others:
 *
 *   XXH3_64(user, seed = XXH3_64(salt "\n" name)) mod ARM_BUCKETS < round(share * ARM_BUCKETS)
 *
 * Immutable after arms_init: any thread. */
#ifndef FRESHET_MODEL_ARMS_H
#define FRESHET_MODEL_ARMS_H

#include "model/slate.h"

#define ARM_BUCKETS 10000

struct arm_share {
    const char *name; /* without a line break: it is part of what is hashed */
    double share;     /* of the users, 0 to 1; control's is not looked at: it gets what is left */
    bool control, shadow;
};

struct arms {
    uint64_t seed; /* of the users' buckets */
    uint32_t count;
    uint32_t owned[ARMS_MAX]; /* buckets: owned / ARM_BUCKETS is the true share; 0: a shadow */
    uint32_t shadow_below[ARMS_MAX]; /* the shadow's draw is below this; 0: no shadow */
    uint64_t shadow_seed[ARMS_MAX];
    uint8_t owner[ARM_BUCKETS]; /* index of the arm */
};

/* `shares`: [count], 1 <= count <= ARMS_MAX, exactly one control, which is no shadow, and the
 * published shares sum to at most 1: the settings see to it. Copies what it needs. */
void arms_init(struct arms *arms, struct slice salt, const struct arm_share *shares,
               uint32_t count);

/* Index of the arm whose list the user gets. */
uint32_t arms_of(const struct arms *arms, struct slice user);

/* Whether the shadow arm is also computed for this user; false for an arm that is no shadow. */
bool arms_shadows(const struct arms *arms, uint32_t shadow_arm, struct slice user);

#endif
