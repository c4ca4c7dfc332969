/* SPDX-License-Identifier: Apache-2.0 */
/* fiber.c - stackful coroutines on the loop thread.
 *
 * Switching: the loop enters a fiber and the fiber always returns to the loop, never to another
 * fiber. A cold stack is entered once with makecontext/setcontext (which cost a system call); from
 * then on both directions are _setjmp/_longjmp, which are a few stores. FORTIFY is off in this file
 * because its longjmp refuses to leave one stack for another.
 *
 * Stacks: mapped, lazily committed, the lowest page inaccessible, so that an overflow faults
 * instead of writing into a neighbour. A fiber that ends switches to the loop first; the loop puts
 * the stack into the pool with fiber_main() still on it, so the next fiber starts without
 * makecontext. Stacks idle for TRIM_AFTER_US give their pages back to the system and turn cold;
 * above POOL_MAX they are unmapped.
 *
 * Handles (struct fiber) are never returned to the heap before rt_close: a stale fiber_ref can
 * always compare the id.
 *
 * States, changed by fiber_set_state() only:
 *
 *     FREE -> RUNNABLE -> RUNNING -> PARKED | SHIELDED | YIELDED -> RUNNABLE
 *                         RUNNING -> ENDED -> FREE
 *
 * RUNNABLE fibers are in rt_fibers.runnable, YIELDED ones in .yielded (they wait for the next
 * poll), FREE ones in .spare; the others are in no queue. The timer runs only while parked.
 *
 * Sanitizers: each switch is announced to ASan and TSan; without that they take the other stack for
 * an overflow. */
#undef _FORTIFY_SOURCE
#include "rt/fiber.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "rt/rt_int.h"

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define FIBER_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#define STACK_BYTES (512 * 1024UL)
#else
#define STACK_BYTES (256 * 1024UL)
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define FIBER_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif
#if defined(HF_DEBUG) && __has_include(<valgrind/valgrind.h>)
#define FIBER_VALGRIND 1
#include <valgrind/valgrind.h>
#endif

#define NOINLINE __attribute__((noinline))
#define FIBERS_MAX_DEFAULT 16384
#define POOL_MAX 256
#define TRIM_AFTER_US (5 * 1000000LL)
#define TURN_LONG_US 250
#define LATE_TURNS_MAX 16

struct fiber_stack {
    struct list node;       /* rt_fibers.stacks while idle */
    char *map;              /* guard page, then the stack */
    size_t guard_bytes;
    bool warm;              /* env leads into fiber_main() */
    bool trimmed;           /* its pages are with the system */
    int64_t idle_since_us;
    jmp_buf env;
    void *fake, *tsan;      /* what the sanitizers keep for it */
    unsigned valgrind_id;
};

enum fiber_state {
    FIBER_FREE,
    FIBER_RUNNABLE,
    FIBER_RUNNING,
    FIBER_PARKED,
    FIBER_SHIELDED,
    FIBER_YIELDED,
    FIBER_ENDED,
};

struct fiber {
    struct list node, all_node;
    struct list event_node;    /* in the event it waits for */
    struct rt *rt;
    struct fiber_stack *stack;
    enum fiber_state state;
    bool permit, cancelled, timed_out;
    uint64_t id;
    const char *name;
    fiber_fn fn;
    void *arg;
    struct fiber_group *group; /* NULL when in none */
    struct list group_node;
    struct rt_timer timer;
    int64_t spawned_us, parked_us;
};

static const char *const state_names[] = {"free",     "runnable", "running", "parked",
                                          "shielded", "yielded",  "ended"};

