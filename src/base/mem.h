/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heap allocation that never returns NULL, and the cleanup attributes.
 *
 * Small allocations abort on failure; in exchange every size that comes from outside is checked
 * against a limit constant before it gets here. Thread-safe as malloc is.
 *
 *     auto_free char *path = mem_printf("%s/token", dir);
 *     ...
 *     return TAKE(path);          // ownership leaves, the cleanup then frees NULL
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Hands out the value and leaves NULL behind, so that an auto_free variable does not free it. */
#define TAKE(ptr)                                                                                  \
    ({                                                                                             \
        __typeof__(ptr) take_value_ = (ptr);                                                       \
        (ptr) = NULL;                                                                              \
        take_value_;                                                                               \
    })

/* Exchanges two values of the same type. */
#define SWAP(a, b)                                                                                 \
    do {                                                                                           \
        __typeof__(a) swap_value_ = (a);                                                           \
        (a) = (b);                                                                                 \
        (b) = swap_value_;                                                                         \
    } while (0)

enum { MEM_LARGE = 2 << 20 };

/* `n` zeroed bytes; aborts when there are none. Returns owned. */
void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));

/* `count` zeroed items of `size` bytes, overflow-checked. Returns owned. */
void *mem_alloc_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* realloc() that aborts on failure; takes `ptr`, returns owned. New bytes are not zeroed. */
void *mem_resize(void *ptr, size_t n) __attribute__((returns_nonnull));

/* Copy of `s`; NULL stays NULL. Returns owned. */
char *mem_strdup(const char *s);

/* Copy of `n` bytes with a NUL behind. Returns owned. */
char *mem_strndup(const char *s, size_t n) __attribute__((returns_nonnull));

/* sprintf into a fresh string. Returns owned. */
char *mem_printf(const char *fmt, ...) printf_like(1, 2) __attribute__((returns_nonnull));
char *mem_vprintf(const char *fmt, va_list args) printf_like(1, 0);

/* Replaces the owned string in `*slot` by a copy of `s` (NULL allowed). */
void mem_replace(char **slot, const char *s);

/* Overwrites and frees a secret string; NULL is fine. */
void mem_free_secret(char *s);

/*
 * From now on blocks of MEM_LARGE bytes and more go back to the system when they are freed, and so
 * does a free end of the heap of that size. Otherwise malloc keeps what it once needed: it takes
 * the largest block that was freed, up to 32 MiB, for the usual. For a process to which others
 * send bodies of any size; before it has threads.
 */
void mem_return_large(void);

static inline void mem_free_slot(void *slot)
{
    free(*(void **)slot);
}

static inline void fd_close_slot(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define auto_free __attribute__((cleanup(mem_free_slot)))
#define auto_close __attribute__((cleanup(fd_close_slot)))
#define auto_fini(fn) __attribute__((cleanup(fn)))
