/* SPDX-License-Identifier: Apache-2.0 */
/* token_int.h - what the parts of `holdfast token` share: the command line, records of keys.
 *
 * Memory: texts are the command line's, or in the arena. */
#ifndef HF_APP_TOKEN_INT_H
#define HF_APP_TOKEN_INT_H

#include "app/config.h"
#include "auth/api_key.h"

#define TOKEN_CLAIMS_MAX 32

enum token_verb { TOKEN_MINT, TOKEN_KEY_CREATE, TOKEN_KEY_LIST, TOKEN_KEY_REVOKE };

struct token_options {
    enum token_verb verb;
    str sub, owner, tenant, scope, name, file, id;
    int64_t ttl_s, days;
    str claims[TOKEN_CLAIMS_MAX]; /* "name=value" */
    size_t claim_count;
    bool help_wanted;
    struct config config; /* from what is left of the command line, and the environment */
    struct arena a;
};

/* The key as it is to be kept, and its text, which is shown once. */
MUST_CHECK int token_key_make(struct token_options *o, struct api_key *out,
                              char text[API_KEY_BYTES], struct err *err);
void token_key_print(const struct api_key *key);

/* --- the file of keys (--file) --- */
MUST_CHECK int token_file_create(struct token_options *o, struct err *err);
MUST_CHECK int token_file_list(struct token_options *o, struct err *err);
MUST_CHECK int token_file_revoke(struct token_options *o, struct err *err);

/* --- the keys of the database: creates, lists or revokes, as the command line says --- */
MUST_CHECK int token_stored_run(struct token_options *o, struct err *err);

#endif