static void fiber_set_state(struct fiber *f, enum fiber_state to)
{
    static const unsigned char legal[] = {
        [FIBER_FREE] = 1u << FIBER_RUNNABLE,
        [FIBER_RUNNABLE] = 1u << FIBER_RUNNING,
        [FIBER_RUNNING] = 1u << FIBER_PARKED | 1u << FIBER_SHIELDED | 1u << FIBER_YIELDED |
                          1u << FIBER_ENDED,
        [FIBER_PARKED] = 1u << FIBER_RUNNABLE,
        [FIBER_SHIELDED] = 1u << FIBER_RUNNABLE,
        [FIBER_YIELDED] = 1u << FIBER_RUNNABLE,
        [FIBER_ENDED] = 1u << FIBER_FREE,
    };
    ASSERT(legal[f->state] & 1u << to);
    f->state = to;
}

/* --- sanitizers --- */

/* About to run on the stack [low, low + bytes). fake == NULL: this stack's frames are finished. */
static inline void switch_announce(void **fake, const void *low, size_t bytes, void *tsan)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(fake, low, bytes);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(tsan, 0);
#endif
    (void)fake, (void)low, (void)bytes, (void)tsan;
}

static inline void switch_arrived(void *fake, const void **out_low, size_t *out_bytes)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake, out_low, out_bytes);
#endif
    (void)fake, (void)out_low, (void)out_bytes;
}

/* Frames abandoned on a stack leave their red zones behind. */
static void stack_forget_frames(struct fiber_stack *s)
{
#ifdef FIBER_ASAN
    __asan_unpoison_memory_region(s->map + s->guard_bytes, STACK_BYTES - s->guard_bytes);
#endif
    (void)s;
}

static void stack_register(struct fiber_stack *s)
{
    char *low = s->map + s->guard_bytes;
    size_t bytes = STACK_BYTES - s->guard_bytes;
#ifdef FIBER_ASAN
    __lsan_register_root_region(low, bytes); /* blocks held only by a parked fiber are not leaks */
#endif
#ifdef FIBER_TSAN
    s->tsan = __tsan_create_fiber(0);
#endif
#ifdef FIBER_VALGRIND
    s->valgrind_id = VALGRIND_STACK_REGISTER(low, low + bytes);
#endif
    (void)low, (void)bytes;
}

static void stack_unregister(struct fiber_stack *s)
{
#ifdef FIBER_ASAN
    __lsan_unregister_root_region(s->map + s->guard_bytes, STACK_BYTES - s->guard_bytes);
#endif
#ifdef FIBER_TSAN
    __tsan_destroy_fiber(s->tsan);
#endif
#ifdef FIBER_VALGRIND
    VALGRIND_STACK_DEREGISTER(s->valgrind_id);
#endif
    stack_forget_frames(s);
}

/* --- stacks --- */

static struct fiber_stack *stack_new(void)
{
    char *map = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (mprotect(map, page, PROT_NONE) != 0) {
        munmap(map, STACK_BYTES);
        return NULL;
    }
    struct fiber_stack *s = NEW(struct fiber_stack);
    s->map = map;
    s->guard_bytes = page;
    stack_register(s);
    return s;
}

static void stack_free(struct fiber_stack *s)
{
    stack_unregister(s);
    munmap(s->map, STACK_BYTES);
    mem_free(s);
}

static struct fiber_stack *stack_take(struct rt_fibers *fs)
{
    struct list *n = list_pop_front(&fs->stacks);
    if (!n)
        return stack_new();
    fs->pooled--;
    struct fiber_stack *s = LIST_ENTRY(n, struct fiber_stack, node);
    s->trimmed = false;
    return s;
}

static void stack_trim(struct fiber_stack *s)
{
    stack_forget_frames(s);
    s->warm = false;
    s->trimmed = true;
    int rc = madvise(s->map + s->guard_bytes, STACK_BYTES - s->guard_bytes, MADV_DONTNEED);
    (void)rc; /* only a hint: a refusal costs memory, nothing else */
}

