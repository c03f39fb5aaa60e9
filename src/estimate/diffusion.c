/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: text encoders, the denoiser and the decoder, whose activations grow with the image. The
 * law for the denoiser is c0 + c1 x + c2 x^2 with x = width * height, fitted per family by
 * gguf-parser's authors for stable-diffusion.cpp; diffusers needs about as much.
 */
#include "estimate/estimate_priv.h"
#include "estimate/parameters.h"

#include <math.h>

struct options {
    uint64_t width, height;
    bool flash_attention, no_tiling, offload;
    bool encoders_on_host, decoder_on_host;
};

#define AT(member) offsetof(struct options, member)

static const struct parameter table[] = {
    {"width", "-W --image-max-width", PARAMETER_COUNT, AT(width), 64, 16384},
    {"height", "-H --image-max-height", PARAMETER_COUNT, AT(height), 64, 16384},
    {"diffusion-fa", NULL, PARAMETER_ON, AT(flash_attention), 0, 0},
    {"image-no-vae-tiling", NULL, PARAMETER_ON, AT(no_tiling), 0, 0},
    {"enable-model-cpu-offload", NULL, PARAMETER_ON, AT(offload), 0, 0},
    {"clip-on-cpu", "--image-no-text-encoder-model-offload", PARAMETER_ON, AT(encoders_on_host), 0,
     0},
    {"vae-on-cpu", "--image-no-vae-model-offload", PARAMETER_ON, AT(decoder_on_host), 0, 0},
    {0},
};

struct law {
    const char *word; /* of architecture or name; the first that is found counts */
    double c0, c1, c2;
    double f0, f1;    /* with flash attention; 0: the same as without */
    unsigned channels;
};

static const struct law laws[] = {
    {"refiner", 49395992.34, 155.2478, 0.0007351736, 7031343.32, 599.4137, 4},
    {"xl", 55541290.39, 138.3196, 0.0006109455, -5958802.78, 500.0688, 4},
    {"3.5 large", 23204369.20, 410.3731, 0.0023195947, 0, 0, 16},
    {"3.5", 17441103.47, 281.6957, 0.0014651233, 0, 0, 16},
    {"stablediffusion3", 16529921.37, 234.6656, 0.0014648995, 0, 0, 16},
    {"sd3", 16529921.37, 234.6656, 0.0014648995, 0, 0, 16},
    {"flux", 46511668.67, 997.7759, 0.0014573393, 0, 0, 16},
    {"sd2", -355043979.06, -1193.3271, 0.0054023818, 3780681.28, 513.2102, 4},
    {"stablediffusion", 7876368.57, 161.4230198633, 0.0078124893, 0, 0, 4},
    {"sd1", 7876368.57, 161.4230198633, 0.0078124893, 0, 0, 4},
    {NULL, 46511668.67, 997.7759, 0.0014573393, 0, 0, 16}, /* the largest for the unknown */
};

/* Names have '-' or '_' where the word has a space, as files are called. */
static void copy_spaced(char *to, const char *name)
{
    do {
        *to++ = *name == '-' || *name == '_' ? ' ' : *name;
    } while (*name++);
}

static const struct law *law_of(const struct model_shape *shape)
{
    char name[MODEL_SHAPE_NAME_SIZE];
    const struct law *law = laws;
    copy_spaced(name, shape->name);
    while (law->word && !estimate_contains(shape->architecture, law->word) &&
           !estimate_contains(name, law->word))
        law++;
    return law;
}

enum component { ENCODER, DENOISER, DECODER };

static enum component component_of(const char *name)
{
    if (estimate_contains(name, "vae"))
        return DECODER;
    static const char *const encoders[] = {"encoder", "clip", "t5", "safety"};
    for (size_t i = 0; i < ARRAY_LEN(encoders); i++)
        if (estimate_contains(name, encoders[i]))
            return ENCODER;
    return DENOISER;
}

/* With three devices each component has its own: encoders, decoder, denoiser. */
static int place_of(const struct estimate_request *request, const struct options *options,
                    enum component component)
{
    const bool on_host = request->device_count == 0 ||
                         (component == ENCODER && options->encoders_on_host) ||
                         (component == DECODER && options->decoder_on_host);
    if (on_host)
        return ESTIMATE_HOST;
    if (request->device_count < 3)
        return component == DENOISER ? (int)request->device_count - 1 : 0;
    return component == ENCODER ? 0 : component == DECODER ? 1 : 2;
}

/* When components take turns on the device, only the largest counts there. */
static void add_weights(const struct estimate_request *request, const struct options *options,
                        struct estimate *ret)
{
    const struct model_shape *shape = request->shape;
    uint64_t largest = 0, named = 0;
    for (uint32_t i = 0; i < shape->part_count; i++) {
        const struct model_part *part = &shape->parts[i];
        largest = max_u64(largest, part->bytes);
        named += part->bytes;
        const int place = options->offload ? ESTIMATE_HOST
                                           : place_of(request, options, component_of(part->name));
        estimate_add(ret, place, ESTIMATE_WEIGHTS, part->bytes, "%.80s", part->name);
    }
    if (named < shape->tensor_bytes)
        estimate_add(ret, place_of(request, options, DENOISER), ESTIMATE_WEIGHTS,
                     shape->tensor_bytes - named, "tensors of no named component");
    if (options->offload)
        estimate_add(ret, place_of(request, options, DENOISER), ESTIMATE_WEIGHTS, largest,
                     "the largest component, while it is in use");
}

static void add_compute(const struct estimate_request *request, const struct options *options,
                        struct estimate *ret)
{
    const struct law *law = law_of(request->shape);
    const double x = (double)options->width * (double)options->height;
    const bool is_flash = options->flash_attention && law->f1 > 0;
    const double bytes = is_flash ? law->f0 + law->f1 * x : law->c0 + law->c1 * x + law->c2 * x * x;
    estimate_add(ret, place_of(request, options, DENOISER), ESTIMATE_COMPUTE,
                 (uint64_t)fmax(bytes, 64.0 * (double)MIB),
                 is_flash ? "%.0f + %.4f x, x = %llu x %llu" : "%.0f + %.4f x + c2 x^2, x = %llu x "
                                                               "%llu",
                 is_flash ? law->f0 : law->c0, is_flash ? law->f1 : law->c1,
                 (unsigned long long)options->width, (unsigned long long)options->height);
    const double area = options->no_tiling ? x : fmin(x, 512.0 * 512.0);
    estimate_add(ret, place_of(request, options, DECODER), ESTIMATE_COMPUTE,
                 100 * MIB + (uint64_t)(area * 13 * 128), "decoder: 100 MiB + %.0f x 13 x 128 B",
                 area);
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_COMPUTE,
                 128 * MIB + (uint64_t)x * 12 * law->channels,
                 "image: 128 MiB + %.0f x 12 B x %u channels", x, law->channels);
}

int estimate_diffusion(const struct estimate_request *request, struct estimate *ret,
                       struct err *err)
{
    struct options options = {.width = 1024, .height = 1024};
    const int rc = parameters_read(table, request->argv, request->argc, &options, err);
    if (rc < 0)
        return rc;
    add_weights(request, &options, ret);
    add_compute(request, &options, ret);
    for (size_t i = 0; i < request->device_count; i++)
        if (estimate_place_bytes(&ret->devices[i]) > 0)
            estimate_add(ret, (int)i, ESTIMATE_RUNTIME, 500 * MIB, "context and libraries");
    estimate_add(ret, ESTIMATE_HOST, ESTIMATE_RUNTIME, 160 * MIB, "process");
    estimate_judge(request, ret);
    return 0;
}
