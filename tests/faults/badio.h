/* A bad disk and little memory, for tests: chosen calls of the C library fail.
 *
 * Linked into a test program (with ENABLE_EXPORTS, so that the libraries it uses call it, too), or
 * as libbadio.so in front of a daemon (LD_PRELOAD). A rule says what fails:
 *
 *   calls=pwrite,fsync dir=/path match=data.mdb errno=28 nth=3 only=1 short=1
 *
 *   calls  open write fsync truncate rename map make remove, comma between: families, see badio.c;
 *          or `memory` (malloc, calloc, realloc) and `large` (aligned_alloc), which have no path
 *   dir    only on paths that begin so            match  and that contain this (default: any)
 *   errno  what the call says (default EIO)       nth    from this call on, from 1 (default 1)
 *   only   1: only that call                      short  1: a write takes half of its bytes first,
 *                                                           and says so instead of failing
 *
 * The empty rule fails nothing. Any thread. A rule for a daemon stands in the file that the
 * environment names in FRESHET_BADIO: 1,024 bytes, the rest NUL, written over in place; it is
 * looked at before each call and its count begins anew when it changes. */
#ifndef FRESHET_TESTS_BADIO_H
#define FRESHET_TESTS_BADIO_H

#include <stdbool.h>

#define BADIO_RULE_BYTES 1024

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BADIO_MEMORY 0 /* the sanitizer has its own malloc: `memory` never fails */
#else
#define BADIO_MEMORY 1
#endif

void badio_rule(const char *rule); /* in this process; "": none */
void badio_skip_sync(void);        /* from now on what is to be synced is not, which is faster */
int badio_failures(void);          /* calls that failed or were cut short since */

#endif
