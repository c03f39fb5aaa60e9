/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack plan SOURCE`: where a model would go if it were deployed now, or why nowhere. */
#include "app/cli.h"
#include "app/command.h"
#include "app/model_spec.h"
#include "app/place_text.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_NOT_PLACED = 2 };

struct plan {
    struct model_spec spec;
    bool is_asked, is_placed;
};

static const char *mode_text(const char *mode)
{
    static const char *const texts[][2] = {{"on_devices", "on devices"},
                                           {"partly_on_devices", "partly on devices"},
                                           {"on_processor", "on the processor"},
                                           {"whole_devices", "devices for itself"}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (mode && strcmp(texts[i][0], mode) == 0)
            return texts[i][1];
    return mode ? mode : "-";
}

static void print_needs(const json_t *result, const json_t *placement)
{
    const json_t *claim = json_object_get(result, "resource_claim");
    const char *engine = json_member_string(placement, "engine");
    int64_t context = json_member_int(placement, "context_length", 0);
    auto_free char *vram = place_bytes_text(json_object_get(claim, "vram"));
    auto_free char *ram = place_bytes_text(json_object_get(claim, "ram"));
    printf("needs %s of device memory and %s of main memory\n", vram, ram);
    printf("runs %s", mode_text(json_member_string(placement, "mode")));
    if (engine)
        printf(", engine %s", engine);
    if (json_member_int(placement, "tensor_parallel", 0))
        printf(", TP %lld x PP %lld", (long long)json_member_int(placement, "tensor_parallel", 1),
               (long long)json_member_int(placement, "pipeline_parallel", 1));
    if (json_member_int(placement, "layers_offloaded", 0))
        printf(", %lld layers on devices",
               (long long)json_member_int(placement, "layers_offloaded", 0));
    if (context)
        printf(", context %lld", (long long)context);
    putchar('\n');
}

static void print_places(const char *name, const json_t *result)
{
    const json_t *replicas = json_object_get(result, "replicas");
    const json_t *placement = json_object_get(result, "placement");
    int64_t wanted = json_member_int(replicas, "wanted", 1);
    int64_t placed = json_member_int(replicas, "placed", 1);
    int64_t tried = json_member_int(replicas, "tried", 1);
    if (placed >= wanted)
        printf("%s finds a place.\n", name);
    else if (placed == tried)
        printf("The first %lld of %lld replicas of %s find places; more weren't tried.\n",
               (long long)placed, (long long)wanted, name);
    else
        printf("%s finds places for %lld of %lld replicas.\n", name, (long long)placed,
               (long long)wanted);
    print_needs(result, placement);
    place_text_print_cost(placement);
    putchar('\n');
    place_text_print_ranks(json_object_get(result, "placements"));
}

static void print_messages(const json_t *messages)
{
    size_t i;
    json_t *message;
    json_array_foreach(messages, i, message)
        printf("%s\n", json_string_value(message));
}

static void print_refusal(const char *name, const json_t *result)
{
    const json_t *reason = json_object_get(result, "reason");
    printf("%s finds no place.\n", name);
    if (json_array_size(json_object_get(reason, "funnel")) > 0) {
        place_text_print_reason(reason);
    } else {
        print_messages(json_object_get(result, "compatibility_messages"));
        print_messages(json_object_get(result, "scheduling_messages"));
    }
    if (json_array_size(json_object_get(result, "ways_out")) > 0)
        putchar('\n');
    place_text_print_ways_out(json_object_get(result, "ways_out"), "");
}

/* All that were tried: of very many replicas the first ones are. */
static bool are_all_placed(const json_t *result)
{
    const json_t *replicas = json_object_get(result, "replicas");
    return json_is_true(json_object_get(result, "compatible")) &&
           json_member_int(replicas, "placed", 0) >= json_member_int(replicas, "tried", 0);
}

/* A spec that can't be a model is an error of who has called, as with `gpustack deploy`. */
static int show(const struct cli *cli, struct plan *plan, const char *name, const json_t *answer,
                struct err *err)
{
    const json_t *result = json_array_get(json_object_get(answer, "results"), 0);
    const char *fault = json_member_string(result, "error_message");
    if (fault)
        return err_set(err, ERR_INVALID, "%s", fault);
    plan->is_placed = are_all_placed(result);
    if (cli->json)
        cli_print_json(result);
    else if (json_is_true(json_object_get(result, "compatible")))
        print_places(name, result);
    else
        print_refusal(name, result);
    return 0;
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    struct plan *plan = ctx;
    auto_fini(json_release) json_t *spec = NULL, *answer = NULL;
    int rc = model_spec_source(cli->args[0], &spec, err);
    if (rc == 0)
        rc = model_spec_add(&plan->spec, spec, err);
    if (rc < 0)
        return rc;
    auto_free char *name = plan->spec.name ? mem_strdup(plan->spec.name)
                                           : model_spec_default_name(cli->args[0]);
    auto_fini(json_release) json_t *body = json_pack("{s:[O]}", "model_specs", spec);
    rc = cli_call(cli, HTTP_POST, "/v2/model-evaluations", body, &answer, err);
    plan->is_asked = rc == 0;
    return rc < 0 ? rc : show(cli, plan, name, answer, err);
}

int cmd_plan(int argc, char **argv)
{
    struct plan plan = {0};
    const struct cli_option options[] = {
        {.name = "name", .value = "NAME", .text = &plan.spec.name, .help = "of the model"},
        {.name = "replicas", .value = "N", .text = &plan.spec.replicas,
         .help = "instances to find places for (1)"},
        {.name = "backend", .value = "ENGINE", .text = &plan.spec.backend,
         .help = "engine (chosen by files and devices)"},
        {.name = "backend-version", .value = "VERSION", .text = &plan.spec.version,
         .help = "version of the engine"},
        {.name = "param", .value = "ARG", .list = &plan.spec.parameters,
         .help = "argument of the engine; repeat, or put all behind --"},
        {.name = "selector", .value = "KEY=VALUE", .list = &plan.spec.selectors,
         .help = "label that a worker must have; repeat"},
        {.name = "gpu-ids", .value = "WORKER:TYPE:N", .list = &plan.spec.gpu_ids,
         .help = "device that it may have; repeat"},
        {.name = "priority", .value = "N", .text = &plan.spec.priority, .help = "of the model (0)"},
        {.name = "placement-strategy", .value = "WORD", .text = &plan.spec.strategy,
         .help = "auto, spread or binpack (auto)"},
        {0},
    };
    const struct cli_spec spec = {
        .command = "plan",
        .arguments = "PATH|hf:OWNER/REPO[/FILE]|ms:OWNER/REPO[/FILE] [-- ENGINE ARGUMENTS]",
        .summary = "Tells where a model would go if it were deployed now, and what it would hold\n"
                   "there; or why it finds no place, and what could be done. Changes nothing.\n"
                   "Exit status 2 also: not all replicas find a place.",
        .options = options,
        .min_args = 1,
        .max_args = 1,
        .rest = &plan.spec.parameters};
    int status = cli_main(&spec, argc, argv, run, &plan);
    model_spec_fini(&plan.spec);
    return status == CLI_OK && plan.is_asked && !plan.is_placed ? EXIT_NOT_PLACED : status;
}