/* The pool is ordered by the time of return, latest first: walk from the oldest. */
static void on_trim(struct rt_timer *t)
{
    struct rt_fibers *fs = CONTAINER_OF(t, struct rt_fibers, trim);
    struct rt *rt = CONTAINER_OF(fs, struct rt, fibers);
    int64_t now = rt_mono_us(rt);
    for (struct list *n = fs->stacks.prev; n != &fs->stacks; n = n->prev) {
        struct fiber_stack *s = LIST_ENTRY(n, struct fiber_stack, node);
        if (now - s->idle_since_us < TRIM_AFTER_US) {
            rt_timer_start(rt, t, TRIM_AFTER_US - (now - s->idle_since_us), on_trim);
            break;
        }
        if (!s->trimmed)
            stack_trim(s);
    }
}

static void stack_give(struct rt *rt, struct fiber_stack *s)
{
    struct rt_fibers *fs = &rt->fibers;
    if (fs->pooled >= POOL_MAX) {
        stack_free(s);
        return;
    }
    s->idle_since_us = rt_mono_us(rt);
    list_push_front(&fs->stacks, &s->node);
    fs->pooled++;
    if (!fs->trim.slot && !rt->closing)
        rt_timer_start(rt, &fs->trim, TRIM_AFTER_US, on_trim);
}

/* --- switching --- */

/* Leaves the running fiber's stack; returns when the loop enters it again. */
static NOINLINE void fiber_leave(struct rt_fibers *fs, struct fiber_stack *s, bool ends)
{
    if (_setjmp(s->env) == 0) {
        switch_announce(ends ? NULL : &s->fake, fs->loop_low, fs->loop_bytes, fs->loop_tsan);
        if (ends)
            s->fake = NULL;
        _longjmp(fs->loop_env, 1);
    }
    switch_arrived(s->fake, NULL, NULL);
}

/* The bottom frame of every stack: runs one fiber after the other. */
static void fiber_main(void)
{
    struct rt_fibers *fs = &rt_current->fibers;
    switch_arrived(NULL, &fs->loop_low, &fs->loop_bytes);
    for (;;) {
        struct fiber *f = fs->running;
        f->fn(f->arg);
        fiber_set_state(f, FIBER_ENDED);
        fiber_leave(fs, f->stack, true);
    }
}

/* Not instrumented: this frame is left without returning, which would leave its red zones on the
 * loop's stack. */
static NOINLINE __attribute__((no_sanitize_address)) void stack_enter_cold(struct fiber_stack *s)
{
    ucontext_t context;
    int rc = getcontext(&context);
    ASSERT(rc == 0);
    context.uc_stack.ss_sp = s->map + s->guard_bytes;
    context.uc_stack.ss_size = STACK_BYTES - s->guard_bytes;
    context.uc_link = NULL;
    makecontext(&context, fiber_main, 0);
    s->warm = true;
    setcontext(&context);
    UNREACHABLE();
}

static NOINLINE void fiber_enter(struct rt_fibers *fs, struct fiber_stack *s)
{
    if (_setjmp(fs->loop_env) == 0) {
        switch_announce(&fs->loop_fake, s->map + s->guard_bytes, STACK_BYTES - s->guard_bytes,
                        s->tsan);
        if (s->warm)
            _longjmp(s->env, 1);
        stack_enter_cold(s);
    }
    switch_arrived(fs->loop_fake, NULL, NULL);
}

/* --- running --- */

static void fiber_make_runnable(struct fiber *f)
{
    fiber_set_state(f, FIBER_RUNNABLE);
    list_push_back(&f->rt->fibers.runnable, &f->node);
}

/* On the loop's stack: the fiber has ended and left its stack. */
static void fiber_finish(struct fiber *f)
{
    struct rt *rt = f->rt;
    struct fiber_group *g = f->group;
    stack_give(rt, f->stack);
    f->stack = NULL;
    list_remove(&f->all_node);
    rt->fibers.live--;
    fiber_set_state(f, FIBER_FREE);
    f->id = 0;
    f->group = NULL;
    list_push_front(&rt->fibers.spare, &f->node);
    if (g) {
        list_remove(&f->group_node);
        if (--g->live == 0)
            fiber_event_wake_all(&g->done);
    }
}

