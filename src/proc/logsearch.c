/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/logsearch.h"

#include "proc/logview_priv.h"

#include <assert.h>

enum {
    BLOCK = 1 << 20,
    SHOWN_BEFORE = 100, /* bytes of a long line that are shown before the place */
};

/* Branchless, so that the compiler makes vectors of it. */
static void fold(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(text[i] | ((unsigned char)(text[i] - 'A') < 26) << 5);
}

void logsearch_init(struct logsearch *search, const struct logsearch_params *params)
{
    assert(params->text.len > 0 && params->text.len <= LOGSEARCH_TEXT_MAX);
    assert(params->limit > 0 && params->limit <= LOGSEARCH_FOUND_MAX);
    *search = (struct logsearch){.dir = mem_strdup(params->dir),
                                 .name = mem_strdup(params->name),
                                 .text = str_dup(params->text),
                                 .length = params->text.len,
                                 .run = params->run,
                                 .limit = params->limit,
                                 .matches_case = params->matches_case,
                                 .is_backward = params->is_backward};
    search->pos = params->from >= 0 ? (uint64_t)params->from : params->is_backward ? UINT64_MAX : 0;
    search->found = mem_alloc_array(params->limit, sizeof *search->found);
    if (!params->matches_case)
        fold(search->text, search->length);
}

void logsearch_fini(struct logsearch *search)
{
    free(search->dir);
    free(search->name);
    free(search->text);
    free(search->found);
    buf_fini(&search->block);
}

/* ---- reading ---- */

/* Bytes from `pos` on into the block, over both parts; fewer at the end only. */
static int read_block(struct logsearch *search, const struct logview *view, uint64_t pos, size_t n)
{
    struct buf *block = &search->block;
    buf_clear(block);
    while (block->len < n) {
        size_t wanted = n - block->len;
        ssize_t got = logview_read(view, pos + block->len, buf_reserve(block, wanted), wanted);
        if (got < 0)
            return (int)got;
        if (got == 0)
            break;
        buf_grew(block, (size_t)got);
    }
    return 0;
}

static void note_bounds(struct logsearch *search, const struct logview *view)
{
    search->first = view->base;
    search->end = view->end;
    if (search->pos < view->base) /* it was dropped meanwhile */
        search->pos = view->base;
    if (search->pos > view->end)
        search->pos = view->end;
}

/* ---- searching ---- */

/* The next place in the block from `at` on that begins before `limit`, or SIZE_MAX. */
static size_t find_from(const struct logsearch *search, size_t at, size_t limit)
{
    const struct buf *block = &search->block;
    size_t end = limit + search->length - 1 < block->len ? limit + search->length - 1 : block->len;
    if (at >= end)
        return SIZE_MAX;
    const char *found = memmem(block->ptr + at, end - at, search->text, search->length);
    return found ? (size_t)(found - block->ptr) : SIZE_MAX;
}

/* One block from `pos` on, which is read with the bytes of a place that begins at its end. */
static void search_forward(struct logsearch *search, size_t n)
{
    size_t at = 0, hit;
    while ((hit = find_from(search, at, n)) != SIZE_MAX) {
        search->found[search->count++] = search->pos + hit;
        at = hit + search->length;
        if (search->count == search->limit) {
            search->pos += at;
            search->is_over = true;
            return;
        }
    }
    if (search->block.len < n + search->length - 1) { /* the end, which may go on growing */
        size_t done = search->block.len >= search->length ? search->block.len - search->length + 1
                                                          : 0;
        search->pos += at > done ? at : done;
        search->is_over = search->is_complete = true;
        return;
    }
    search->pos += at > n ? at : n;
}

/* One block of `n` bytes that ends before `pos`: of its places the last ones, in a ring. */
static void search_backward(struct logsearch *search, size_t n)
{
    uint64_t start = search->pos - n;
    unsigned room = search->limit - search->count, count = 0;
    uint64_t *ring = search->found + search->count;
    size_t at = 0, hit;
    while ((hit = find_from(search, at, n)) != SIZE_MAX) {
        ring[count++ % room] = start + hit;
        at = hit + search->length;
    }
    unsigned kept = count < room ? count : room;
    uint64_t ordered[LOGSEARCH_FOUND_MAX];
    for (unsigned i = 0; i < kept; i++)
        ordered[i] = ring[(count - 1 - i) % room];
    for (unsigned i = 0; i < kept; i++)
        ring[i] = ordered[i];
    search->count += kept;
    search->pos = start;
    if (search->count == search->limit) {
        search->pos = search->found[search->count - 1];
        search->is_over = true;
    }
    if (search->pos == search->first)
        search->is_over = search->is_complete = true;
}

