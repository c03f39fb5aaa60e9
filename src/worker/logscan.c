/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/logscan.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <ctype.h>

static bool has_word(struct str line, struct str word)
{
    int first = tolower((unsigned char)word.ptr[0]);
    for (size_t i = 0; i + word.len <= line.len; i++)
        if (tolower((unsigned char)line.ptr[i]) == first &&
            str_eq_nocase(str_sub(line.ptr + i, word.len), word))
            return true;
    return false;
}

static bool speaks_of_error(struct str line)
{
    static const char *const words[] = {
        "error",        "failed",  "fatal", "exception",     "traceback", "abort",   "panic",
        "segmentation", "cannot ", "can't", "out of memory", "not found", "no such", "assertion"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (has_word(line, str_of(words[i])))
            return true;
    return false;
}

/* Length of an ANSI escape sequence ("ESC [ 31 m") at the front, 0 when there is none. */
static size_t escape_length(struct str s)
{
    if (s.len < 2 || s.ptr[0] != '\033' || s.ptr[1] != '[')
        return 0;
    size_t n = 2;
    while (n < s.len && (unsigned char)s.ptr[n] < 0x40)
        n++;
    return n < s.len ? n + 1 : n;
}

static char *clean(struct str line)
{
    struct buf out = {0};
    while (line.len && out.len < LOGSCAN_LINE_MAX) {
        size_t escape = escape_length(line);
        size_t n = utf8_sequence(line);
        if (!escape && n && out.len + n <= LOGSCAN_LINE_MAX && (unsigned char)line.ptr[0] >= ' ')
            buf_add(&out, line.ptr, n);
        line = str_skip(line, escape ? escape : n ? n : 1);
    }
    return buf_take(&out);
}

char *logscan_error_line(struct str text, bool or_last)
{
    struct str line, last_error = {0}, last = {0};
    while (str_split(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.len == 0)
            continue;
        last = line;
        if (speaks_of_error(line))
            last_error = line;
    }
    if (last_error.len)
        return clean(last_error);
    return or_last && last.len ? clean(last) : NULL;
}

/* ---- known phrases ---- */

struct phrase {
    enum reason reason;
    const char *text;
    const char *with; /* must be in the line too; NULL: nothing */
};

/*
 * In the order in which they win: an engine without memory on its device complains of much else
 * after that. Numbers are errors of Ascend's runtime (acl/error_codes), with the words before them
 * so that no size or time of day is taken for one.
 */
static const struct phrase phrases[] = {
    /* CUDA, torch and what is built on them; ggml says cudaMalloc on HIP and MUSA too */
    {REASON_OUT_OF_DEVICE_MEMORY, "CUDA out of memory", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "CUDA error: out of memory", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "cudaErrorMemoryAllocation", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "CUBLAS_STATUS_ALLOC_FAILED", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "Malloc failed: out of memory", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "torch.OutOfMemoryError", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "No available memory for the cache blocks", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "less than desired GPU memory utilization", NULL},
    /* Ascend */
    {REASON_OUT_OF_DEVICE_MEMORY, "NPU out of memory", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "error code is 207001", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "error code 207001", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "207001", "alloc"},
    {REASON_OUT_OF_DEVICE_MEMORY, "207001", "acl"},
    {REASON_OUT_OF_DEVICE_MEMORY, "207018", "memory"},
    {REASON_OUT_OF_DEVICE_MEMORY, "EL0004", NULL},
    /* ROCm, MUSA, MLU, Vulkan */
    {REASON_OUT_OF_DEVICE_MEMORY, "HIP out of memory", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "hipErrorOutOfMemory", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "HSA_STATUS_ERROR_OUT_OF_RESOURCES", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "MUSA out of memory", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "MLU out of memory", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "OutOfDeviceMemory", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "OUT_OF_DEVICE_MEMORY", NULL},
    {REASON_OUT_OF_DEVICE_MEMORY, "out of memory", "device"},
    {REASON_OUT_OF_DEVICE_MEMORY, "out of memory", "gpu"},
    /* llama.cpp names the buffer after the device */
    {REASON_OUT_OF_DEVICE_MEMORY, "allocate CUDA", "buffer"},
    {REASON_OUT_OF_DEVICE_MEMORY, "allocate ROCm", "buffer"},
    {REASON_OUT_OF_DEVICE_MEMORY, "allocate CANN", "buffer"},
    {REASON_OUT_OF_DEVICE_MEMORY, "allocate MUSA", "buffer"},
    {REASON_OUT_OF_DEVICE_MEMORY, "allocate Vulkan", "buffer"},

    {REASON_DEVICE_LOST, "GPU is lost", NULL},
    {REASON_DEVICE_LOST, "fallen off the bus", NULL},
    {REASON_DEVICE_LOST, "uncorrectable ECC", NULL},
    {REASON_DEVICE_LOST, "no CUDA-capable device", NULL},
    {REASON_DEVICE_LOST, "no ROCm-capable device", NULL},
    {REASON_DEVICE_LOST, "CUDA_ERROR_NO_DEVICE", NULL},
    {REASON_DEVICE_LOST, "hipErrorNoDevice", NULL},
    {REASON_DEVICE_LOST, "DEVICE_LOST", NULL},
    {REASON_DEVICE_LOST, "ErrorDeviceLost", NULL},
    {REASON_DEVICE_LOST, "HW Exception by GPU", NULL},
    {REASON_DEVICE_LOST, "GPU Hang", NULL},
    {REASON_DEVICE_LOST, "lost heartbeat", NULL},
    {REASON_DEVICE_LOST, "507010", "error"}, /* lost heartbeat */
    {REASON_DEVICE_LOST, "507033", "error"}, /* device can't be set up */
    {REASON_DEVICE_LOST, "507901", "error"}, /* the host's link to the device is closed */

    {REASON_OUT_OF_MEMORY, "std::bad_alloc", NULL},
    {REASON_OUT_OF_MEMORY, "Cannot allocate memory", NULL},
    {REASON_OUT_OF_MEMORY, "allocate CPU", "buffer"},
    {REASON_OUT_OF_MEMORY, "ggml_aligned_malloc: insufficient memory", NULL},
    {REASON_OUT_OF_MEMORY, "MemoryError", NULL},
    {REASON_OUT_OF_MEMORY, "out of memory", NULL},

    {REASON_PORT_TAKEN, "address already in use", NULL},
    {REASON_PORT_TAKEN, "couldn't bind", "port"},

    {REASON_BAD_PARAMETERS, "error: invalid argument", NULL},
    {REASON_BAD_PARAMETERS, "error: unrecognized arguments", NULL},
    {REASON_BAD_PARAMETERS, "error: argument -", NULL},
    {REASON_BAD_PARAMETERS, "error while handling argument", NULL},
};

static bool has_phrase(struct str line, const struct phrase *phrase)
{
    return has_word(line, str_of(phrase->text)) &&
           (!phrase->with || has_word(line, str_of(phrase->with)));
}

static const struct phrase *find_phrase(struct str line)
{
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
        if (has_phrase(line, &phrases[i]))
            return &phrases[i];
    return NULL;
}

enum reason logscan_reason(struct str text, char **ret_line)
{
    const struct phrase *best = NULL;
    struct str line, best_line = {0};
    while (str_split(&text, '\n', &line)) {
        const struct phrase *phrase = find_phrase(line);
        if (phrase && (!best || (phrase < best && phrase->reason != best->reason))) {
            best = phrase;
            best_line = line;
        }
    }
    if (!best)
        return REASON_NONE;
    *ret_line = clean(str_trim(best_line));
    return best->reason;
}
