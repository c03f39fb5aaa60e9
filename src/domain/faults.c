/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/faults.h"

#include <stdarg.h>

enum { SHOWN_MAX = 48 }; /* bytes of a wrong value that an error text repeats */

void faults_add(struct faults *faults, const char *field, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    auto_free char *text = mem_vprintf(fmt, args);
    va_end(args);
    buf_printf(&faults->text, "%s%s: %s", faults->count ? "; " : "", field, text);
    faults->count++;
}

int faults_finish(struct faults *faults, struct err *err)
{
    int rc = 0;
    if (faults->count)
        rc = err_set(err, ERR_INVALID, "%u error%s: %s", faults->count,
                     faults->count == 1 ? "" : "s", faults->text.ptr);
    buf_fini(&faults->text);
    faults->count = 0;
    return rc;
}

char *faults_shown(const json_t *value)
{
    if (json_is_object(value))
        return mem_strdup("an object");
    if (json_is_array(value))
        return mem_strdup("a list");
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    if (!text)
        return mem_strdup("null");
    if (strlen(text) <= SHOWN_MAX)
        return text;
    char *cut = mem_printf("%.*s...", SHOWN_MAX, text);
    free(text);
    return cut;
}
