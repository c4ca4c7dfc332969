/* SPDX-License-Identifier: Apache-2.0 */
/* socket.h - a WebSocket whose texts are worked on one after the other, each as a request.
 *
 *   text ─▶ queue ─▶ worker fiber ─▶ handle(), with the principal of the handshake
 *
 * It lies first in the caller's struct, which is freed with the last reference: the connection has
 * one until it is closed, the worker has one, and so has whatever else suspends. Beyond
 * API_SOCKET_QUEUE_MAX texts that wait the socket is not read. Once it is open nothing can be told
 * as a status any more: then it is a close code, API_SOCKET_STATUS and the HTTP status.
 * Errors: as marked. Suspends: as marked. Tests: tests/integration/run-sockets, run-chat */
#ifndef HF_API_SOCKET_H
#define HF_API_SOCKET_H

#include "api/api_int.h"
#include "base/list.h"
#include "http/websocket.h"
#include "rt/fiber.h"

#define API_SOCKET_QUEUE_MAX 32
#define API_SOCKET_GOING     1001 /* the server, or the thread: a client comes again */
#define API_SOCKET_TOO_BUSY  1013
#define API_SOCKET_STATUS    4000

struct api_socket;
struct api_socket_ops {
    const char *name; /* of the worker fiber */
    size_t message_bytes_max;
    /* A text of the client. An error is what refuse() answers; one of refuse() ends the socket. */
    MAY_SUSPEND int (*handle)(struct api_socket *s, struct api_request *r, str text,
                              struct err *err);
    int (*refuse)(struct api_socket *s, struct api_request *r, int code, const struct err *err);
    void (*closed)(struct api_socket *s); /* the connection is over: ws is NULL */
    void (*free)(struct api_socket *s);   /* the caller's struct */
};
struct api_socket {
    struct http_ws *ws; /* NULL: closed */
    const struct api_socket_ops *ops;
    struct api_request base; /* of every text: who asks, with the headers of the handshake */
    struct http_request http;
    struct arena arena; /* of both */
    struct rt *rt;
    struct list queue;
    size_t queued;
    struct fiber_event drained; /* the client has taken everything, or is gone */
    struct fiber_event handled; /* a text was worked on, or the client is gone */
    bool working, paused;
    int refs;
};

/* Is the request a handshake, and of a page that may connect? ERR_MALFORMED, ERR_FORBIDDEN. */
MUST_CHECK int api_socket_check(struct api_request *r, struct err *err);
/* Copies who asks; ops stays the caller's. One reference, the connection's. */
void api_socket_init(struct api_socket *s, struct api_request *r, const struct api_socket_ops *ops);
void api_socket_open(struct api_socket *s, struct api_request *r); /* answers 101 */
static inline void api_socket_ref(struct api_socket *s) { s->refs++; }
void api_socket_unref(struct api_socket *s);

/* A fiber that has a reference, which it lets go of. ERR_LIMIT. */
MUST_CHECK int api_socket_spawn(struct api_socket *s, const char *name, void (*entry)(void *socket),
                                struct err *err);
/* 0 once the thread is there and the principal's; ERR_CANCELLED when the socket is over. It is
 * looked for at once after each text, else by and by. */
MUST_CHECK MAY_SUSPEND int api_socket_await_thread(struct api_socket *s, struct id thread_id,
                                                   struct arena *a, struct thread *out,
                                                   struct err *err);
/* Until the client has taken so much that `bytes` have room, is gone, or *stop. stop may be NULL.
 * For a reader's room(), so that a replay goes as fast as its client reads. */
MAY_SUSPEND void api_socket_room(struct api_socket *s, size_t bytes, const bool *stop);
/* What r has written. ERR_TOO_LARGE when it overflowed; to who is gone it is not sent. */
MUST_CHECK int api_socket_answer(struct api_socket *s, struct api_request *r);
/* What kind of error this is, for clients. */
const char *api_socket_error_word(int code);
/* A replay has failed: logs it and ends the socket, whose client comes again. */
void api_socket_replay_failed(struct api_socket *s, int code, const struct err *err);

#endif
