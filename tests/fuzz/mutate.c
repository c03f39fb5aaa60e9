/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over mutations of its corpus, the folder given as argument: a test that tries
 * much more than the corpus and needs no fuzzer. The words are those of the gateway's parsers.
 */
#include "fuzz.h"
#include "mutation.h"

#include <stdio.h>

enum { MUTATIONS = 50000 };

static const char *const words[] = {
    "{", "}", "[", "]", ":", ",", "\"", "\\", "\\\"", "\\\\", "\r\n", "\n", "\r", " ", "-", "--B",
    "\r\n--B", "\n--B", "--B--", "data:", "event: a\n", "\n\n", "\r\n\r\n", ": ping",
    "\xef\xbb\xbf",
    "null", "true", "false", "0", "-1", "1e3", "2.0", "99999999999", "\"model\":\"b\",",
    "\"stream\":true,", "\"stream_options\":", "{\"include_usage\":true}", "\"max_tokens\":5,",
    "\"n\":2,", "\"best_of\":3,", "\"max_completion_tokens\":", "\\u006d", "\\ud83d\\ude00",
    "\"usage\":{", "\"prompt_tokens\":7,", "\"completion_tokens\":", "\"total_tokens\":9",
    "\"input_tokens\":1,", "\"cached_tokens\":", "\"timings\":{", "\"choices\":[", "\"delta\":{",
    "\"content\":\"a\"", "\"finish_reason\":", "\"message\":{", "\"response\":{", "\"error\":{",
    "Content-Disposition: form-data; name=", "model", "stream", "; filename=x", "boundary=",
};

int main(int argc, char **argv)
{
    struct mutation mutation = {.words = words, .word_count = ARRAY_LEN(words)};
    struct buf text = {0};
    for (int i = 1; i < argc; i++)
        mutation_read_seeds(&mutation, argv[i]);
    if (mutation.seed_count == 0)
        return 1;
    for (int i = 0; i < MUTATIONS; i++) {
        mutation_make(&mutation, &text);
        LLVMFuzzerTestOneInput((const uint8_t *)text.ptr, text.len);
    }
    printf("%zu seeds, %d mutations\n", mutation.seed_count, MUTATIONS);
    buf_fini(&text);
    mutation_fini(&mutation);
    return 0;
}
