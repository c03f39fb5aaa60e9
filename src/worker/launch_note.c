/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/launch_note.h"

#include "worker/masking.h"

#include <unistd.h>

char *launch_note(struct string_list *argv, struct string_map *env, const char *token)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    auto_free char *dir = getcwd(NULL, 0);
    masking_apply(argv, env, token);
    json_begin_object(&w);
    json_add_key(&w, "command");
    json_begin_array(&w);
    for (size_t i = 0; i < argv->count; i++)
        json_add_cstring(&w, argv->items[i]);
    json_end_array(&w);
    json_add_key(&w, "env");
    json_begin_object(&w);
    for (size_t i = 0; i < env->count; i++)
        json_put_string(&w, env->keys[i], env->values[i]);
    json_end_object(&w);
    json_put_string(&w, "working_dir", dir);
    json_end_object(&w);
    if (text.len <= LAUNCH_NOTE_MAX)
        return buf_take(&text);
    buf_fini(&text);
    return NULL;
}
