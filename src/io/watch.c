#include "io/watch.h"

#include "base/buf.h"
#include "io/loopbase.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINKS = 40, /* as many as the kernel follows */
    NAMES = LINKS + 2,
    READS = 16, /* of events in a turn */
    EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |
             IN_DELETE_SELF | IN_MOVE_SELF,
    OF_THE_WATCHED = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT | IN_Q_OVERFLOW,
};

/* A name that decides what the path means, and the directory in which it stands. */
struct name {
    int wd;     /* inotify's number of the directory */
    char *text; /* owned; NULL: all that happens to WD counts, it is the file itself */
};

/* What tells one content of the file from another. */
struct identity {
    bool exists;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
};

struct watch {
    struct event event;          /* on the inotify descriptor; set while fd >= 0 */
    struct timer settle;         /* set from the first change of a burst on */
    struct timer poll;           /* set where inotify does not work */
    struct loop *loop;           /* borrowed */
    const struct watch_ops *ops; /* constant */
    void *arg;                   /* the owner's */
    struct watch_settings settings;
    char *path; /* owned; absolute */
    int fd;     /* owned; -1 without inotify */
    bool blind; /* a directory could not be watched: poll */
    struct name names[NAMES];
    unsigned n;
    struct identity seen;
};

static struct identity
identify(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return (struct identity){.exists = false};
    return (struct identity){true, st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

static bool
same(const struct identity *a, const struct identity *b)
{
    return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static void
add_name(struct watch *w, const char *where, struct str name)
{
    int wd;
    if (w->n == NAMES)
        return;
    wd = inotify_add_watch(w->fd, where[0] != '\0' ? where : "/", EVENTS);
    if (wd < 0) {
        if (errno != ENOENT && errno != ENOTDIR) /* gone meanwhile: its own directory tells */
            w->blind = true;
        return;
    }
    w->names[w->n++] = (struct name){wd, name.ptr != NULL ? str_dup(name) : NULL};
}

/* Cut the first component off *REST. False at the end. */
static bool
component(struct str *rest, struct str *out)
{
    while (str_split(rest, '/', out)) {
        if (out->len > 0 && !str_eq(*out, STR(".")))
            return true;
    }
    return false;
}

static void
go_up(char *dir)
{
    char *slash = strrchr(dir, '/');
    if (slash != NULL)
        *slash = '\0';
}

/* Put the target of the link at FULL in front of REST, in PATH. 0, or -1 when that is no path. */
static int
follow(const char *full, struct str rest, char *path, size_t size)
{
    char target[PATH_MAX], joined[PATH_MAX];
    ssize_t len = readlink(full, target, sizeof target - 1);
    int n;
    if (len < 0)
        return -1;
    target[len] = '\0';
    n = snprintf(joined, sizeof joined, "%s/%.*s", target, STR_ARG(rest));
    if (n < 0 || (size_t)n >= sizeof joined || (size_t)n >= size)
        return -1;
    memcpy(path, joined, (size_t)n + 1);
    return 0;
}

/* Walk the path as the kernel does, and watch each name that is a link, is missing, or is the file. */
static void
walk(struct watch *w)
{
    char path[PATH_MAX], dir[PATH_MAX] = "", full[PATH_MAX];
    unsigned links = 0;
    struct str rest, name;
    struct stat st;
    snprintf(path, sizeof path, "%s", w->path);
    rest = str_c(path);
    while (component(&rest, &name)) {
        int n;
        if (str_eq(name, STR(".."))) {
            go_up(dir);
            continue;
        }
        n = snprintf(full, sizeof full, "%s/%.*s", dir, STR_ARG(name));
        if (n < 0 || (size_t)n >= sizeof full)
            return;
        if (lstat(full, &st) != 0) {
            add_name(w, dir, name);
            return;
        }
        if (S_ISLNK(st.st_mode)) {
            add_name(w, dir, name);
            if (++links > LINKS || follow(full, rest, path, sizeof path) != 0)
                return;
            if (path[0] == '/')
                dir[0] = '\0';
            rest = str_c(path);
            continue;
        }
        if (!S_ISDIR(st.st_mode)) {
            add_name(w, dir, name);
            add_name(w, full, (struct str){NULL, 0}); /* written through another name or mount of it */
            return;
        }
        memcpy(dir, full, (size_t)n + 1);
    }
}

static bool
watches(const struct name *names, unsigned n, int wd)
{
    for (unsigned i = 0; i < n; i++) {
        if (names[i].wd == wd)
            return true;
    }
    return false;
}

/* Watch the path as it leads now. True when that is another set of directories than before. */
static bool
walk_again(struct watch *w)
{
    struct name old[NAMES];
    unsigned n_old = w->n;
    bool changed;
    memcpy(old, w->names, sizeof old);
    w->n = 0;
    w->blind = false;
    walk(w);
    changed = w->n != n_old;
    for (unsigned i = 0; i < w->n; i++)
        changed = changed || !watches(old, n_old, w->names[i].wd);
    for (unsigned i = 0; i < n_old; i++) {
        if (!watches(w->names, w->n, old[i].wd))
            inotify_rm_watch(w->fd, old[i].wd);
        mem_free(old[i].text);
    }
    return changed;
}

static void
watch_again(struct watch *w)
{
    /* A directory may have changed before it was watched: walk until nothing is new. */
    for (int i = 0; w->fd >= 0 && i < 8 && walk_again(w); i++)
        ;
    if (w->fd < 0 || w->blind)
        loop_timer(w->loop, &w->poll, w->settings.poll);
}

static void
look(struct watch *w)
{
    struct identity now;
    watch_again(w);
    now = identify(w->path);
    if (same(&now, &w->seen))
        return;
    w->seen = now;
    if (timer_is_set(&w->settle))
        return;
    loop_timer(w->loop, &w->settle, w->settings.delay);
    if (w->ops->on_changed != NULL)
        w->ops->on_changed(w->arg);
}

static void
on_poll(struct timer *t)
{
    look(container_of(t, struct watch, poll));
}

static void
on_settle(struct timer *t)
{
    struct watch *w = container_of(t, struct watch, settle);
    w->ops->on_settled(w->arg);
}

static bool
concerns(const struct watch *w, const struct inotify_event *ev)
{
    if (ev->mask & OF_THE_WATCHED)
        return true;
    for (unsigned i = 0; i < w->n; i++) {
        const struct name *name = &w->names[i];
        if (name->wd == ev->wd && (name->text == NULL || (ev->len > 0 && strcmp(name->text, ev->name) == 0)))
            return true;
    }
    return false;
}

static void
on_inotify(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    _Alignas(struct inotify_event) char buffer[4096];
    bool concerned = false;
    (void)what;
    loop_woke(w->loop);
    for (int i = 0; i < READS; i++) {
        ssize_t len = read(fd, buffer, sizeof buffer);
        for (char *at = buffer; len > 0 && at < buffer + len;) {
            struct inotify_event *ev = (void *)at;
            concerned = concerned || concerns(w, ev);
            at += sizeof *ev + ev->len;
        }
        if (len <= 0)
            break;
    }
    if (concerned)
        look(w);
}

/* PATH with the current directory in front where it is relative. */
static char *
absolute(const char *path)
{
    char cwd[PATH_MAX];
    struct buf b = BUF_INIT(2 * PATH_MAX);
    if (path[0] != '/' && getcwd(cwd, sizeof cwd) != NULL)
        buf_addf(&b, "%s/", cwd);
    buf_add(&b, path, strlen(path));
    return buf_steal(&b);
}

struct watch *
watch_new(struct loop *l, const char *path, const struct watch_settings *settings, const struct watch_ops *ops,
          void *arg)
{
    struct watch *w = mem_zalloc(sizeof *w);
    w->loop = l;
    w->ops = ops;
    w->arg = arg;
    w->settings = *settings;
    w->path = absolute(path);
    timer_init(&w->settle, on_settle);
    timer_init(&w->poll, on_poll);
    w->fd = settings->poll_only ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd >= 0) {
        event_assign(&w->event, loop_base(l), w->fd, EV_READ | EV_PERSIST, on_inotify, w);
        event_add(&w->event, NULL);
    }
    watch_again(w);
    w->seen = identify(w->path);
    return w;
}

static void
free_watch(void *ptr)
{
    struct watch *w = ptr;
    for (unsigned i = 0; i < w->n; i++)
        mem_free(w->names[i].text);
    mem_free(w->path);
    mem_free(w);
}

void
watch_close(struct watch *w)
{
    if (w->fd >= 0) {
        event_del(&w->event);
        close(w->fd);
        w->fd = -1;
    }
    loop_timer_stop(w->loop, &w->settle);
    loop_timer_stop(w->loop, &w->poll);
    loop_reap(w->loop, w, free_watch);
}
