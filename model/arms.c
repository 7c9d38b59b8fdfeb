#include "model/arms.h"

#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

#define NOBODY UINT8_MAX
#define VAN_DER_CORPUT_BITS 4 /* for ARMS_MAX arms */

/* How the table is dealt out. */
struct deal {
    uint32_t next[ARMS_MAX]; /* where the arm goes on to look */
    uint32_t left[ARMS_MAX]; /* buckets it is still to get */
    uint32_t wanted;         /* sum of `left` */
    uint32_t free;
};

static uint32_t buckets_of(double share)
{
    return (uint32_t)(share * ARM_BUCKETS + 0.5);
}

/* Van der Corput: the number's bits behind the point, in reverse. */
static uint32_t start_bucket(uint32_t place)
{
    uint32_t reversed = 0;
    for (int bit = 0; bit < VAN_DER_CORPUT_BITS; bit++)
        reversed |= (place >> bit & 1) << (VAN_DER_CORPUT_BITS - 1 - bit);
    return reversed * (ARM_BUCKETS >> VAN_DER_CORPUT_BITS);
}

static void take_next(struct arms *arms, struct deal *deal, uint32_t arm)
{
    uint32_t bucket = deal->next[arm];
    while (arms->owner[bucket] != NOBODY)
        bucket = (bucket + 1) % ARM_BUCKETS;
    arms->owner[bucket] = (uint8_t)arm;
    arms->owned[arm]++;
    deal->next[arm] = (bucket + 1) % ARM_BUCKETS;
    deal->left[arm]--;
    deal->wanted--;
    deal->free--;
}

static void deal_out(struct arms *arms, struct deal *deal)
{
    while (deal->wanted > 0 && deal->free > 0)
        for (uint32_t arm = 0; arm < arms->count; arm++)
            if (deal->left[arm] > 0 && deal->free > 0)
                take_next(arms, deal, arm);
}

static void give_the_rest(struct arms *arms, uint32_t control)
{
    for (uint32_t bucket = 0; bucket < ARM_BUCKETS; bucket++) {
        if (arms->owner[bucket] != NOBODY)
            continue;
        arms->owner[bucket] = (uint8_t)control;
        arms->owned[control]++;
    }
}

static uint64_t shadow_seed(struct slice salt, const char *name)
{
    size_t name_length = strlen(name), length = salt.length + 1 + name_length;
    char *text = mem_alloc(length);
    if (salt.length > 0)
        memcpy(text, salt.data, salt.length);
    text[salt.length] = '\n';
    memcpy(text + salt.length + 1, name, name_length);
    uint64_t seed = hash_stable(text, length);
    free(text);
    return seed;
}

static void enter(struct arms *arms, struct deal *deal, uint32_t arm, const struct arm_share *share,
                  struct slice salt)
{
    uint32_t buckets = buckets_of(share->share);
    if (share->shadow) {
        arms->shadow_below[arm] = buckets;
        arms->shadow_seed[arm] = shadow_seed(salt, share->name);
        return;
    }
    deal->left[arm] = buckets;
    deal->wanted += buckets;
}

void arms_init(struct arms *arms, struct slice salt, const struct arm_share *shares, uint32_t count)
{
    assert(count >= 1 && count <= ARMS_MAX);
    *arms = (struct arms){.seed = hash_stable(salt.data, salt.length), .count = count};
    memset(arms->owner, NOBODY, sizeof arms->owner);
    struct deal deal = {.free = ARM_BUCKETS};
    uint32_t control = count, place = 0;
    for (uint32_t arm = 0; arm < count; arm++) {
        if (shares[arm].control) {
            control = arm;
            continue;
        }
        deal.next[arm] = start_bucket(place++);
        enter(arms, &deal, arm, &shares[arm], salt);
    }
    assert(control < count && place == count - 1 && !shares[control].shadow);
    deal_out(arms, &deal);
    give_the_rest(arms, control);
}

uint32_t arms_of(const struct arms *arms, struct slice user)
{
    return arms->owner[hash_stable_with(user.data, user.length, arms->seed) % ARM_BUCKETS];
}

bool arms_shadows(const struct arms *arms, uint32_t shadow_arm, struct slice user)
{
    uint64_t draw = hash_stable_with(user.data, user.length, arms->shadow_seed[shadow_arm]);
    return draw % ARM_BUCKETS < arms->shadow_below[shadow_arm];
}
