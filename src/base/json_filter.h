/* SPDX-License-Identifier: Apache-2.0 */
/* json_filter.h - conditions on JSON values, written as JSON: filters of the store.
 *
 *   {"a": 1}                      the member equals the value; of {"a": null}, a null that is there
 *   {"a": {"b": {"$gt": 1}}}      members of members; also as a path, {"a.b": …}, where a label of
 *                                 digits takes an element of an array. A member with dots in its
 *                                 very name goes first.
 *   $eq $ne $in $nin              equality; $ne and $nin hold for what is missing
 *   $gt $gte $lt $lte             order, only between two numbers or two strings (by their bytes)
 *   $exists                       true or false
 *   $and $or [conditions], $not condition   at any place; beside members at will
 *
 * Memory: none. Errors: ERR_INVALID with a text that names the place. Suspends: never.
 * Tests: tests/unit/base/test_json_filter.c; fuzzed; holdfast.meets() in PostgreSQL answers alike,
 * tests/conformance/test_store.c */
#ifndef HF_BASE_JSON_FILTER_H
#define HF_BASE_JSON_FILTER_H

#include "base/json.h"

#define JSON_FILTER_CONDITIONS_MAX 500 /* members, operators and values of lists together */
#define JSON_FILTER_DEPTH_MAX      32

/* Whether it is an object of known operators with operands of the right type, within bounds. */
MUST_CHECK int json_filter_check(yyjson_val *filter, struct err *err);
/* value NULL: missing. Of a filter that was not checked, unknown operators hold for nothing. */
bool json_filter_meets(yyjson_val *value, yyjson_val *filter);

#endif
