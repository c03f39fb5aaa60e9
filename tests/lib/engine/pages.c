/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "lib/engine/engine.h"

#include <inttypes.h>

static void put_models(const struct engine *engine, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    json_put_string(&w, "object", "list");
    json_add_key(&w, "data");
    json_begin_array(&w);
    json_begin_object(&w);
    json_put_string(&w, "id", engine->alias);
    json_put_string(&w, "object", "model");
    json_put_int(&w, "created", engine->created);
    json_end_object(&w);
    json_end_array(&w);
    json_end_object(&w);
}

static void put_metrics(const struct engine *engine, struct buf *out)
{
    buf_printf(out, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running %u\n",
               engine->log.in_progress);
    buf_printf(out, "# TYPE vllm:prompt_tokens counter\nvllm:prompt_tokens_total %" PRId64 "\n",
               engine->log.prompt_tokens);
    buf_printf(out,
               "# TYPE vllm:generation_tokens counter\nvllm:generation_tokens_total %" PRId64 "\n",
               engine->log.completion_tokens);
}

static int64_t set_default(struct engine *engine, struct str text, struct buf *out)
{
    struct err err = {0};
    if (script_read(str_trim(text), &engine->script, &err) == 0)
        return 200;
    buf_add_cstr(out, err.text);
    return 400;
}

static void reset(struct engine *engine)
{
    log_reset(&engine->log);
    engine->script = engine->initial;
    buf_clear(&engine->next);
}

static int64_t add_next(struct engine *engine, struct str lines)
{
    buf_add_str(&engine->next, lines);
    buf_add_char(&engine->next, '\n');
    return 200;
}

static bool script_page(struct engine *engine, const struct request *request, int64_t *ret_status,
                        struct buf *out)
{
    struct str path = request->path;
    *ret_status = 200;
    if (str_eq(path, STR("/script/log")))
        log_write(&engine->log, out);
    else if (str_eq(path, STR("/script/totals")))
        log_write_totals(&engine->log, out);
    else if (str_eq(path, STR("/script/reset")))
        reset(engine);
    else if (str_eq(path, STR("/script/default")))
        *ret_status = set_default(engine, buf_str(&request->body), out);
    else if (str_eq(path, STR("/script/next")))
        *ret_status = add_next(engine, buf_str(&request->body));
    else
        return false;
    if (out->len == 0)
        buf_add_cstr(out, "{}");
    return true;
}

bool engine_has_page(struct str path)
{
    return str_has_prefix(path, STR("/script/")) || str_eq(path, STR("/v1/models")) ||
           str_eq(path, STR("/metrics")) || str_eq(path, STR("/health"));
}

bool engine_page(struct engine *engine, const struct request *request, int64_t *ret_status,
                 struct buf *out)
{
    struct str path = request->path;
    *ret_status = 200;
    if (str_has_prefix(path, STR("/script/")))
        return script_page(engine, request, ret_status, out);
    if (str_eq(path, STR("/v1/models")))
        put_models(engine, out);
    else if (str_eq(path, STR("/metrics")))
        put_metrics(engine, out);
    else if (str_eq(path, STR("/health"))) {
        *ret_status = engine->script.health;
        buf_add_cstr(out, "{\"status\":\"ok\"}");
    } else
        return false;
    return true;
}

/* ---- scripts ---- */

/* Takes the first line of `next` away. */
static int use_next(struct engine *engine, struct script *script, struct err *err)
{
    struct str rest = buf_str(&engine->next), line;
    if (!str_split(&rest, '\n', &line))
        return 0;
    int rc = script_read(str_trim(line), script, err);
    buf_drop(&engine->next, line.len + 1);
    return rc;
}

void engine_script(struct engine *engine, const struct request *request, struct str in_body,
                   struct script *ret, struct err *err)
{
    *ret = engine->script;
    int rc = script_read(in_body, ret, err);
    if (rc == 0)
        rc = script_read(request_header(request, STR("X-Script")), ret, err);
    if (rc == 0 && !engine_has_page(request->path))
        (void)use_next(engine, ret, err);
}
