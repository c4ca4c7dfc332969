/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: nodes keep their order through every operation and know whether they are in a list.
 * Method: lists of letters, read as text after each step. */
#include "check.h"

#include "base/list.h"

struct letter {
    char c;
    struct list node;
};

static const char *read_out(const struct list *l) {
    static char text[16];
    size_t n = 0;
    LIST_EACH(l, it)
        text[n++] = LIST_ENTRY(it, struct letter, node)->c;
    text[n] = '\0';
    return text;
}

static void order(void **state) {
    (void)state;
    struct letter a = {.c = 'a'}, b = {.c = 'b'}, c = {.c = 'c'};
    struct list l;
    list_init(&l);
    assert_true(list_empty(&l));
    assert_null(list_first(&l));
    assert_null(list_pop_front(&l));
    assert_false(list_linked(&a.node));
    list_push_back(&l, &b.node);
    list_push_front(&l, &a.node);
    list_push_back(&l, &c.node);
    assert_string_equal(read_out(&l), "abc");
    assert_true(list_linked(&b.node));
    list_remove(&b.node);
    assert_false(list_linked(&b.node));
    assert_string_equal(read_out(&l), "ac");
    list_insert_before(&c.node, &b.node);
    assert_string_equal(read_out(&l), "abc");
    assert_ptr_equal(list_pop_front(&l), &a.node);
    assert_string_equal(read_out(&l), "bc");
}

static void splice_and_removal_while_walking(void **state) {
    (void)state;
    struct letter letters[6];
    struct list one, two;
    list_init(&one);
    list_init(&two);
    for (int i = 0; i < 6; i++) {
        letters[i] = (struct letter){.c = (char)('a' + i)};
        list_push_back(i < 3 ? &one : &two, &letters[i].node);
    }
    list_splice(&one, &two);
    assert_true(list_empty(&two));
    list_splice(&one, &two);
    assert_string_equal(read_out(&one), "abcdef");
    LIST_EACH(&one, it)
        if (LIST_ENTRY(it, struct letter, node)->c % 2)
            list_remove(it);
    assert_string_equal(read_out(&one), "bdf");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),
        cmocka_unit_test(splice_and_removal_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
