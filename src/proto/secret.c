#include "proto/secret.h"

#include "proto/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

static int
fail(struct err *e, const char *text)
{
    err_set(e, "%s", text);
    return -1;
}

/* All of a plain file. It is not waited for: a pipe would stop us for as long as nobody writes to it. */
static int
read_file(const char *path, struct buf *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = -1;
    struct stat st;
    ssize_t n = 1;
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_set(e, "%s", strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > SECRET_MAX) {
        fail(e, S_ISREG(st.st_mode) ? "too large for a key" : "not a plain file");
        goto out;
    }
    while (n > 0 && out->len < out->max) {
        n = read(fd, buf_room(out, out->max - out->len), out->max - out->len);
        out->len += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        err_set(e, "%s", strerror(errno));
    rc = n < 0 ? -1 : 0;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

static int
from_file(struct secret *s, struct str name, const char *dir, struct err *e)
{
    int rc = 0;
    if (!str_starts(name, STR("/")) && dir != NULL && *dir != '\0')
        rc = buf_addf(&s->path, "%s/", dir);
    if (rc != 0 || buf_adds(&s->path, name) != 0 || buf_addc(&s->path, '\0') != 0 ||
        strlen(s->path.ptr) + 1 != s->path.len)
        return fail(e, "bad path");
    if (read_file(s->path.ptr, &s->bytes, e) == 0)
        return 0;
    err_prefix(e, "%s: ", s->path.ptr);
    return -1;
}

/* base64_decode() skips what it does not know; a key is to be written without a mistake. */
static bool
is_base64(struct str text)
{
    size_t n = text.len, padding = 0;
    while (n > 0 && text.ptr[n - 1] == '=' && padding < 2)
        n--, padding++;
    for (size_t i = 0; i < n; i++) {
        char c = text.ptr[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return n > 0 && n % 4 != 1 && (padding == 0 || text.len % 4 == 0);
}

int
secret_read(struct secret *s, struct str text, const char *dir, struct err *e)
{
    static const struct str base64 = {"base64:", 7}, file = {"file:", 5};
    buf_init(&s->bytes, SECRET_MAX);
    buf_init(&s->path, 4096);
    if (text.len == 0)
        return fail(e, "the key is empty");
    if (str_starts(text, file))
        return from_file(s, str_from(text, file.len), dir, e);
    if (!str_starts(text, base64))
        return buf_adds(&s->bytes, text) == 0 ? 0 : fail(e, "too large for a key");
    text = str_from(text, base64.len);
    if (!is_base64(text))
        return fail(e, text.len > 0 ? "bad base64 text" : "the key is empty");
    return base64_decode(&s->bytes, text) == 0 ? 0 : fail(e, "too large for a key");
}

void
secret_clear(struct secret *s)
{
    if (s->bytes.ptr != NULL)
        OPENSSL_cleanse(s->bytes.ptr, s->bytes.cap);
    buf_clear(&s->bytes);
    buf_clear(&s->path);
}
