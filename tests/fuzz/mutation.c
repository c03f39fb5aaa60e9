/* SPDX-License-Identifier: Apache-2.0 */
#include "mutation.h"

#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static size_t random_below(struct mutation *mutation, size_t n)
{
    uint64_t x = mutation->random ? mutation->random : 0x9e3779b97f4a7c15;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    mutation->random = x;
    return n ? (size_t)(x % n) : 0;
}

static void insert(struct buf *text, size_t at, const char *data, size_t n)
{
    if (text->len + n > MUTATION_INPUT_MAX)
        return;
    buf_reserve(text, n);
    memmove(text->ptr + at + n, text->ptr + at, text->len - at);
    memcpy(text->ptr + at, data, n);
    buf_grew(text, n);
}

static void change(struct mutation *mutation, struct buf *text)
{
    size_t at = random_below(mutation, text->len);
    size_t n = 1 + random_below(mutation, 8);
    n = n < text->len - at ? n : text->len - at;
    const char *word = mutation->words[random_below(mutation, mutation->word_count)];
    switch (random_below(mutation, 5)) {
    case 0: /* another byte */
        if (text->len)
            text->ptr[at] = (char)random_below(mutation, 256);
        break;
    case 1: /* a bit less */
        memmove(text->ptr + at, text->ptr + at + n, text->len - at - n);
        text->len -= n;
        break;
    case 2:
    case 3: /* a word more */
        insert(text, at, word, strlen(word));
        break;
    case 4: { /* a piece twice */
        auto_free char *piece = mem_strndup(text->ptr + at, n);
        insert(text, random_below(mutation, text->len + 1), piece, n);
        break;
    }
    }
}

/* One that was left out silently would be missed by nobody. */
static void read_seed(struct mutation *mutation, const char *folder, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", folder, name);
    struct buf *seed = &mutation->seeds[mutation->seed_count];
    struct err err = {0};
    if (mutation->seed_count == MUTATION_SEEDS_MAX)
        err_set(&err, ERR_TOO_LARGE, "%s: more than %d seeds", path, MUTATION_SEEDS_MAX);
    else if (file_read(path, MUTATION_INPUT_MAX, seed, &err) == 0)
        mutation->seed_count++;
    if (!err.code)
        return;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

void mutation_read_seeds(struct mutation *mutation, const char *folder)
{
    struct dirent **entries = NULL;
    int found = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        if (entries[i]->d_name[0] != '.')
            read_seed(mutation, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

void mutation_make(struct mutation *mutation, struct buf *text)
{
    buf_clear(text);
    buf_reserve(text, 1); /* so that there is memory, however empty the seed */
    buf_add_str(text, buf_str(&mutation->seeds[random_below(mutation, mutation->seed_count)]));
    for (size_t n = 1 + random_below(mutation, MUTATION_STEPS_MAX); n; n--)
        change(mutation, text);
}

void mutation_fini(struct mutation *mutation)
{
    for (size_t i = 0; i < mutation->seed_count; i++)
        buf_fini(&mutation->seeds[i]);
}
