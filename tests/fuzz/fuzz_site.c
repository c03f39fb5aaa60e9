/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a request decides which file of the web UI it gets: four lines, path, Accept,
 * Accept-Encoding and If-None-Match. Weights are thousandths, whatever stands in front of a list
 * for others changes none, and nothing under /assets/ is answered with the page.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "gateway/accept.h"
#include "gateway/site.h"

#include <assert.h>

static const struct site_file files[] = {
    {"/assets/a.js", "text/javascript", "W/\"a\"", STR("a"), STR("b")},
    {"/index.html", "text/html", "W/\"index\"", STR("c"), STR("d")},
};
static const struct site site = {files, ARRAY_LEN(files)};

static void check_weight(struct str list, struct str name)
{
    int weight = accept_weight(list, name);
    struct buf longer = {0};
    assert(weight >= ACCEPT_ABSENT && weight <= 1000);
    buf_add_cstr(&longer, "other;q=0.3 , bad;q=7,");
    buf_add_str(&longer, list);
    assert(accept_weight(buf_str(&longer), name) == weight);
    buf_fini(&longer);
}

static void check_answer(const struct http_request_head *head)
{
    struct site_answer answer = site_answer(&site, head);
    bool is_page = answer.file == &files[1];
    assert(!is_page || !str_has_prefix(head->path, STR("/assets/")));
    assert(answer.file || (!answer.is_gzip && !answer.is_known));
    assert(!answer.is_gzip || accept_weight(head->headers.items[1].value, STR("gzip")) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"Accept", "Accept-Encoding", "If-None-Match"};
    auto_free char *copy = mem_alloc(size ? size : 1); /* of that size: reading past it is seen */
    if (size)
        memcpy(copy, data, size);
    struct str rest = str_sub(copy, size), line = {0};
    static struct http_request_head head;
    head.method = HTTP_GET;
    head.headers.count = ARRAY_LEN(names);
    str_split(&rest, '\n', &head.path);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        line = (struct str){0};
        str_split(&rest, '\n', &line);
        head.headers.items[i] = (struct http_header){str_of(names[i]), line};
        check_weight(line, STR("gzip"));
        check_weight(line, STR("text/html"));
    }
    check_answer(&head);
    return 0;
}
