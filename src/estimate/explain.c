/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/estimate_priv.h"

#include "base/num.h"

static void explain_place(const struct estimate *estimate, int device, struct buf *out)
{
    const struct estimate_place *place =
        device < 0 ? &estimate->host : &estimate->devices[device];
    auto_free char *sum = num_format_bytes(estimate_place_bytes(place));
    if (device < 0)
        buf_printf(out, "host: %s\n", sum);
    else
        buf_printf(out, "device %d: %s\n", device, sum);
    for (size_t i = 0; i < estimate->line_count; i++) {
        const struct estimate_line *line = &estimate->lines[i];
        if (line->device != device)
            continue;
        auto_free char *bytes = num_format_bytes(line->bytes);
        buf_printf(out, "  %-8s %12s  %s\n", estimate_part_name(line->part), bytes, line->formula);
    }
}

void estimate_explain(const struct estimate *estimate, struct buf *out)
{
    for (int device = 0; device < (int)estimate->device_count; device++)
        explain_place(estimate, device, out);
    explain_place(estimate, ESTIMATE_HOST, out);
}

static void write_place(const struct estimate_place *place, struct json_writer *w)
{
    json_begin_object(w);
    json_put_int(w, "bytes", (int64_t)estimate_place_bytes(place));
    for (int i = 0; i < ESTIMATE_PART_COUNT; i++)
        json_put_int(w, estimate_part_name((enum estimate_part)i), (int64_t)place->parts[i]);
    json_end_object(w);
}

static void write_lines(const struct estimate *estimate, struct json_writer *w)
{
    json_begin_array(w);
    for (size_t i = 0; i < estimate->line_count; i++) {
        const struct estimate_line *line = &estimate->lines[i];
        json_begin_object(w);
        json_add_key(w, "device");
        if (line->device < 0)
            json_add_null(w);
        else
            json_add_int(w, line->device);
        json_put_string(w, "part", estimate_part_name(line->part));
        json_put_int(w, "bytes", (int64_t)line->bytes);
        json_put_string(w, "formula", line->formula);
        json_end_object(w);
    }
    json_end_array(w);
}

void estimate_write(const struct estimate *estimate, struct json_writer *w)
{
    json_begin_object(w);
    json_put_string(w, "engine", estimate_engine_name(estimate->engine));
    json_put_bool(w, "fits", estimate->fits);
    json_put_string(w, "advice", estimate->advice);
    json_put_int(w, "context_length", (int64_t)estimate->context_length);
    json_put_int(w, "context_fits", (int64_t)estimate->context_fits);
    json_put_int(w, "cache_tokens", (int64_t)estimate->cache_tokens);
    json_put_int(w, "sequences", (int64_t)estimate->sequences);
    json_put_int(w, "tensor_parallel", estimate->tensor_parallel);
    json_put_int(w, "pipeline_parallel", estimate->pipeline_parallel);
    json_put_int(w, "data_parallel", estimate->data_parallel);
    json_put_int(w, "layers_offloaded", (int64_t)estimate->layers_offloaded);
    json_add_key(w, "devices");
    json_begin_array(w);
    for (size_t i = 0; i < estimate->device_count; i++)
        write_place(&estimate->devices[i], w);
    json_end_array(w);
    json_add_key(w, "host");
    write_place(&estimate->host, w);
    json_put_int(w, "host_reclaimable_bytes", (int64_t)estimate->host_reclaimable_bytes);
    json_add_key(w, "lines");
    write_lines(estimate, w);
    json_end_object(w);
}
