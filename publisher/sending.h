/* A slate on its way: which lists have been sent, which have been answered.
 *
 * Lists go out in order, each as one call of the fence and, if its items changed, an entry in the
 * stream of changes behind it in the same pipeline, and a mark (publisher/meta.h) at the end;
 * answers come back in the same order, so that a count says whose they are. Loop thread; belongs to
 * the publisher, which says when there may be room. */
#ifndef FRESHET_PUBLISHER_SENDING_H
#define FRESHET_PUBLISHER_SENDING_H

#include "publisher/meta.h"
#include "publisher/publisher.h"

struct sending_hooks {
    void (*progress)(void *arg); /* after each answer: there may be room */
    void (*refused)(const struct error *what, void *arg);
    void (*marked)(int64_t mark_ms, void *arg);
};

struct sending {
    struct redis *redis; /* borrowed, as the next four */
    struct meta *meta;
    const struct publisher_settings *settings; /* expiry, prefix, changes */
    const struct sending_hooks *hooks;
    void *hooks_arg;

    struct slate *slate; /* lent; NULL: none is under way */
    publisher_sent_cb sent;
    void *arg;
    size_t next;      /* the list to be sent */
    size_t answered;  /* lists, of those sent */
    size_t in_flight; /* commands */
    bool change_due;  /* the entry for the list before `next` is yet to be sent */
    bool mark_due;    /* the mark is yet to be sent */
    int64_t mark_ms;  /* what it was; 0: it did not arrive (yet) */

    struct buffer key, json, number, changes_key; /* kept for their memory */
    struct publisher_figures figures;
};

void sending_init(struct sending *sending, struct redis *redis, struct meta *meta,
                  const struct publisher_settings *settings, const struct sending_hooks *hooks,
                  void *arg);
void sending_deinit(struct sending *sending);

void sending_begin(struct sending *sending, struct slate *slate, publisher_sent_cb sent, void *arg);

/* Sends what there is room for. */
void sending_continue(struct sending *sending);

/* What is not yet sent stays unsent. */
void sending_give_up(struct sending *sending);

/* What has been acknowledged so far counts as unsent. */
void sending_forget(struct sending *sending);

/* Hands the slate back if all of it is sent and answered. */
void sending_finish(struct sending *sending);

#endif
