#include "io/tlscerts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    LOOK_MS = 1000, /* between two looks at the files of a pair */
    NAME_LEN = 253, /* bytes of a host name */
    PATH_LEN = 4096
};

/* What tells one state of a file from another. */
struct stamp {
    int64_t mtime_s, mtime_ns, ctime_s, ctime_ns, size;
    uint64_t inode;
};

struct pair {
    struct map_node node;
    struct certificate cert; /* leaf NULL: the files are bad */
    struct stamp crt, key;   /* when they were read */
    uint64_t looked_at;      /* ms */
    char name[];
};

struct tls_certs {
    char *dir;        /* owned */
    struct map pairs; /* of pair, for which there are files; owned */
};

struct tls_certs *
tls_certs_new(const char *dir)
{
    struct tls_certs *c = mem_zalloc(sizeof *c);
    c->dir = mem_strdup(dir);
    map_init(&c->pairs);
    return c;
}

static void
drop(struct map_node *node, void *arg)
{
    struct tls_certs *c = arg;
    struct pair *p = container_of(node, struct pair, node);
    map_remove(&c->pairs, node);
    certificate_clear(&p->cert);
    mem_free(p);
}

void
tls_certs_free(struct tls_certs *c)
{
    map_each(&c->pairs, drop, c);
    map_clear(&c->pairs);
    mem_free(c->dir);
    mem_free(c);
}

static void
path_of(const struct tls_certs *c, const char *name, const char *suffix, char path[PATH_LEN])
{
    snprintf(path, PATH_LEN, "%s/%s.%s", c->dir, name, suffix);
}

static int
stamp_of(const struct tls_certs *c, const char *name, const char *suffix, struct stamp *out)
{
    char path[PATH_LEN];
    struct stat st;
    path_of(c, name, suffix, path);
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return -1;
    *out = (struct stamp){st.st_mtim.tv_sec,  st.st_mtim.tv_nsec, st.st_ctim.tv_sec,
                          st.st_ctim.tv_nsec, st.st_size,         st.st_ino};
    return 0;
}

static bool
same(const struct stamp *a, const struct stamp *b)
{
    return a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns && a->ctime_s == b->ctime_s &&
           a->ctime_ns == b->ctime_ns && a->size == b->size && a->inode == b->inode;
}

static int
read_pair(const struct tls_certs *c, const char *name, struct certificate *out, struct err *e)
{
    char crt[PATH_LEN], key[PATH_LEN];
    path_of(c, name, "crt", crt);
    path_of(c, name, "key", key);
    return certificate_read(crt, key, out, e);
}

static struct pair *
add(struct tls_certs *c, struct str name)
{
    struct pair *p = mem_zalloc(sizeof *p + name.len + 1);
    memcpy(p->name, name.ptr, name.len);
    p->node.key = str_of(p->name, name.len);
    map_add(&c->pairs, &p->node);
    return p;
}

/* Read the files of P; when they are bad, which they are while somebody replaces them, the old ones go on serving. */
static void
load(struct tls_certs *c, struct pair *p)
{
    struct certificate fresh;
    struct err e;
    bool again = p->cert.leaf != NULL;
    if (read_pair(c, p->name, &fresh, &e) != 0) {
        log_warn("certificate %s cannot be used%s: %s", p->name, again ? ", the old one stays" : "", e.text);
        return;
    }
    certificate_clear(&p->cert);
    p->cert = fresh;
    if (again)
        log_info("certificate %s read again", p->name);
}

/* The pair NAME, as the files are now; NULL when there is none that can be used. A name without files is not
 * remembered: anybody can make names up. */
static const struct certificate *
find(struct tls_certs *c, const char *name)
{
    struct str key = str_c(name);
    struct map_node *node = map_find(&c->pairs, key);
    struct pair *p = node != NULL ? container_of(node, struct pair, node) : NULL;
    struct stamp crt, private;
    if (p == NULL || clock_now() - p->looked_at >= LOOK_MS) {
        if (stamp_of(c, name, "crt", &crt) != 0 || stamp_of(c, name, "key", &private) != 0) {
            if (p != NULL)
                drop(node, c);
            return NULL;
        }
        if (p == NULL)
            p = add(c, key);
        p->looked_at = clock_now();
        if (!same(&crt, &p->crt) || !same(&private, &p->key)) {
            p->crt = crt;
            p->key = private;
            load(c, p);
        }
    }
    return p->cert.leaf != NULL ? &p->cert : NULL;
}

/* NAME in lower case, when it is one that can be a file's: no way leads out of the directory. */
static bool
file_name(const char *name, char out[NAME_LEN + 1])
{
    size_t n = strlen(name);
    if (n == 0 || n > NAME_LEN || *name == '.')
        return false;
    memcpy(out, name, n + 1);
    str_lower(out, n);
    return strspn(out, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == n;
}

const struct certificate *
tls_certs_find(struct tls_certs *c, const char *server_name, uint16_t port)
{
    char name[NAME_LEN + 1], base[NAME_LEN + 2];
    const struct certificate *cert;
    if (server_name != NULL && file_name(server_name, name)) {
        const char *dot = strchr(name, '.');
        if ((cert = find(c, name)) != NULL)
            return cert;
        snprintf(base, sizeof base, "_%s", dot != NULL ? dot : "");
        if (dot != NULL && (cert = find(c, base)) != NULL)
            return cert;
    }
    snprintf(base, sizeof base, "default_%u", (unsigned)port);
    return find(c, base);
}

static void
read_again(struct map_node *node, void *arg)
{
    struct pair *p = container_of(node, struct pair, node);
    struct tls_certs *c = arg;
    p->looked_at = 0;
    if (stamp_of(c, p->name, "crt", &p->crt) == 0 && stamp_of(c, p->name, "key", &p->key) == 0)
        load(c, p); /* else it is gone, as the next handshake will find */
}

void
tls_certs_reload(struct tls_certs *c)
{
    map_each(&c->pairs, read_again, c);
}

/* Is CERT good for today's clients? */
static int
check_dates(const char *name, const struct certificate *cert, struct err *e)
{
    if (X509_cmp_current_time(X509_get0_notAfter(cert->leaf)) < 0)
        err_set(e, "%s.crt: it has expired", name);
    else if (X509_cmp_current_time(X509_get0_notBefore(cert->leaf)) > 0)
        err_set(e, "%s.crt: it is not valid yet", name);
    else
        return 0;
    return -1;
}

unsigned
tls_certs_check(struct tls_certs *c, int level)
{
    DIR *d = opendir(c->dir);
    struct dirent *entry;
    unsigned bad = 0;
    if (d == NULL) {
        if (errno != ENOENT) {
            log_at(level, "certificates cannot be read: %s: %s", c->dir, strerror(errno));
            bad = 1;
        }
        return bad;
    }
    while ((entry = readdir(d)) != NULL) {
        struct str file = str_c(entry->d_name);
        struct certificate cert;
        struct err e;
        if (!str_ends(file, STR(".crt")) || file.len <= 4)
            continue;
        entry->d_name[file.len - 4] = '\0';
        if (read_pair(c, entry->d_name, &cert, &e) != 0 || check_dates(entry->d_name, &cert, &e) != 0) {
            log_at(level, "certificate %s: %s", entry->d_name, e.text);
            bad++;
        }
        certificate_clear(&cert);
    }
    closedir(d);
    return bad;
}
