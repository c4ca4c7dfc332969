/* SPDX-License-Identifier: Apache-2.0 */
/* mock_embeddings.c - the model stand-in's vectors: POST /v1/embeddings.
 *
 * A text's vector is the sum of its words' vectors, and a word's is made of its hash: +1 or -1 in
 * each place. So equal texts have equal vectors on every machine, and texts are the nearer the more
 * words they share, which is all the meaning that tests need. */
#include "app/mock_llm_int.h"
#include "base/json.h"
#include "base/map.h"
#include "model/terms.h"

#define DIMS_DEFAULT    64
#define DIMS_MAX        4096
#define TEXTS_MAX       2048
#define WORDS_BYTES_MAX ((size_t)8 << 20)

static void add_word(int *sums, size_t dims, str word) {
    uint64_t bits = 0;
    for (size_t i = 0; i < dims; i++) {
        if (i % 64 == 0)
            bits = map_siphash13((const uint64_t[]){i / 64, 0}, word);
        sums[i] += bits >> i % 64 & 1 ? 1 : -1;
    }
}

static void write_vector(struct json_writer *w, str text, size_t dims) {
    int sums[DIMS_MAX] = {0};
    struct buf words;
    buf_init(&words, WORDS_BYTES_MAX);
    (void)terms_write(&words, text, 0);
    str rest = buf_view(&words), word;
    while (rest.len > 0 && str_split_next(&rest, ' ', &word))
        if (word.len > 0)
            add_word(sums, dims, word);
    buf_deinit(&words);
    jw_array(w);
    for (size_t i = 0; i < dims; i++)
        jw_double(w, sums[i] / 8.0);
    jw_array_end(w);
}

static void write_entry(struct json_writer *w, size_t index, yyjson_val *text, size_t dims) {
    jw_object(w);
    jw_key(w, "object");
    jw_z(w, "embedding");
    jw_key(w, "index");
    jw_i64(w, (int64_t)index);
    jw_key(w, "embedding");
    write_vector(w, json_str(text), dims);
    jw_object_end(w);
}

int mock_embeddings_write(struct arena *a, str body, struct buf *out, struct err *err) {
    yyjson_val *root, *text;
    int rc = json_parse(a, body, &root, err);
    if (rc < 0)
        return rc;
    yyjson_val *input = json_get(root, "input"), *wanted = json_get(root, "dimensions");
    size_t i, count = yyjson_arr_size(input), dims = DIMS_DEFAULT;
    if (yyjson_is_uint(wanted))
        dims = yyjson_get_uint(wanted);
    if ((count == 0 && !yyjson_is_str(input)) || count > TEXTS_MAX || dims == 0 || dims > DIMS_MAX)
        return err_set(err, ERR_MALFORMED, "no texts, too many, or too many dimensions");
    struct json_writer w = json_writer(out);
    jw_object(&w);
    jw_key(&w, "object");
    jw_z(&w, "list");
    jw_key(&w, "model");
    jw_val(&w, json_get(root, "model"));
    jw_key(&w, "data");
    jw_array(&w);
    if (yyjson_is_str(input))
        write_entry(&w, 0, input, dims);
    yyjson_arr_foreach(input, i, count, text) write_entry(&w, i, text, dims);
    jw_array_end(&w);
    jw_object_end(&w);
    return buf_ok(out) ? 0 : err_set(err, ERR_TOO_LARGE, "the answer is too large");
}
