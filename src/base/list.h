/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - intrusive doubly linked list; a node is in at most one list.
 * Memory: none of its own. Suspends: never. Tests: tests/unit/base/test_list.c */
#ifndef HF_BASE_LIST_H
#define HF_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l) { l->prev = l->next = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
/* A zeroed or removed node is "out". */
static inline bool list_linked(const struct list *n) { return n->next != NULL && n->next != n; }
static inline void list_insert_before(struct list *at, struct list *n) {
    n->prev = at->prev;
    n->next = at;
    at->prev->next = n;
    at->prev = n;
}
static inline void list_push_back(struct list *l, struct list *n) { list_insert_before(l, n); }
static inline void list_push_front(struct list *l, struct list *n) {
    list_insert_before(l->next, n);
}
static inline void list_remove(struct list *n) {
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->prev = n->next = n;
}
static inline struct list *list_first(const struct list *l) {
    return list_empty(l) ? NULL : l->next;
}
static inline struct list *list_pop_front(struct list *l) {
    struct list *n = list_first(l);
    if (n)
        list_remove(n);
    return n;
}
/* Moves all nodes of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from) {
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}
#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)
/* The body may remove `it`. */
#define LIST_EACH(l, it) \
    for (struct list *it = (l)->next, *it##_next = it->next; it != (l); \
         it = it##_next, it##_next = it->next)

#endif
