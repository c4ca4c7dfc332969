/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every head byte of MessagePack is read as the format says, and nothing past the input.
 * Method: a table of items with their bytes; each is read whole and cut at every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/msgpack.h"

static const struct {
    str bytes;
    enum msgpack_type type;
    int64_t value; /* number, flag, count, or length of the bytes */
    size_t head;   /* bytes that make the item */
} ITEMS[] = {
    {STR("\x00"), MSGPACK_INT, 0, 1},
    {STR("\x7f"), MSGPACK_INT, 127, 1},
    {STR("\xe0"), MSGPACK_INT, -32, 1},
    {STR("\xff"), MSGPACK_INT, -1, 1},
    {STR("\xc0"), MSGPACK_NIL, 0, 1},
    {STR("\xc2"), MSGPACK_BOOL, 0, 1},
    {STR("\xc3"), MSGPACK_BOOL, 1, 1},
    {STR("\xcc\xff"), MSGPACK_INT, 255, 2},
    {STR("\xcd\x01\x00"), MSGPACK_INT, 256, 3},
    {STR("\xce\xff\xff\xff\xff"), MSGPACK_INT, 4294967295, 5},
    {STR("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), MSGPACK_INT, INT64_MAX, 9},
    {STR("\xcf\x80\0\0\0\0\0\0\0"), MSGPACK_UINT, INT64_MIN, 9},
    {STR("\xd0\x80"), MSGPACK_INT, -128, 2},
    {STR("\xd1\xff\xfe"), MSGPACK_INT, -2, 3},
    {STR("\xd2\x80\0\0\0"), MSGPACK_INT, -2147483648, 5},
    {STR("\xd3\x80\0\0\0\0\0\0\0"), MSGPACK_INT, INT64_MIN, 9},
    {STR("\xca\x3f\x80\0\0"), MSGPACK_FLOAT, 1, 5},
    {STR("\xcb\xc0\0\0\0\0\0\0\0"), MSGPACK_FLOAT, -2, 9},
    {STR("\xa0"), MSGPACK_STR, 0, 1},
    {STR("\xa2hi"), MSGPACK_STR, 2, 3},
    {STR("\xd9\x02hi"), MSGPACK_STR, 2, 4},
    {STR("\xda\0\x02hi"), MSGPACK_STR, 2, 5},
    {STR("\xdb\0\0\0\x02hi"), MSGPACK_STR, 2, 7},
    {STR("\xc4\x01z"), MSGPACK_BIN, 1, 3},
    {STR("\xc5\0\x01z"), MSGPACK_BIN, 1, 4},
    {STR("\xc6\0\0\0\x01z"), MSGPACK_BIN, 1, 6},
    {STR("\xd4\x05z"), MSGPACK_EXT, 1, 3},
    {STR("\xd8\x05" "0123456789abcdef"), MSGPACK_EXT, 16, 18},
    {STR("\xc7\x03\x05zzz"), MSGPACK_EXT, 3, 6},
    {STR("\xc8\0\x01\x05z"), MSGPACK_EXT, 1, 5},
    {STR("\xc9\0\0\0\x01\x05z"), MSGPACK_EXT, 1, 7},
    {STR("\x92\x01\x02"), MSGPACK_ARRAY, 2, 1},
    {STR("\xdc\0\x01\x02"), MSGPACK_ARRAY, 1, 3},
    {STR("\xdd\0\0\0\x01\x02"), MSGPACK_ARRAY, 1, 5},
    {STR("\x81\x01\x02"), MSGPACK_MAP, 1, 1},
    {STR("\xde\0\x01\x02\x03"), MSGPACK_MAP, 1, 3},
    {STR("\xdf\0\0\0\x01\x02\x03"), MSGPACK_MAP, 1, 5},
};

static int64_t value_of(const struct msgpack_item *item) {
    switch (item->type) {
    case MSGPACK_NIL:
        return 0;
    case MSGPACK_BOOL:
        return item->flag;
    case MSGPACK_INT:
        return item->i;
    case MSGPACK_UINT:
        return (int64_t)item->u;
    case MSGPACK_FLOAT:
        return (int64_t)item->d;
    case MSGPACK_ARRAY:
    case MSGPACK_MAP:
        return item->count;
    case MSGPACK_STR:
    case MSGPACK_BIN:
    case MSGPACK_EXT:
        return (int64_t)item->bytes.len;
    }
    return -1;
}

static void test_items(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ITEMS); i++) {
        struct msgpack_reader r = msgpack_reader(ITEMS[i].bytes);
        struct msgpack_item item;
        assert_int_equal(msgpack_next(&r, &item, NULL), 0);
        assert_int_equal(item.type, ITEMS[i].type);
        assert_int_equal(value_of(&item), ITEMS[i].value);
        assert_int_equal(r.end - r.at, ITEMS[i].bytes.len - ITEMS[i].head);
        if (item.type == MSGPACK_EXT)
            assert_int_equal(item.code, 5);
    }
}

static void test_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ITEMS); i++) {
        for (size_t len = 0; len < ITEMS[i].bytes.len; len++) {
            struct msgpack_reader r = msgpack_reader(str_n(ITEMS[i].bytes.p, len));
            struct msgpack_item item;
            struct err err = {0};
            assert_int_equal(msgpack_next(&r, &item, &err), ERR_MALFORMED);
            assert_int_equal(err.code, ERR_MALFORMED);
        }
    }
    struct msgpack_reader r = msgpack_reader(STR("\xc1"));
    struct msgpack_item item;
    assert_int_equal(msgpack_next(&r, &item, NULL), ERR_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_items), cmocka_unit_test(test_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
