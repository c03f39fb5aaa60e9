/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/record_priv.h"

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
