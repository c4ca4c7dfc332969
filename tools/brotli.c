/* SPDX-License-Identifier: Apache-2.0 */
/* brotli.c - packs stdin to stdout as small as can be, for tools/gen-assets in the build. */
#include <brotli/encode.h>
#include <stdio.h>

int main(void) {
    unsigned char in[65536], out[65536];
    BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (!s || !BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, BROTLI_MAX_QUALITY) ||
        !BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, BROTLI_DEFAULT_WINDOW))
        return 1;
    while (!BrotliEncoderIsFinished(s)) {
        size_t in_bytes = fread(in, 1, sizeof(in), stdin);
        const unsigned char *from = in;
        do {
            size_t room = sizeof(out);
            unsigned char *to = out;
            if (!BrotliEncoderCompressStream(s,
                                             in_bytes || !feof(stdin) ? BROTLI_OPERATION_PROCESS
                                                                      : BROTLI_OPERATION_FINISH,
                                             &in_bytes, &from, &room, &to, NULL) ||
                fwrite(out, 1, sizeof(out) - room, stdout) != sizeof(out) - room || ferror(stdin))
                return 1;
        } while (in_bytes || BrotliEncoderHasMoreOutput(s));
    }
    BrotliEncoderDestroyInstance(s);
    return fflush(stdout) ? 1 : 0;
}
