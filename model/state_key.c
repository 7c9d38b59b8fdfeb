#include "model/state.h"

#include <assert.h>
#include <endian.h>

static size_t put_u32(char *key, size_t at, uint32_t number)
{
    uint32_t big = htobe32(number);
    memcpy(key + at, &big, sizeof big);
    return at + sizeof big;
}

static size_t put_u64(char *key, size_t at, uint64_t number)
{
    uint64_t big = htobe64(number);
    memcpy(key + at, &big, sizeof big);
    return at + sizeof big;
}

static size_t put_bytes(char *key, size_t at, struct slice bytes)
{
    assert(at + bytes.length <= STATE_KEY_MAX);
    if (bytes.length > 0)
        memcpy(key + at, bytes.data, bytes.length);
    return at + bytes.length;
}

size_t state_key_topic(char *key, struct slice topic)
{
    assert(topic.length <= STATE_TOPIC_MAX);
    key[0] = (char)topic.length;
    return put_bytes(key, 1, topic);
}

size_t state_key_partition(char *key, struct slice topic, int32_t partition)
{
    return put_u32(key, state_key_topic(key, topic), (uint32_t)partition);
}

size_t state_key_user(char *key, struct slice topic, int32_t partition, struct slice user)
{
    return put_bytes(key, state_key_partition(key, topic, partition), user);
}

size_t state_key_item(char *key, uint32_t item)
{
    return put_u32(key, 0, item);
}

size_t state_key_partition_item(char *key, struct slice topic, int32_t partition, uint32_t item)
{
    return put_u32(key, state_key_partition(key, topic, partition), item);
}

size_t state_key_offset(char *key, struct slice topic, int32_t partition, int64_t offset)
{
    return put_u64(key, state_key_partition(key, topic, partition), (uint64_t)offset);
}

size_t state_key_trial(char *key, struct slice topic, int32_t partition, uint64_t trial)
{
    return put_u64(key, state_key_partition(key, topic, partition), trial);
}

bool state_key_parse(struct slice key, struct state_key *parts)
{
    uint32_t topic = key.length > 0 ? (unsigned char)key.data[0] : 0;
    uint32_t head = 1 + topic + (uint32_t)sizeof(uint32_t);
    if (key.length < head)
        return false;
    uint32_t partition;
    memcpy(&partition, key.data + 1 + topic, sizeof partition);
    *parts = (struct state_key){
        .topic = {key.data + 1, topic},
        .partition = (int32_t)be32toh(partition),
        .rest = {key.data + head, key.length - head},
    };
    return true;
}

bool state_key_number(struct slice bytes, uint32_t *number)
{
    if (bytes.length != sizeof *number)
        return false;
    memcpy(number, bytes.data, sizeof *number);
    *number = be32toh(*number);
    return true;
}

bool state_key_offset_number(struct slice bytes, int64_t *offset)
{
    uint64_t number;
    if (!state_key_trial_number(bytes, &number))
        return false;
    *offset = (int64_t)number;
    return true;
}

bool state_key_trial_number(struct slice bytes, uint64_t *trial)
{
    if (bytes.length != sizeof *trial)
        return false;
    memcpy(trial, bytes.data, sizeof *trial);
    *trial = be64toh(*trial);
    return true;
}
