#include "proto/jsonwrite.h"

/* What TEXT (not empty) begins with: the bytes of a character; 0: too few of them to tell; less than 0: that many bytes
 * of none (RFC 3629). */
static int
character(struct str text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    unsigned char low = 0x80, high = 0xbf; /* of the second byte */
    int need;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return -1;
    need = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    for (int i = 1; i < need; i++) {
        if ((size_t)i == text.len)
            return 0;
        if (p[i] < low || p[i] > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return need;
}

static void
put_ascii(char c, struct buf *out)
{
    static const char letters[] = "\b\f\n\r\t\"\\", escapes[] = "bfnrt\"\\";
    const char *at = c != '\0' ? strchr(letters, c) : NULL;
    if (at != NULL) {
        buf_addc(out, '\\');
        buf_addc(out, escapes[at - letters]);
    } else {
        buf_addf(out, "\\u%04x", (unsigned char)c);
    }
}

static bool
is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

static bool
ends_a_line(struct str c)
{
    return c.len == 3 && memcmp(c.ptr, "\xe2\x80", 2) == 0 && ((unsigned char)c.ptr[2] & 0xfe) == 0xa8;
}

/* One character, or what is left of one: N as character() says. */
static void
put(struct str text, int n, struct buf *out)
{
    struct str c = str_sub(text, 0, n > 0 ? (size_t)n : 0);
    if (n <= 0)
        buf_adds(out, STR("\xef\xbf\xbd"));
    else if (n == 1 && !is_plain((unsigned char)*c.ptr))
        put_ascii(*c.ptr, out);
    else if (ends_a_line(c))
        buf_addf(out, "\\u202%c", c.ptr[2] == '\xa8' ? '8' : '9');
    else
        buf_adds(out, c);
}

/* A character began in the piece before: complete it, or find that it is none. */
static void
put_rest(struct jsonwrite *w, struct str *piece, struct buf *out)
{
    while (w->n > 0 && piece->len > 0) {
        int n;
        w->rest[w->n] = *piece->ptr;
        n = character(str_of(w->rest, w->n + 1));
        if (n < 0) {
            put(str_of(w->rest, w->n), n, out); /* the new byte is not part of it */
            w->n = 0;
            return;
        }
        *piece = str_from(*piece, 1);
        w->n++;
        if (n > 0) {
            put(str_of(w->rest, w->n), n, out);
            w->n = 0;
        }
    }
}

void
jsonwrite_piece(struct jsonwrite *w, struct str piece, struct buf *out)
{
    put_rest(w, &piece, out);
    while (piece.len > 0) {
        size_t plain = 0;
        int n;
        while (plain < piece.len && (unsigned char)piece.ptr[plain] < 0x80 && is_plain((unsigned char)piece.ptr[plain]))
            plain++;
        buf_add(out, piece.ptr, plain);
        piece = str_from(piece, plain);
        if (piece.len == 0)
            return;
        n = character(piece);
        if (n == 0) {
            memcpy(w->rest, piece.ptr, piece.len);
            w->n = (unsigned)piece.len;
            return;
        }
        put(piece, n, out);
        piece = str_from(piece, (size_t)(n > 0 ? n : -n));
    }
}

void
jsonwrite_end(struct jsonwrite *w, struct buf *out)
{
    if (w->n > 0)
        put(str_of(w->rest, w->n), 0, out);
    w->n = 0;
}

void
jsonwrite_string(struct str text, struct buf *out)
{
    struct jsonwrite w;
    jsonwrite_init(&w);
    buf_addc(out, '"');
    jsonwrite_piece(&w, text, out);
    jsonwrite_end(&w, out);
    buf_addc(out, '"');
}
