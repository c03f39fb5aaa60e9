/* SPDX-License-Identifier: Apache-2.0 */
#include "control/revisions.h"

void revisions_keep(struct cluster *cluster, const struct model *model, int64_t now_ms)
{
    const struct index_bucket *kept = number_index_find(&cluster->revisions_of_model, model->id);
    if (kept && kept->count >= REVISIONS_PER_MODEL_MAX)
        cluster_delete(cluster, KIND_REVISION, record_id(kept->rows[0]));
    struct model_revision fresh = {.model_id = model->id,
                                   .generation = model->generation,
                                   .settings = revision_settings(model)};
    cluster_put(cluster, KIND_REVISION, &fresh, now_ms);
}

/* The revision of that generation, or with 0 the newest that isn't the model's present one. */
static const struct model_revision *find_revision(const struct cluster *cluster,
                                                  const struct model *model, int64_t generation)
{
    const struct model_revision *found = NULL;
    CLUSTER_FOR_KEY(&cluster->revisions_of_model, model->id, struct model_revision, revision) {
        if (generation ? revision->generation == generation
                       : revision->generation != model->generation)
            found = revision;
    }
    return found;
}

static int no_revision(const struct cluster *cluster, const struct model *model, int64_t generation,
                       struct err *err)
{
    struct buf known = {0};
    CLUSTER_FOR_KEY(&cluster->revisions_of_model, model->id, struct model_revision, revision)
        buf_printf(&known, "%s%lld", known.len ? ", " : "", (long long)revision->generation);
    int rc = generation
                 ? err_set(err, ERR_NOT_FOUND,
                           "model %s has no revision of generation %lld; kept are %s", model->name,
                           (long long)generation, known.len ? known.ptr : "none")
                 : err_set(err, ERR_NOT_FOUND,
                           "model %s has no revision before the present one to go back to",
                           model->name);
    buf_fini(&known);
    return rc;
}

int revisions_restore(const struct cluster *cluster, struct model *copy, int64_t generation,
                      struct err *err)
{
    const struct model_revision *revision = find_revision(cluster, copy, generation);
    if (!revision)
        return no_revision(cluster, copy, generation, err);
    return revision_apply(copy, revision->settings, err);
}
