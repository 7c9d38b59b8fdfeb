/* Memory that is there or the process is not.
 *
 * Small allocations never return NULL: when the system refuses, one line goes to stderr and the
 * process aborts. That is safe here, because the durable state only ever moves by whole
 * transactions and the log replays the rest. What can be large and is asked for by data (a matrix,
 * a generation file) uses mem_try and turns a refusal into an error. Any thread; release with
 * free(). */
#ifndef FRESHET_BASE_MEM_H
#define FRESHET_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t bytes);                          /* not initialised */
void *mem_zalloc(size_t bytes);                         /* zeroed */
void *mem_array(void *old, size_t count, size_t bytes); /* realloc; refuses overflow */
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t length);

/* `count` elements on a 64-byte boundary, zeroed; NULL if the system refuses. */
void *mem_try(size_t count, size_t bytes);

/* Of a process that runs for months, before its first thread: what was needed once goes back to the
 * system. glibc would else give each thread a heap of its own, and raise the size from which blocks
 * are the system's to that of the largest ever freed. */
void mem_give_back(void);

/* What is free amid the heaps goes back to the system, too; malloc alone gives back their ends. For
 * rare moments: who allocates meanwhile waits until that heap has been looked through. */
void mem_trim(void);

#endif
