/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/accept.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *list, *name;
    int weight;
} rows[] = {
    {"", "gzip", ACCEPT_ABSENT},
    {"gzip", "gzip", 1000},
    {"deflate, GZip , br", "gzip", 1000},
    {"gzipped", "gzip", ACCEPT_ABSENT},
    {"br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip", 800},
    {"br;q=1.0, gzip;q=0.8, *;q=0.1", "identity", 100},
    {"*", "gzip", 1000},
    {"*;q=0", "gzip", 0},
    {"*, gzip;q=0", "gzip", 0},
    {"gzip ; Q=0.123", "gzip", 123},
    {"gzip;q=0", "gzip", 0},
    {"gzip;q=0.", "gzip", 0},
    {"gzip;q=0.000", "gzip", 0},
    {"gzip;q=1.000", "gzip", 1000},
    {"gzip;q=0.5, gzip", "gzip", 500},
    {"text/html;level=1;q=0.4", "text/html", 400},
    {"text/html;note=\"q\";q=0.4", "text/html", 400},
    {"text/*, */*", "text/html", ACCEPT_ABSENT},
    {"application/xhtml+xml,text/html;q=0.9,*/*;q=0.8", "text/html", 900},
    /* malformed items are as if they weren't there */
    {"gzip;q=1.001", "gzip", ACCEPT_ABSENT},
    {"gzip;q=0.1234", "gzip", ACCEPT_ABSENT},
    {"gzip;q=2", "gzip", ACCEPT_ABSENT},
    {"gzip;q=", "gzip", ACCEPT_ABSENT},
    {"gzip;q", "gzip", ACCEPT_ABSENT},
    {"gzip;q=x", "gzip", ACCEPT_ABSENT},
    {"gzip;q=00", "gzip", ACCEPT_ABSENT},
    {"gzip;q=-1", "gzip", ACCEPT_ABSENT},
    {"gzip;q=.5", "gzip", ACCEPT_ABSENT},
    {"gzip;q=x, *;q=0.3", "gzip", 300},
    {",,;,gzip", "gzip", 1000},
};

static void test_weights(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int weight = accept_weight(str_of(rows[i].list), str_of(rows[i].name));
        if (weight != rows[i].weight)
            fail_msg("%s of '%s': %d", rows[i].name, rows[i].list, weight);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
