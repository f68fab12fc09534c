#include "pub/filter.h"

#include "base/log.h"
#include "base/mem.h"
#include "grip/contentid.h"
#include "pub/channel.h"

enum { GROWTH_MAX = 1 << 20 }; /* bytes that filters may add to twice a content's length */

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

/* The channel's name as the origin knows it; ptr NULL when it is none of the route's. */
static struct str
bare_name(const struct sub *sub)
{
    const struct route *route = sub->hold->route;
    struct str prefix = str_c(route != NULL ? route->prefix : ""), name = sub->channel->node.key;
    return str_starts(name, prefix) ? str_of(name.ptr + prefix.len, name.len - prefix.len) : str_of(NULL, 0);
}

static const struct sub *
find_bare(const struct hold *h, struct str wanted)
{
    for (const struct sub *s = h->subs; s != NULL; s = s->next) {
        struct str name = bare_name(s);
        if (name.ptr != NULL && str_eq(name, wanted))
            return s;
    }
    return NULL;
}

static bool
require_sub(const struct sub *sub, const struct msg *m)
{
    struct str wanted = item_meta(m, "require_sub");
    return wanted.len > 0 && find_bare(sub->hold, wanted) == NULL;
}

/* content */

struct context {
    const struct sub *sub;
    const struct msg *m;
};

static struct str
find_meta(void *arg, struct str name)
{
    const struct context *c = arg;
    return sub_meta(c->sub, name);
}

/* The id that the client has of a channel when it has this message. */
static struct str
find_id(void *arg, struct str name)
{
    const struct context *c = arg;
    const struct sub *s = find_bare(c->sub->hold, name);
    const struct shared_bytes *id = s != NULL && s->more != NULL ? s->more->prev_id : NULL;
    if (s != NULL && s->channel == c->sub->channel)
        return c->m->item->id;
    return id != NULL ? str_of(id->data, id->len) : str_of(NULL, 0);
}

static int
var_subst(struct context *c, struct str content, struct buf *out, struct err *e)
{
    return contentid_subst(content, find_meta, c, out, e);
}

static int
build_id(struct context *c, struct str content, struct buf *out, struct err *e)
{
    struct contentid id;
    int rc = contentid_init(&id, sub_meta(c->sub, STR("id_format")), sub_meta(c->sub, STR("id_encoding")), find_id, c,
                            false, e);
    if (rc == 0)
        rc = contentid_put(&id, content, true, out, e);
    contentid_clear(&id);
    return rc;
}

enum asks { ASKS_NOBODY, ASKS_TO_CHECK, ASKS_TO_MODIFY };

