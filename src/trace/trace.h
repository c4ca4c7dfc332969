/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - spans of what the server does, sent to a collector over OTLP/HTTP.
 *
 * A struct trace says where something happens: in which trace, under which span. Whoever does a
 * part of it begins a span there and hands the span's own struct trace on. Without a tracer, or in
 * a trace that is not sampled, a span records nothing and costs nothing; the context of a caller
 * who sent one is handed on all the same.
 * Spans hold ids, names, counts and codes; never a message, an input, a header or an error's text.
 * Memory: a span that has begun must be ended. On the loop thread only. Suspends: tracer_stop.
 * Tests: tests/unit/trace/test_trace.c, tests/integration/run-traces */
#ifndef HF_TRACE_TRACE_H
#define HF_TRACE_TRACE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/trace_context.h"
#include "http/client.h"

enum trace_sampler { TRACE_SAMPLE_ALL, TRACE_SAMPLE_NONE, TRACE_SAMPLE_RATIO };

struct tracer;
struct tracer_options {
    str url; /* of the collector, with its path */
    const struct http_header *headers;
    size_t header_count;
    str resource;               /* JSON array of attributes, as OTLP writes them */
    enum trace_sampler sampler; /* of traces that begin here */
    double ratio;
    bool parent_decides; /* of traces that began elsewhere */
    size_t queue_max;    /* spans that wait; beyond: dropped, and counted */
    size_t batch_max;    /* of them in one request */
    int64_t delay_us;    /* so long a batch is waited for */
    int64_t timeout_us;  /* of a request */
};
/* Texts of the options must outlive it. */
struct tracer *tracer_open(struct rt *rt, struct http_client *client,
                           const struct tracer_options *o);
MUST_CHECK int tracer_start(struct tracer *t, struct err *err);
/* Sends what waits, until deadline_us (monotonic), once; what comes later is dropped. */
MAY_SUSPEND void tracer_stop(struct tracer *t, int64_t deadline_us);
void tracer_free(struct tracer *t); /* after tracer_stop, or never started; NULL is fine */

struct trace {
    struct tracer *tracer; /* NULL: nothing is recorded */
    struct trace_context context;
};
/* Of a request: as its headers say, else a trace that begins here (unless t is NULL: then none). */
void trace_incoming(struct tracer *t, str parent, str state, struct trace *out);
/* Of something that was kept with its context: the decision of then holds. */
void trace_resume(struct tracer *t, const struct trace_context *c, struct trace *out);
/* Of something that nobody asked for in a trace: the same for one id, in every process. */
void trace_of_id(struct tracer *t, struct id id, struct trace *out);

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3 };
#define SPAN_NAME_BYTES_MAX 96

struct span {
    struct trace at; /* for what happens inside of it */
    uint8_t parent_id[8];
    enum span_kind kind;
    int64_t started_us;  /* wall */
    int64_t began_us;    /* monotonic; 0: it began in another process maybe */
    const char *failure; /* NULL: none */
    char name[SPAN_NAME_BYTES_MAX];
    struct buf attributes, events; /* OTLP's JSON, without the brackets of the lists */
};
/* parent may be NULL: then the span is nowhere. name is copied, and cut. */
void span_begin(struct span *s, const struct trace *parent, enum span_kind kind, str name);
/* A span whose own id follows from an object's, so that another process may end it. */
void span_id_of(struct id id, uint8_t out[8]);
void span_begin_as(struct span *s, const struct trace *parent, const uint8_t span_id[8],
                   int64_t started_wall_us, str name);
static inline bool span_records(const struct span *s) { return s->at.tracer != NULL; }
/* Attributes. Keys are literals; texts are cut at 256 bytes; absent ones are left out. */
void span_str(struct span *s, const char *key, str value);
void span_z(struct span *s, const char *key, const char *value);
void span_list(struct span *s, const char *key, str value); /* a list of this one text */
void span_int(struct span *s, const char *key, int64_t value);
void span_double(struct span *s, const char *key, double value);
void span_id(struct span *s, const char *key, struct id id); /* nil: left out */
void span_event(struct span *s, const char *name, const struct log_field *fields, size_t count);
/* It failed: an err_name() or another literal. NULL: it did not. */
void span_fail(struct span *s, const char *type);
void span_end(struct span *s); /* once; also of one that records nothing */

#endif
