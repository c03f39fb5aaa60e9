/* SPDX-License-Identifier: Apache-2.0 */
/* What placement has reckoned with and what a model is for, as an engine's arguments say it:
 * doc/engines.md, `placed` and `tasks`. */
#include "engine/engine_priv.h"

const char *const engine_figure_names[ENGINE_FIGURE_COUNT] = {
    [ENGINE_LAYERS] = "layers",
    [ENGINE_SPLIT] = "split",
    [ENGINE_CONTEXT] = "context",
    [ENGINE_MEMORY_FRACTION] = "memory_fraction",
    [ENGINE_TENSOR_PARALLEL] = "tensor_parallel",
    [ENGINE_PIPELINE_PARALLEL] = "pipeline_parallel",
};

const char *const engine_task_names[ENGINE_TASK_COUNT] = {
    [ENGINE_EMBEDDING] = "embedding",
    [ENGINE_RERANKER] = "reranker",
};

/* ---- figures ---- */

static char *number_text(int64_t number)
{
    return mem_printf("%lld", (long long)number);
}

/* MiB of each device, with commas between: what counts is their proportion. */
static char *split_text(const struct resource_claim *claim)
{
    struct buf text = {0};
    for (size_t i = 0; i < claim->device_count; i++) {
        uint64_t mib = claim->devices[i].bytes >> 20;
        if (i)
            buf_add_char(&text, ',');
        buf_add_uint(&text, mib ? mib : 1);
    }
    return buf_take(&text);
}

static uint64_t total_of(const struct device_list *devices, int64_t index)
{
    for (size_t i = 0; i < devices->count; i++)
        if (devices->items[i].index == index)
            return devices->items[i].memory.total_bytes;
    return 0;
}

/* The least of all devices, so that on none more than the claim is taken; 0: not known. */
static double fraction_of(const struct resource_claim *claim, const struct device_list *devices)
{
    double least = 0;
    for (size_t i = 0; i < claim->device_count; i++) {
        uint64_t total = total_of(devices, claim->devices[i].index);
        if (total == 0 || claim->devices[i].bytes == 0)
            return 0;
        double fraction = (double)claim->devices[i].bytes / (double)total;
        if (i == 0 || fraction < least)
            least = fraction;
    }
    return least < 1 ? least : 1;
}

void engine_figures_of(const struct resource_claim *claim, bool is_alone,
                       const struct device_list *devices, struct engine_figures *ret)
{
    char **texts = ret->texts;
    double fraction = claim->is_whole ? 0 : fraction_of(claim, devices);
    bool has_split = claim->device_count > 1 && claim->layers_offloaded > 0 && !claim->is_whole;
    *ret = (struct engine_figures){0};
    /* In a gang these would be of all ranks' devices, in an order that is the engine's. */
    if (is_alone && claim->layers_total > 0)
        texts[ENGINE_LAYERS] = number_text(claim->layers_offloaded);
    if (is_alone && has_split)
        texts[ENGINE_SPLIT] = split_text(claim);
    if (claim->context_length > 0)
        texts[ENGINE_CONTEXT] = number_text(claim->context_length);
    if (fraction >= 0.001)
        texts[ENGINE_MEMORY_FRACTION] = mem_printf("%.3f", fraction);
    if (claim->tensor_parallel > 0)
        texts[ENGINE_TENSOR_PARALLEL] = number_text(claim->tensor_parallel);
    if (claim->pipeline_parallel > 0)
        texts[ENGINE_PIPELINE_PARALLEL] = number_text(claim->pipeline_parallel);
}

void engine_figures_fini(struct engine_figures *figures)
{
    for (int i = 0; i < ENGINE_FIGURE_COUNT; i++)
        free(figures->texts[i]);
    *figures = (struct engine_figures){0};
}

const char *engine_figure(const struct engine_figures *figures, struct str name)
{
    for (int i = 0; figures && i < ENGINE_FIGURE_COUNT; i++)
        if (str_eq(name, str_of(engine_figure_names[i])))
            return figures->texts[i];
    return NULL;
}

/* ---- checking a description ---- */

static int check_args(const struct engine *engine, const struct engine_values *values,
                      const struct string_list *args, struct err *err)
{
    if (args->count && args->items[0][0] != '-')
        return err_set(err, ERR_INVALID, "must begin with a flag, not %.64s", args->items[0]);
    for (size_t n = 0; n < args->count; n++) {
        auto_free char *filled = NULL;
        int rc = engine_fill(engine, values, args->items[n], &filled, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int engine_check_placed(const struct engine *engine, struct err *err)
{
    char text[] = "1";
    for (int i = 0; i < ENGINE_FIGURE_COUNT; i++) {
        struct engine_figures figures = {0};
        figures.texts[i] = text;
        const struct engine_values values = {.model_path = "",
                                             .model_name = "",
                                             .figures = &figures};
        int rc = check_args(engine, &values, &engine->placed[i], err);
        if (rc < 0)
            return err_wrap(err, rc, "placed: %s", engine_figure_names[i]);
    }
    return 0;
}

int engine_check_tasks(const struct engine *engine, struct err *err)
{
    const struct engine_values values = {.model_path = "", .model_name = ""};
    for (int i = 0; i < ENGINE_TASK_COUNT; i++) {
        int rc = check_args(engine, &values, &engine->tasks[i], err);
        if (rc < 0)
            return err_wrap(err, rc, "tasks: %s", engine_task_names[i]);
    }
    return 0;
}