/* One of the three says what it does. */
static const struct filter {
    struct str name;
    bool (*drops)(const struct sub *sub, const struct msg *m);
    int (*rewrite)(struct context *c, struct str content, struct buf *out, struct err *e);
    enum asks asks;
} filters[] = {
    {{"skip-self", 9}, skip_self, NULL, ASKS_NOBODY},      {{"skip-users", 10}, skip_users, NULL, ASKS_NOBODY},
    {{"require-sub", 11}, require_sub, NULL, ASKS_NOBODY}, {{"build-id", 8}, NULL, build_id, ASKS_NOBODY},
    {{"var-subst", 9}, NULL, var_subst, ASKS_NOBODY},      {{"http-check", 10}, NULL, NULL, ASKS_TO_CHECK},
    {{"http-modify", 11}, NULL, NULL, ASKS_TO_MODIFY},
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
filter_asks(int filter)
{
    return filters[filter].asks != ASKS_NOBODY;
}

/* The next of SUB's filters that change content; *I is where to look, and moves on. ptr NULL: no more. */
static struct str
next_content_filter(const struct sub *sub, unsigned *i)
{
    while (sub->more != NULL && *i < sub->more->n_filters) {
        unsigned f = sub->more->filters[(*i)++];
        if (filters[f].rewrite != NULL || filters[f].asks == ASKS_TO_MODIFY)
            return filters[f].name;
    }
    return str_of(NULL, 0);
}

/* Was the content made for the filters that the subscription has? */
static int
check_content_filters(const struct sub *sub, const struct format *f, struct err *e)
{
    struct buf has = BUF_INIT(160), wants = BUF_INIT(160);
    size_t n = json_array_size(f->content_filters);
    unsigned i = 0;
    bool same = true;
    struct str name;
    for (size_t k = 0; k < n; k++) {
        json_t *value = json_array_get(f->content_filters, k);
        struct str wanted = str_of(json_string_value(value), json_string_length(value));
        name = next_content_filter(sub, &i);
        same = same && name.ptr != NULL && str_eq(name, wanted);
        buf_addf(&wants, "%s%.*s", k > 0 ? "," : "", STR_ARG(wanted));
    }
    same = same && next_content_filter(sub, &i).ptr == NULL;
    i = 0;
    while (!same && (name = next_content_filter(sub, &i)).ptr != NULL)
        buf_addf(&has, "%s%.*s", has.len > 0 ? "," : "", STR_ARG(name));
    if (!same)
        err_set(e, "content filter mismatch: subscription=%.*s message=%.*s", STR_ARG(buf_str(&has)),
                STR_ARG(buf_str(&wants)));
    buf_clear(&has);
    buf_clear(&wants);
    return same ? 0 : -1;
}

/* One line for an item, however many subscriptions it fails for. */
static void
warn_once(const struct msg *m, const struct err *e)
{
    struct item *item = m->item;
    if (!item->warned)
        log_warn("item skipped: channel=%.*s id=%.*s: %s", STR_ARG(item->channel), STR_ARG(item->id), e->text);
    item->warned = true;
}

/* CONTENT takes the place of the message's own. */
static void
replace(struct filtering *f, struct str content)
{
    struct msg *before = f->m;
    f->m = msg_rewrite(before, content);
    msg_unref(before);
}

static int
rewrite(const struct sub *sub, struct filtering *f, const struct filter *filter, struct err *e)
{
    struct context c = {sub, f->m};
    struct buf out = BUF_INIT(2 * f->m->payload.len + GROWTH_MAX);
    int rc = filter->rewrite(&c, f->m->payload, &out, e);
    if (rc == 0)
        replace(f, buf_str(&out));
    buf_clear(&out);
    return rc;
}

static bool
has_content(const struct msg *m)
{
    return m->format->action == ACTION_SEND && m->format->body_patch == NULL;
}

static const struct filter *
current(const struct filtering *f)
{
    return &filters[f->filters[f->next]];
}

enum filter_result
filter_drop(struct filtering *f)
{
    msg_unref(f->m);
    f->m = NULL;
    return FILTER_DROP;
}

enum filter_result
filter_fail(struct filtering *f, struct err *e)
{
    err_prefix(e, "filter error: %.*s: ", STR_ARG(current(f)->name));
    warn_once(f->m, e);
    filter_drop(f);
    return FILTER_FAIL;
}

enum filter_result
filter_go_on(const struct sub *sub, struct filtering *f, struct err *e)
{
    for (; f->next < f->n; f->next++) {
        const struct filter *filter = current(f);
        if (filter->drops != NULL && filter->drops(sub, f->m))
            return filter_drop(f);
        if (filter->rewrite != NULL && has_content(f->m) && rewrite(sub, f, filter, e) != 0)
            return filter_fail(f, e);
        if (filter->asks == ASKS_TO_CHECK || (filter->asks == ASKS_TO_MODIFY && has_content(f->m)))
            return FILTER_ASK;
    }
    return FILTER_PASS;
}

enum filter_result
filter_begin(const struct sub *sub, struct msg *m, struct filtering *f, struct err *e)
{
    const struct sub_more *more = sub->more;
    *f = (struct filtering){.m = NULL};
    if (m->format->content_filters != NULL && check_content_filters(sub, m->format, e) != 0) {
        log_debug("item skipped: channel=%.*s id=%.*s: %s", STR_ARG(m->item->channel), STR_ARG(m->item->id), e->text);
        return FILTER_FAIL;
    }
    if (more != NULL) {
        f->n = more->n_filters;
        memcpy(f->filters, more->filters, sizeof f->filters);
    }
    f->m = msg_ref(m);
    return filter_go_on(sub, f, e);
}

bool
filter_modifies(const struct filtering *f)
{
    return current(f)->asks == ASKS_TO_MODIFY;
}

void
filter_answered(struct filtering *f, struct str content)
{
    if (content.ptr != NULL)
        replace(f, content);
    f->next++;
}

enum filter_result
filter_message(const struct sub *sub, struct msg *m, struct msg **out, struct err *e)
{
    struct filtering f;
    enum filter_result result = filter_begin(sub, m, &f, e);
    if (result == FILTER_ASK) {
        err_set(e, "nobody can be asked here");
        result = filter_fail(&f, e);
    }
    if (result == FILTER_PASS)
        *out = f.m;
    return result;
}
