#include "proxy/wssort.h"

#include "base/mem.h"

enum state { DECIDE, CONTENT, CONTROL, DROP };

struct wssort {
    uint8_t state; /* enum state, of the message under way */
    bool begun;    /* a piece of it has been sent on */
    struct buf held;
    size_t prefix_len;
    char prefix[];
};

struct wssort *
wssort_new(struct str prefix)
{
    struct wssort *s = mem_zalloc(sizeof *s + prefix.len);
    s->prefix_len = prefix.len;
    if (prefix.len > 0)
        memcpy(s->prefix, prefix.ptr, prefix.len);
    buf_init(&s->held, 1 << 24); /* a piece on top of what decides: both are bounded */
    return s;
}

void
wssort_free(struct wssort *s)
{
    buf_clear(&s->held);
    mem_free(s);
}

/* May TEXT, of which more comes unless LAST, begin with PREFIX? */
static bool
may_begin(struct str text, struct str prefix, bool last)
{
    if (text.len >= prefix.len)
        return str_starts(text, prefix);
    return !last && str_starts(prefix, text);
}

static enum state
decide(const struct wssort *s, struct str text, uint8_t opcode, bool last)
{
    static const struct str mark = {"c:", 2};
    struct str prefix = str_of(s->prefix, s->prefix_len);
    bool control = opcode == WSFRAME_TEXT && may_begin(text, mark, last);
    if (control)
        return text.len >= mark.len ? CONTROL : DECIDE;
    if (!may_begin(text, prefix, last))
        return DROP;
    return text.len >= prefix.len ? CONTENT : DECIDE;
}

static enum wssort_result
give_content(struct wssort *s, const struct ws_piece *in, struct str text, struct ws_piece *out)
{
    if (text.len == 0 && !in->last)
        return WSSORT_NOTHING;
    *out = (struct ws_piece){.payload = text, .opcode = in->opcode, .first = !s->begun, .last = in->last};
    s->begun = true;
    return WSSORT_CONTENT;
}

/* Put the control message together. */
static enum wssort_result
give_control(struct wssort *s, const struct ws_piece *in, struct str text, struct ws_piece *out)
{
    if (text.ptr != s->held.ptr) {
        if (s->held.len + text.len > WSSORT_CONTROL_MAX) {
            s->state = DROP;
            buf_clear(&s->held);
            return WSSORT_NOTHING;
        }
        buf_adds(&s->held, text);
    }
    if (!in->last)
        return WSSORT_NOTHING;
    *out = (struct ws_piece){.payload = str_from(buf_str(&s->held), 2), .opcode = WSFRAME_TEXT};
    return WSSORT_CONTROL;
}

enum wssort_result
wssort_next(struct wssort *s, const struct ws_piece *in, struct ws_piece *out)
{
    struct str text = in->payload;
    if (in->first) {
        s->state = DECIDE;
        s->begun = false;
    }
    if (s->state == DECIDE) {
        if (s->held.len > 0) {
            buf_adds(&s->held, text);
            text = buf_str(&s->held);
        }
        s->state = (uint8_t)decide(s, text, in->opcode, in->last);
        if (s->state == DECIDE && s->held.len == 0)
            buf_adds(&s->held, text);
        else if (s->state == CONTENT)
            text = str_from(text, s->prefix_len);
    }
    if (s->state == CONTENT)
        return give_content(s, in, text, out);
    if (s->state == CONTROL)
        return give_control(s, in, text, out);
    return WSSORT_NOTHING;
}

void
wssort_done(struct wssort *s, const struct ws_piece *in)
{
    if (in->last || s->state == CONTENT || s->state == DROP)
        buf_clear(&s->held);
}
