#include "conf/lines.h"

void
lines_init(struct lines *l, FILE *file, size_t max)
{
    l->file = file;
    buf_init(&l->text, LINES_MAX_LINE + 1); /* and a CR */
    l->n = 0;
    l->left = max;
}

void
lines_clear(struct lines *l)
{
    buf_clear(&l->text);
}

static int
next_byte(struct lines *l)
{
    if (l->left == 0)
        return EOF;
    l->left--;
    return getc_unlocked(l->file);
}

/* Only one byte more can tell a file that ends at the limit from one that goes on. */
static enum lines_event
at_end(struct lines *l)
{
    return l->left == 0 && getc_unlocked(l->file) != EOF ? LINES_FULL : LINES_END;
}

enum lines_event
lines_next(struct lines *l, struct str *line)
{
    bool too_long = false;
    int c = next_byte(l);
    if (c == EOF)
        return at_end(l);
    l->n++;
    l->text.len = 0;
    for (; c != EOF && c != '\n'; c = next_byte(l))
        if (!too_long && buf_addc(&l->text, (char)c) != 0)
            too_long = true;
    *line = buf_str(&l->text);
    if (line->len > 0 && line->ptr[line->len - 1] == '\r')
        line->len--;
    if (l->n == 1 && str_starts(*line, STR("\xef\xbb\xbf")))
        *line = str_from(*line, 3);
    return too_long || line->len > LINES_MAX_LINE ? LINES_LONG : LINES_LINE;
}
