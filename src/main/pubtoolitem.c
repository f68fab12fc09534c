#include "main/pubtool.h"

#include "base/mem.h"
#include "proto/digest.h"
#include "proto/jsonread.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static json_t *
text(const char *s)
{
    return json_string_nocheck(s);
}

/* Set NAME to BYTES. JSON has no way to carry what is not UTF-8, so it goes as base64 under NAME_BIN; a tnetstring
 * takes it as it is, and NAME_BIN only where that says that the bytes are no text. */
static void
put_bytes(json_t *format, const char *name, const char *name_bin, struct str bytes, bool raw)
{
    struct buf b64;
    if (str_utf8(bytes) || raw) {
        const char *key = name_bin != NULL && raw && !str_utf8(bytes) ? name_bin : name;
        json_object_set_new(format, key, json_stringn_nocheck(bytes.ptr != NULL ? bytes.ptr : "", bytes.len));
        return;
    }
    buf_init(&b64, bytes.len / 3 * 4 + 8);
    base64_put(&b64, bytes);
    json_object_set_new(format, name_bin, json_stringn_nocheck(b64.ptr, b64.len));
    buf_clear(&b64);
}

static int
read_file(const char *path, struct buf *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 0;
    char chunk[65536];
    while (n >= 0 && (n = read(fd, chunk, sizeof chunk)) > 0)
        if (buf_add(out, chunk, (size_t)n) != 0) {
            errno = EFBIG;
            n = -1;
        }
    if (n < 0)
        err_set(e, "can't read file %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return n < 0 ? -1 : 0;
}

/* The bytes to publish; *EOL: they were typed, not read from a file, and the HTTP formats end in a newline. */
static int
load_content(const struct pubtool *p, struct buf *out, bool *eol, struct err *e)
{
    if (p->content == NULL) {
        err_set(e, "must specify content");
        return -1;
    }
    *eol = false;
    if (p->content[0] == '@')
        return read_file(p->content + 1, out, e);
    *eol = !p->no_eol;
    return buf_add(out, p->content, strlen(p->content)); /* shorter than the system's limit for arguments */
}

static json_t *
read_patch(struct str content, struct err *e)
{
    json_t *patch = jsonread_parse(content, e);
    if (patch != NULL && !json_is_array(patch)) {
        err_set(e, "patch content must be a JSON array");
        json_decref(patch);
        return NULL;
    }
    return patch;
}

/* Is TEXT the number of a status? It is wanted even where no format shows it: a typing error is one in any case. */
static int
read_code(const char *code, int *out, struct err *e)
{
    uint64_t n = 1000; /* too many digits: too large */
    const char *digits = code[0] == '+' ? code + 1 : code;
    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        err_set(e, "failed to parse code: %s",
                *code == '\0' ? "cannot parse integer from empty string" : "invalid digit found in string");
        return -1;
    }
    if (str_u64(str_c(digits), &n) != 0 || n > 999) {
        err_set(e, "code must be an integer between 0 and 999");
        return -1;
    }
    *out = (int)n;
    return 0;
}

/* Cut "NAMEsepVALUE" in two. */
static int
split_pair(const char *arg, char sep, struct str *name, struct str *value)
{
    struct str s = str_c(arg);
    ptrdiff_t at = str_chr(s, sep);
    if (at < 0)
        return -1;
    *name = str_sub(s, 0, (size_t)at);
    *value = str_trim(str_from(s, (size_t)at + 1));
    return 0;
}

static json_t *
str_json(struct str s)
{
    return json_stringn_nocheck(s.ptr, s.len);
}

static json_t *
read_headers(const struct pubtool *p, struct err *e)
{
    json_t *list = json_array();
    for (const char **h = p->headers; *h != NULL; h++) {
        struct str name, value;
        if (split_pair(*h, ':', &name, &value) != 0) {
            err_set(e, "header must be in the form \"name: value\"");
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, json_pack("[o,o]", str_json(name), str_json(value)));
    }
    return list;
}

static json_t *
read_meta(const struct pubtool *p, struct err *e)
{
    json_t *meta = json_object();
    if (p->sender[0] != '\0')
        json_object_set_new(meta, "sender", text(p->sender));
    for (const char **m = p->meta; *m != NULL; m++) {
        struct str name, value;
        char *key;
        if (split_pair(*m, '=', &name, &value) != 0) {
            err_set(e, "meta must be in the form \"name=value\"");
            json_decref(meta);
            return NULL;
        }
        key = str_dup(name);
        json_object_set_new(meta, key, str_json(value));
        mem_free(key);
    }
    return meta;
}

