/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/accept.h"

#include "gateway/header_param.h"

enum { WEIGHT_MAX = 1000 };

/* "0", "0.5", "1.000": thousandths, or ERR_SYNTAX. */
static int parse_weight(struct str text)
{
    int weight = 0, unit = WEIGHT_MAX;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (i == 1 && c == '.')
            continue;
        if (i == 1 || c < '0' || c > '9' || unit == 0)
            return ERR_SYNTAX;
        weight += (c - '0') * unit;
        unit /= 10;
    }
    return text.len && weight <= WEIGHT_MAX ? weight : ERR_SYNTAX;
}

/* What an item says, and of what; ERR_SYNTAX when it is malformed. */
static int parse_item(struct str item, struct str *ret_name)
{
    struct header_param param;
    int weight = WEIGHT_MAX, rc;
    *ret_name = header_param_type(&item);
    while ((rc = header_param_next(&item, &param)) > 0) {
        if (!str_eq_nocase(param.name, STR("q")))
            continue;
        weight = parse_weight(param.value);
        if (weight < 0)
            return weight;
    }
    return rc < 0 ? rc : weight;
}

int accept_weight(struct str list, struct str name)
{
    int of_all = ACCEPT_ABSENT;
    struct str item, its_name;
    while (str_split(&list, ',', &item)) {
        int weight = parse_item(item, &its_name);
        if (weight < 0)
            continue;
        if (str_eq_nocase(its_name, name))
            return weight;
        if (of_all < 0 && str_eq(its_name, STR("*")))
            of_all = weight;
    }
    return of_all;
}
