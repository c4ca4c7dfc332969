/* SPDX-License-Identifier: Apache-2.0 */
/* datagram.c - a UDP socket on the loop.
 *
 * One buffer a socket: libuv hands over one datagram at a time. Errors of receiving (a port that
 * nobody listens on, say) are nobody's: they are ignored. */
#include "rt/datagram.h"

#include <uv.h>

#include "base/mem.h"

struct rt_datagram {
    uv_udp_t udp;
    int port;
    void (*got)(void *ctx, str bytes);
    void *ctx;
    char buffer[RT_DATAGRAM_MAX];
};

STATIC_ASSERT(sizeof(struct rt_address) >= sizeof(struct sockaddr_in6), "room for both kinds");

static const struct sockaddr *sockaddr_of(const struct rt_address *a) {
    return (const struct sockaddr *)(const void *)a->bytes;
}

int rt_address_parse(const char *ip, int port, struct rt_address *out, struct err *err) {
    struct rt_address a = {.align = 0};
    if (port < 0 || port > 65535)
        return err_set(err, ERR_INVALID, "%d is no port", port);
    if (uv_ip4_addr(ip, port, (struct sockaddr_in *)(void *)a.bytes) != 0 &&
        uv_ip6_addr(ip, port, (struct sockaddr_in6 *)(void *)a.bytes) != 0)
        return err_set(err, ERR_INVALID, "\"%.60s\" is no IP address", ip);
    *out = a;
    return 0;
}

static void on_room(uv_handle_t *h, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct rt_datagram *d = CONTAINER_OF(h, struct rt_datagram, udp);
    *out = uv_buf_init(d->buffer, sizeof(d->buffer));
}

static void on_got(uv_udp_t *h, ssize_t count, const uv_buf_t *buf, const struct sockaddr *from,
                   unsigned flags) {
    struct rt_datagram *d = CONTAINER_OF(h, struct rt_datagram, udp);
    if (count > 0 && from && !(flags & UV_UDP_PARTIAL))
        d->got(d->ctx, str_n(buf->base, (size_t)count));
}

static void on_closed(uv_handle_t *h) { mem_free(CONTAINER_OF(h, struct rt_datagram, udp)); }

static int bind_to(struct rt_datagram *d, const struct rt_address *a) {
    struct sockaddr_storage bound;
    int len = sizeof(bound);
    int rc = uv_udp_bind(&d->udp, sockaddr_of(a), 0);
    if (rc == 0)
        rc = uv_udp_getsockname(&d->udp, (struct sockaddr *)&bound, &len);
    if (rc == 0)
        rc = uv_udp_recv_start(&d->udp, on_room, on_got);
    if (rc == 0)
        d->port = ntohs(bound.ss_family == AF_INET6
                            ? ((const struct sockaddr_in6 *)(const void *)&bound)->sin6_port
                            : ((const struct sockaddr_in *)(const void *)&bound)->sin_port);
    return rc;
}

int rt_datagram_open(struct rt *rt, const char *ip, int port, void (*got)(void *ctx, str bytes),
                     void *ctx, struct rt_datagram **out, struct err *err) {
    struct rt_address a;
    int rc = rt_address_parse(ip, port, &a, err);
    if (rc < 0)
        return rc;
    struct rt_datagram *d = NEW(struct rt_datagram);
    d->got = got;
    d->ctx = ctx;
    rc = uv_udp_init(rt_uv(rt), &d->udp);
    ASSERT(rc == 0);
    rc = bind_to(d, &a);
    if (rc < 0) {
        rt_datagram_close(d);
        return err_set(err, ERR_UNAVAILABLE, "UDP on %s, port %d: %s", ip, port, uv_strerror(rc));
    }
    *out = d;
    return 0;
}

int rt_datagram_port(const struct rt_datagram *d) { return d->port; }

void rt_datagram_send(struct rt_datagram *d, const struct rt_address *to, str bytes) {
    if (bytes.len > RT_DATAGRAM_MAX)
        return;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes.p, (unsigned)bytes.len);
    (void)uv_udp_try_send(&d->udp, &buf, 1, sockaddr_of(to)); /* what is lost is lost */
}

void rt_datagram_close(struct rt_datagram *d) {
    if (d)
        uv_close((uv_handle_t *)&d->udp, on_closed);
}