/* A view is held for one block only: it keeps the log from being rotated. */
static int search_block(struct logsearch *search, struct err *err)
{
    struct logview view;
    int rc = logview_open(search->dir, search->name, search->run, false, &view, err);
    if (rc < 0)
        return rc;
    note_bounds(search, &view);
    uint64_t there = search->is_backward ? search->pos - search->first : BLOCK;
    size_t n = there < BLOCK ? (size_t)there : BLOCK;
    rc = read_block(search, &view, search->is_backward ? search->pos - n : search->pos,
                    n + search->length - 1);
    logview_fini(&view);
    if (rc < 0)
        return err_errno(err, -rc, "can't read log of %s", search->name);
    if (!search->matches_case)
        fold(search->block.ptr, search->block.len);
    search->scanned += search->block.len;
    if (search->is_backward)
        search_backward(search, n);
    else
        search_forward(search, n);
    return 0;
}

int logsearch_step(struct logsearch *search, uint64_t bytes, struct err *err)
{
    uint64_t until = search->scanned + bytes;
    int rc = 0;
    while (rc == 0 && !search->is_over && search->scanned < until)
        rc = search_block(search, err);
    return rc;
}

/* ---- excerpts ---- */

static bool is_inside(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Of the block's bytes from `*from` to `*to`, a line, those around the place at `hit`. */
static void narrow(const struct logsearch *search, size_t hit, size_t *from, size_t *to)
{
    const char *text = search->block.ptr;
    if (*to - *from <= LOGSEARCH_EXCERPT_MAX)
        return;
    size_t end = *to;
    if (hit - *from > SHOWN_BEFORE)
        *from = hit - SHOWN_BEFORE;
    for (int i = 0; i < 3 && *from < hit && is_inside(text[*from]); i++)
        ++*from;
    if (end - *from > LOGSEARCH_EXCERPT_MAX)
        *to = *from + LOGSEARCH_EXCERPT_MAX;
    for (int i = 0; i < 3 && *to < end && *to > hit && is_inside(text[*to]); i++)
        --*to;
}

/* Cuts the excerpt out of the block, which begins at `start` and has the place at `hit`. */
static void cut_out(const struct logsearch *search, uint64_t start, size_t hit,
                    struct logsearch_excerpt *ret)
{
    const struct buf *block = &search->block;
    const char *before = memrchr(block->ptr, '\n', hit);
    size_t from = before ? (size_t)(before + 1 - block->ptr) : 0;
    const char *behind = memchr(block->ptr + hit, '\n', block->len - hit);
    size_t to = behind ? (size_t)(behind - block->ptr) : block->len;
    ret->offset = start + hit;
    ret->line_start = start + from;
    while (to > from && block->ptr[to - 1] == '\r')
        to--;
    narrow(search, hit, &from, &to);
    ret->text_start = start + from;
    ret->text = str_sub(block->ptr + from, to - from);
}

int logsearch_excerpt(struct logsearch *search, unsigned i, struct logsearch_excerpt *ret,
                      struct err *err)
{
    struct logview view;
    int rc = logview_open(search->dir, search->name, search->run, false, &view, err);
    if (rc < 0)
        return rc;
    uint64_t place = search->found[i], base = view.base;
    uint64_t back = place < base + LOGSEARCH_LINE_BACK ? place - base : LOGSEARCH_LINE_BACK;
    if (place >= base)
        rc = read_block(search, &view, place - back, back + LOGSEARCH_EXCERPT_MAX + 4);
    logview_fini(&view);
    if (rc < 0)
        return err_errno(err, -rc, "can't read log of %s", search->name);
    if (place < base || search->block.len < back + search->length)
        return err_set(err, ERR_NOT_FOUND, "what was found at byte %llu isn't kept any more",
                       (unsigned long long)place);
    cut_out(search, place - back, (size_t)back, ret);
    return 0;
}
