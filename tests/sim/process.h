/* What Kafka tells the process, as consumer_hooks would. */
#ifndef FRESHET_TESTS_SIM_PROCESS_H
#define FRESHET_TESTS_SIM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t process_start_offset(bool items, int32_t partition);
void process_assigned(const int32_t *partitions, size_t count);
void process_revoked(const int32_t *partitions, size_t count);
void process_records_ready(void);
bool process_is_leaving(void);

void kafka_close(void);

#endif
