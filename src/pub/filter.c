#include "pub/filter.h"

#include "base/mem.h"
#include "pub/channel.h"

static struct str
item_meta(const struct msg *m, const char *name)
{
    json_t *value = m->item->meta != NULL ? json_object_get(m->item->meta, name) : NULL;
    return value != NULL ? str_of(json_string_value(value), json_string_length(value)) : str_of(NULL, 0);
}

static struct str
sub_meta(const struct sub *sub, struct str name)
{
    const struct hold *h = sub->hold;
    return h->ops->meta != NULL ? h->ops->meta(h, name) : str_of(NULL, 0);
}

static bool
skip_self(const struct sub *sub, const struct msg *m)
{
    struct str user = sub_meta(sub, STR("user"));
    return user.len > 0 && str_eq(user, item_meta(m, "sender"));
}

static bool
skip_users(const struct sub *sub, const struct msg *m)
{
    struct str user = sub_meta(sub, STR("user")), rest = item_meta(m, "skip_users"), name;
    if (user.len == 0)
        return false;
    while (str_split(&rest, ',', &name))
        if (str_eq(str_trim(name), user))
            return true;
    return false;
}

static bool
require_sub(const struct sub *sub, const struct msg *m)
{
    struct str wanted = item_meta(m, "require_sub");
    struct str prefix = str_c(sub->hold->route != NULL ? sub->hold->route->prefix : "");
    if (wanted.len == 0)
        return false;
    for (const struct sub *s = sub->hold->subs; s != NULL; s = s->next) {
        struct str name = s->channel->node.key;
        if (str_starts(name, prefix) && str_eq(str_from(name, prefix.len), wanted))
            return false;
    }
    return true;
}

static const struct {
    struct str name;
    bool (*drops)(const struct sub *sub, const struct msg *m);
} filters[] = {
    {{"skip-self", 9}, skip_self},
    {{"skip-users", 10}, skip_users},
    {{"require-sub", 11}, require_sub},
};

int
filter_find(struct str name)
{
    for (size_t i = 0; i < countof(filters); i++)
        if (str_eq(filters[i].name, name))
            return (int)i;
    return -1;
}

bool
filter_pass(const struct sub *sub, const struct msg *m)
{
    for (unsigned i = 0; i < sub->more->n_filters; i++)
        if (filters[sub->more->filters[i]].drops(sub, m))
            return false;
    return true;
}