static void fiber_resume(struct rt *rt, struct fiber *f)
{
    struct rt_fibers *fs = &rt->fibers;
    fiber_set_state(f, FIBER_RUNNING);
    fs->running = f;
    fs->switches++;
    fiber_enter(fs, f->stack);
    fs->running = NULL;
    ASSERT(f->state != FIBER_RUNNING);
    if (f->state == FIBER_ENDED)
        fiber_finish(f);
}

bool rt_fibers_runnable(const struct rt *rt)
{
    return !list_empty(&rt->fibers.runnable);
}

void rt_fibers_run(struct rt *rt)
{
    struct list batch;
    ASSERT(rt->fibers.running == NULL);
    list_init(&batch);
    list_splice(&batch, &rt->fibers.runnable);
    for (struct list *n; (n = list_pop_front(&batch)) != NULL;)
        fiber_resume(rt, LIST_ENTRY(n, struct fiber, node));
}

void rt_fibers_wake_yielded(struct rt *rt)
{
    for (struct list *n; (n = list_pop_front(&rt->fibers.yielded)) != NULL;)
        fiber_make_runnable(LIST_ENTRY(n, struct fiber, node));
}

struct fiber *fiber_spawn(struct rt *rt, const char *name, fiber_fn fn, void *arg, struct err *err)
{
    struct rt_fibers *fs = &rt->fibers;
    ASSERT_LOOP_THREAD(rt);
    ASSERT(fn != NULL);
    if (fs->live >= fs->live_max) {
        err_set(err, ERR_LIMIT, "the limit of %zu fibers is reached", fs->live_max);
        return NULL;
    }
    struct fiber_stack *stack = stack_take(fs);
    if (!stack) {
        err_set(err, ERR_LIMIT, "no memory for the stack of a fiber (%zu live)", fs->live);
        return NULL;
    }
    struct list *spare = list_pop_front(&fs->spare);
    struct fiber *f = spare ? LIST_ENTRY(spare, struct fiber, node) : NEW(struct fiber);
    ASSERT(f->state == FIBER_FREE);
    *f = (struct fiber){
        .rt = rt,
        .stack = stack,
        .id = ++fs->id_last,
        .name = name,
        .fn = fn,
        .arg = arg,
        .spawned_us = rt_mono_us(rt),
    };
    list_push_back(&fs->all, &f->all_node);
    fs->live++;
    fiber_make_runnable(f);
    return f;
}

struct fiber *fiber_self(void)
{
    return rt_current ? rt_current->fibers.running : NULL;
}

struct rt *fiber_rt(void)
{
    return rt_current;
}

void fiber_assert_inside(void)
{
    ASSERT(fiber_self() != NULL);
}

/* --- parking --- */

static void fiber_suspend(struct fiber *f, enum fiber_state state)
{
    fiber_set_state(f, state);
    fiber_leave(&f->rt->fibers, f->stack, false);
}

static void fiber_wake(struct fiber *f)
{
    if (f->timer.slot)
        rt_timer_stop(f->rt, &f->timer);
    fiber_make_runnable(f);
}

static void on_park_deadline(struct rt_timer *t)
{
    struct fiber *f = CONTAINER_OF(t, struct fiber, timer);
    f->timed_out = true;
    fiber_wake(f);
}

static int fiber_wait(int64_t deadline_us, bool shielded)
{
    struct fiber *f = fiber_self();
    ASSERT(f != NULL);
    if (f->cancelled && !shielded)
        return ERR_CANCELLED;
    if (f->permit) {
        f->permit = false;
        return 0;
    }
    int64_t now = rt_mono_us(f->rt);
    if (deadline_us <= now)
        return ERR_TIMEOUT;
    if (deadline_us != FIBER_NO_DEADLINE)
        rt_timer_start(f->rt, &f->timer, deadline_us - now, on_park_deadline);
    f->timed_out = false;
    f->parked_us = now;
    fiber_suspend(f, shielded ? FIBER_SHIELDED : FIBER_PARKED);
    if (f->cancelled && !shielded)
        return ERR_CANCELLED;
    return f->timed_out ? ERR_TIMEOUT : 0;
}

