/* What the linker makes of malloc and free with --wrap; memory.c alone defines them. */
#ifndef FRESHET_TESTS_SIM_MEMORY_H
#define FRESHET_TESTS_SIM_MEMORY_H

#include <stddef.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t number, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t number, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void __wrap_free(void *memory);

#endif
