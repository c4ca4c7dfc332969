/* SPDX-License-Identifier: Apache-2.0 */
/* text_score.c - hf_text_score(item_words, size): how well a row of the full-text index fits.
 *
 * A word that stands n times in a text of `size` words adds
 * n / (n + 1.2 * (0.25 + 0.75 * size / 64)); the score is the mean over the words that were asked
 * for, from 0 to 1, to six digits. It is the saturation of BM25 without its statistics over all
 * texts: those would let one owner's scores tell of another's texts, and would differ between
 * databases. holdfast.words_score() gives the same. */
#include "db/sqlite/text_score.h"

#include <math.h>

#include "db/catalogue.h"

#define PHRASES_MAX 40 /* TERMS_QUERY_MAX, and the owner */
#define COUNT_MAX   255
#define WORDS_COL   1

static void text_score(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *ctx,
                       int arg_count, sqlite3_value **args) {
    int counts[PHRASES_MAX] = {0}, instances = 0, phrases = api->xPhraseCount(fts), asked = 0;
    double size = arg_count == 1 ? sqlite3_value_double(args[0]) : 0, sum = 0;
    int rc = phrases > PHRASES_MAX ? SQLITE_ERROR : api->xInstCount(fts, &instances);
    for (int i = 0; rc == SQLITE_OK && i < instances; i++) {
        int phrase, column, place;
        rc = api->xInst(fts, i, &phrase, &column, &place);
        if (rc == SQLITE_OK && column == WORDS_COL && counts[phrase] < COUNT_MAX)
            counts[phrase]++;
        else if (rc == SQLITE_OK && column != WORDS_COL)
            asked = -1; /* one phrase is the owner */
    }
    if (rc != SQLITE_OK) {
        sqlite3_result_error_code(ctx, rc);
        return;
    }
    for (int i = 0; i < phrases; i++)
        sum += counts[i] / (counts[i] + 1.2 * (0.25 + 0.75 * size / 64.0));
    asked += phrases;
    sqlite3_result_double(ctx, asked > 0 ? round(sum / asked * 1e6) / 1e6 : 0);
}

int db_sqlite_text_score_register(sqlite3 *db) {
    fts5_api *api = NULL;
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db, db_sqlite_own[LITE_FTS5], -1, &s, NULL);
    if (rc != SQLITE_OK)
        return rc;
    (void)sqlite3_bind_pointer(s, 1, &api, "fts5_api_ptr", NULL); /* api shows whether it worked */
    (void)sqlite3_step(s);
    sqlite3_finalize(s);
    if (!api)
        return SQLITE_ERROR;
    return api->xCreateFunction(api, "hf_text_score", NULL, text_score, NULL);
}