int fiber_park(int64_t deadline_us)
{
    return fiber_wait(deadline_us, false);
}

void fiber_park_shielded(void)
{
    int rc = fiber_wait(FIBER_NO_DEADLINE, true);
    ASSERT(rc == 0);
}

int fiber_park_shielded_until(int64_t deadline_us)
{
    return fiber_wait(deadline_us, true);
}

void fiber_unpark(struct fiber *f)
{
    ASSERT_LOOP_THREAD(f->rt);
    ASSERT(f->state != FIBER_FREE && f->state != FIBER_ENDED);
    if (f->state == FIBER_PARKED || f->state == FIBER_SHIELDED)
        fiber_wake(f);
    else
        f->permit = true;
}

static int fiber_sleep(int64_t us, bool shielded)
{
    struct rt *rt = fiber_rt();
    fiber_assert_inside();
    int64_t now = rt_mono_us(rt);
    int64_t deadline = us > FIBER_NO_DEADLINE - 1 - now ? FIBER_NO_DEADLINE - 1 : now + us;
    int rc;
    do {
        rc = fiber_wait(deadline, shielded);
    } while (rc == 0);
    return rc == ERR_TIMEOUT ? 0 : rc;
}

int fiber_sleep_us(int64_t us)
{
    return fiber_sleep(us, false);
}

void fiber_sleep_shielded_us(int64_t us)
{
    int rc = fiber_sleep(us, true);
    ASSERT(rc == 0);
}

void fiber_yield(void)
{
    struct fiber *f = fiber_self();
    ASSERT(f != NULL);
    list_push_back(&f->rt->fibers.yielded, &f->node);
    fiber_suspend(f, FIBER_YIELDED);
}

/* Who yielded may find the next turn late as well, as others had work, too; but not for ever. */
void fiber_yield_when_late(void)
{
    const struct fiber *f = fiber_self();
    for (int i = 0; f && i < LATE_TURNS_MAX; i++) {
        if (clock_mono_us() - rt_mono_us(f->rt) <= TURN_LONG_US)
            break;
        fiber_yield();
    }
}

void fiber_cancel(struct fiber *f)
{
    ASSERT_LOOP_THREAD(f->rt);
    ASSERT(f->state != FIBER_FREE);
    f->cancelled = true;
    if (f->state == FIBER_PARKED)
        fiber_wake(f);
}

bool fiber_cancelled(void)
{
    struct fiber *f = fiber_self();
    ASSERT(f != NULL);
    return f->cancelled;
}

struct fiber_ref fiber_ref_of(const struct fiber *f)
{
    return (struct fiber_ref){f, f->id};
}

struct fiber *fiber_ref_get(struct fiber_ref ref)
{
    bool same = ref.fiber && ref.id && ref.fiber->id == ref.id && ref.fiber->state != FIBER_ENDED;
    return same ? (struct fiber *)(uintptr_t)ref.fiber : NULL;
}

/* --- events --- */

void fiber_event_init(struct fiber_event *e)
{
    list_init(&e->waiters);
}

/* A waiter that was woken reports 0 even when it was cancelled meanwhile: the wake-up is its own
 * now, and dropping it would lose it for the others. The next wait reports the cancellation. */
static int event_wait(struct fiber_event *e, int64_t deadline_us, bool shielded)
{
    struct fiber *f = fiber_self();
    ASSERT(f != NULL && !list_linked(&f->event_node));
    list_push_back(&e->waiters, &f->event_node);
    int rc = 0;
    while (list_linked(&f->event_node) && rc == 0)
        rc = fiber_wait(deadline_us, shielded);
    if (!list_linked(&f->event_node))
        return 0;
    list_remove(&f->event_node);
    return rc;
}

