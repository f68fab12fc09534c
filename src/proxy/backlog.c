#include "proxy/backlog.h"

#include "base/mem.h"

bool
backlog_add(struct backlog *b, struct msg *m, size_t max)
{
    size_t cost = m->payload.len + BACKLOG_COST;
    if (b->n > 0 && b->bytes + cost > max)
        return false;
    if (b->n == b->cap) {
        b->cap = b->cap > 0 ? b->cap * 2 : 4;
        b->at = mem_realloc(b->at, b->cap * sizeof(struct msg *));
    }
    b->at[b->n++] = msg_ref(m);
    b->bytes += cost;
    return true;
}

void
backlog_clear(struct backlog *b)
{
    for (unsigned i = 0; i < b->n; i++)
        msg_unref(b->at[i]);
    mem_free(b->at);
    *b = (struct backlog){.at = NULL};
}
