/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searching in any bytes: the first line is what is looked for, the rest the log. Every place that
 * is told has the text, forward finds as many as looking byte by byte does, excerpts stay within
 * their line and hold the place.
 */
#include "base/mem.h"
#include "proc/logsearch.h"

#include <assert.h>
#include <stdint.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *folder(void)
{
    static char dir[] = "/tmp/gpustack-fuzz-XXXXXX";
    static bool is_made;
    if (!is_made)
        assert(mkdtemp(dir));
    is_made = true;
    return dir;
}

static unsigned count_places(struct str text, struct str log)
{
    unsigned count = 0;
    for (size_t i = 0; i + text.len <= log.len;) {
        bool is_here = str_same_nocase(text.ptr, log.ptr + i, text.len);
        count += is_here;
        i += is_here ? text.len : 1;
    }
    return count;
}

static void check_excerpt(struct logsearch *search, unsigned i, struct str text, struct str log)
{
    struct logsearch_excerpt excerpt;
    int rc = logsearch_excerpt(search, i, &excerpt, NULL);
    assert(rc == 0);
    assert(excerpt.offset + text.len <= log.len);
    assert(str_same_nocase(text.ptr, log.ptr + excerpt.offset, text.len));
    assert(excerpt.text.len <= LOGSEARCH_EXCERPT_MAX && excerpt.line_start <= excerpt.text_start);
    assert(excerpt.text_start <= excerpt.offset);
    assert(str_eq(excerpt.text, str_sub(log.ptr + excerpt.text_start, excerpt.text.len)));
    assert(!memchr(excerpt.text.ptr, '\n', excerpt.text.len));
}

static void search_all(struct str text, struct str log, bool is_backward)
{
    struct logsearch search;
    struct logsearch_params params = {.dir = folder(), .name = "1", .text = text, .from = -1,
                                      .is_backward = is_backward, .limit = LOGSEARCH_FOUND_MAX};
    logsearch_init(&search, &params);
    while (!search.is_over) {
        int rc = logsearch_step(&search, 1, NULL);
        assert(rc == 0);
    }
    unsigned count = count_places(text, log);
    assert(search.count == (count < LOGSEARCH_FOUND_MAX ? count : LOGSEARCH_FOUND_MAX));
    for (unsigned i = 0; i < search.count; i++)
        check_excerpt(&search, i, text, log);
    logsearch_fini(&search);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str log = {(const char *)data, size}, text;
    /* A text without a line feed and log without NUL at its front, which would be a hole. */
    if (!str_split(&log, '\n', &text) || text.len == 0 || text.len > LOGSEARCH_TEXT_MAX ||
        log.len == 0 || *log.ptr == '\0')
        return 0;
    int fd = logfile_open_run(folder(), "1", 0, NULL);
    assert(fd >= 0);
    ssize_t n = write(fd, log.ptr, log.len);
    assert(n == (ssize_t)log.len);
    close(fd);
    search_all(text, log, false);
    search_all(text, log, true);
    logfile_remove_all(folder(), "1");
    return 0;
}