int fiber_event_wait(struct fiber_event *e, int64_t deadline_us)
{
    return event_wait(e, deadline_us, false);
}

void fiber_event_wake_one(struct fiber_event *e)
{
    struct list *n = list_pop_front(&e->waiters);
    if (n)
        fiber_unpark(LIST_ENTRY(n, struct fiber, event_node));
}

void fiber_event_wake_all(struct fiber_event *e)
{
    while (!list_empty(&e->waiters))
        fiber_event_wake_one(e);
}

/* --- groups --- */

void fiber_group_init(struct fiber_group *g)
{
    g->live = 0;
    list_init(&g->members);
    fiber_event_init(&g->done);
}

int fiber_group_spawn(struct fiber_group *g, struct rt *rt, const char *name, fiber_fn fn,
                      void *arg, struct err *err)
{
    struct fiber *f = fiber_spawn(rt, name, fn, arg, err);
    if (!f)
        return ERR_LIMIT;
    f->group = g;
    list_push_back(&g->members, &f->group_node);
    g->live++;
    return 0;
}

void fiber_group_cancel(struct fiber_group *g)
{
    LIST_EACH(&g->members, n)
        fiber_cancel(LIST_ENTRY(n, struct fiber, group_node));
}

void fiber_group_wait(struct fiber_group *g)
{
    fiber_assert_inside();
    while (g->live) {
        int rc = event_wait(&g->done, FIBER_NO_DEADLINE, true);
        ASSERT(rc == 0);
    }
}

/* --- all fibers of a loop --- */

void fiber_list(struct rt *rt, struct buf *out)
{
    int64_t now = rt_mono_us(rt);
    struct json_writer w = json_writer(out);
    jw_array(&w);
    LIST_EACH(&rt->fibers.all, n) {
        struct fiber *f = LIST_ENTRY(n, struct fiber, all_node);
        bool parked = f->state == FIBER_PARKED || f->state == FIBER_SHIELDED;
        jw_object(&w);
        jw_key(&w, "id");
        jw_i64(&w, (int64_t)f->id);
        jw_key(&w, "name");
        jw_z(&w, f->name);
        jw_key(&w, "state");
        jw_z(&w, state_names[f->state]);
        jw_key(&w, "age_us");
        jw_i64(&w, now - f->spawned_us);
        jw_key(&w, "parked_us");
        jw_i64(&w, parked ? now - f->parked_us : 0);
        jw_object_end(&w);
    }
    jw_array_end(&w);
}

void fiber_set_limit(struct rt *rt, size_t fibers_max)
{
    rt->fibers.live_max = fibers_max;
}

void rt_fibers_open(struct rt *rt)
{
    struct rt_fibers *fs = &rt->fibers;
    list_init(&fs->runnable);
    list_init(&fs->yielded);
    list_init(&fs->all);
    list_init(&fs->spare);
    list_init(&fs->stacks);
    fs->live_max = FIBERS_MAX_DEFAULT;
#ifdef FIBER_TSAN
    fs->loop_tsan = __tsan_get_current_fiber();
#endif
}

void rt_fibers_cancel_all(struct rt *rt)
{
    LIST_EACH(&rt->fibers.all, n)
        fiber_cancel(LIST_ENTRY(n, struct fiber, all_node));
}

void rt_fibers_close(struct rt *rt)
{
    struct rt_fibers *fs = &rt->fibers;
    ASSERT(fs->live == 0 && fs->running == NULL);
    for (struct list *n; (n = list_pop_front(&fs->stacks)) != NULL;)
        stack_free(LIST_ENTRY(n, struct fiber_stack, node));
    for (struct list *n; (n = list_pop_front(&fs->spare)) != NULL;)
        mem_free(LIST_ENTRY(n, struct fiber, node));
}