/* The three formats of CONTENT, or the one format of a patch. */
static int
put_content(const struct pubtool *p, json_t *formats, json_t *response, bool raw, struct err *e)
{
    struct buf content = BUF_INIT((size_t)PUBTOOL_MAX_FILE);
    json_t *stream, *ws, *patch;
    bool eol;
    int rc = -1;
    if (load_content(p, &content, &eol, e) != 0)
        goto out;
    if (p->patch) {
        patch = read_patch(buf_str(&content), e);
        if (patch == NULL)
            goto out;
        json_object_set_new(response, "body-patch", patch);
    } else {
        ws = json_object();
        put_bytes(ws, "content", "content-bin", buf_str(&content), raw);
        if (eol && buf_addc(&content, '\n') != 0)
            goto out;
        stream = json_object();
        put_bytes(stream, "content", raw ? NULL : "content-bin", buf_str(&content), raw);
        put_bytes(response, "body", raw ? NULL : "body-bin", buf_str(&content), raw);
        json_object_set_new(formats, "http-stream", stream);
        json_object_set_new(formats, "ws-message", ws);
    }
    rc = 0;
out:
    buf_clear(&content);
    return rc;
}

static void
put_action(json_t *formats, const char *format, const char *action)
{
    json_object_set_new(formats, format, json_pack("{s:s}", "action", action));
}

static json_t *
read_formats(const struct pubtool *p, bool raw, struct err *e)
{
    json_t *formats = json_object(), *response, *headers = NULL;
    int code = 0;
    if (read_code(p->code, &code, e) != 0 || (headers = read_headers(p, e)) == NULL)
        goto fail;
    if (p->hint || p->close) {
        const char *action = p->hint ? "hint" : "close";
        if (p->hint)
            put_action(formats, "http-response", action);
        put_action(formats, "http-stream", action);
        put_action(formats, "ws-message", action);
        json_decref(headers);
        return formats;
    }
    response = json_pack("{s:i}", "code", code);
    json_object_set_new(formats, "http-response", response);
    if (put_content(p, formats, response, raw, e) != 0)
        goto fail;
    if (json_array_size(headers) > 0)
        json_object_set(response, "headers", headers);
    json_decref(headers);
    return formats;
fail:
    json_decref(headers);
    json_decref(formats);
    return NULL;
}

/* Only content may be any bytes: names, ids and headers are text wherever an item goes. */
static int
check_text(const char *what, const char *s, struct err *e)
{
    if (str_utf8(str_c(s)))
        return 0;
    err_set(e, "%s is not valid UTF-8", what);
    return -1;
}

static int
check_texts(const struct pubtool *p, struct err *e)
{
    if (check_text("channel", p->channel, e) != 0 || check_text("id", p->id, e) != 0 ||
        check_text("previous id", p->prev_id, e) != 0 || check_text("sender", p->sender, e) != 0)
        return -1;
    for (const char **h = p->headers; *h != NULL; h++)
        if (check_text("header", *h, e) != 0)
            return -1;
    for (const char **m = p->meta; *m != NULL; m++)
        if (check_text("meta", *m, e) != 0)
            return -1;
    return 0;
}

json_t *
pubtool_item(const struct pubtool *p, bool raw, struct err *e)
{
    json_t *item, *formats, *meta;
    if (check_texts(p, e) != 0 || (formats = read_formats(p, raw, e)) == NULL)
        return NULL;
    if ((meta = read_meta(p, e)) == NULL) {
        json_decref(formats);
        return NULL;
    }
    item = json_pack("{s:s,s:o}", "channel", p->channel, "formats", formats);
    if (p->id[0] != '\0')
        json_object_set_new(item, "id", text(p->id));
    if (p->prev_id[0] != '\0')
        json_object_set_new(item, "prev-id", text(p->prev_id));
    if (json_object_size(meta) > 0)
        json_object_set(item, "meta", meta);
    json_decref(meta);
    if (p->no_seq)
        json_object_set_new(item, "no-seq", json_true());
    return item;
}
