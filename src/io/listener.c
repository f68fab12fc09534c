#include "io/listener.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "io/address.h"
#include "io/loopbase.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BACKLOG = 65535, /* the kernel cuts it to net.core.somaxconn */
    BATCH = 64,      /* connections in one turn */
    REST_MS = 100    /* without descriptors */
};

struct listener {
    struct event event;
    struct loop *loop; /* borrowed */
    void (*on_accept)(void *arg, int fd);
    void (*on_full)(void *arg);
    void *arg;
    int fd;
    struct timer rest;
    uint64_t warned_at; /* ms */
    bool paused, resting;
    char *path; /* owned; removed at the end */
    char name[160];
};

static void
watch(struct listener *li)
{
    if (li->paused || li->resting)
        event_del(&li->event);
    else
        event_add(&li->event, NULL);
}

static void
on_rested(struct timer *t)
{
    struct listener *li = container_of(t, struct listener, rest);
    li->resting = false;
    watch(li);
}

static void
rest(struct listener *li, int error)
{
    if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM)
        return; /* that one client's own trouble */
    if (li->warned_at == 0 || clock_now() - li->warned_at >= 1000) {
        li->warned_at = clock_now();
        log_warn("cannot accept on %s: %s; new clients wait (raise the limit: ulimit -n, LimitNOFILE)", li->name,
                 strerror(error));
    }
    if (li->on_full != NULL)
        li->on_full(li->arg);
    li->resting = true;
    watch(li);
    loop_timer(li->loop, &li->rest, REST_MS);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
    struct listener *li = arg;
    (void)what;
    loop_woke(li->loop);
    for (int i = 0; i < BATCH && !li->paused; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            li->on_accept(li->arg, client);
            continue;
        }
        if (errno == EAGAIN)
            return;
        rest(li, errno);
        if (li->resting)
            return;
    }
}

/* A file that is left of an earlier run is in the way of bind(); one that somebody serves is not ours to remove. */
static int
clear_path(const char *path, const struct address *a)
{
    struct stat st;
    int fd, rc;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd >= 0 ? connect(fd, address_sockaddr(a), a->len) : -1;
    if (fd >= 0)
        close(fd);
    if (rc == 0) {
        errno = EADDRINUSE;
        return -1;
    }
    return unlink(path);
}

static int
fill_address(const struct listener_spec *spec, struct address *a)
{
    if (spec->path == NULL && address_literal(str_c(spec->addr), spec->port, a))
        return 0;
    if (spec->path != NULL && address_unix(str_c(spec->path), a))
        return clear_path(spec->path, a);
    errno = EINVAL;
    return -1;
}

static int
check_owner(const struct listener_spec *spec, struct err *e)
{
    if (spec->user != NULL && getpwnam(spec->user) == NULL)
        err_set(e, "failed to bind %s: there is no user %s", spec->path, spec->user);
    else if (spec->group != NULL && getgrnam(spec->group) == NULL)
        err_set(e, "failed to bind %s: there is no group %s", spec->path, spec->group);
    else
        return 0;
    return -1;
}

static int
set_owner(const struct listener_spec *spec)
{
    struct passwd *user = spec->user != NULL ? getpwnam(spec->user) : NULL;
    struct group *group = spec->group != NULL ? getgrnam(spec->group) : NULL;
    if (spec->mode >= 0 && chmod(spec->path, (mode_t)spec->mode) != 0)
        return -1;
    if (user == NULL && group == NULL)
        return 0;
    return chown(spec->path, user != NULL ? user->pw_uid : (uid_t)-1, group != NULL ? group->gr_gid : (gid_t)-1);
}

static unsigned
bound_port(const struct listener *li)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } a = {.in6 = {.sin6_family = AF_UNSPEC}};
    socklen_t len = sizeof a;
    if (li->fd < 0 || getsockname(li->fd, &a.any, &len) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
}

static void
set_name(struct listener *li, const struct listener_spec *spec)
{
    unsigned port = spec->path == NULL && spec->port == 0 ? bound_port(li) : spec->port;
    if (spec->path != NULL)
        snprintf(li->name, sizeof li->name, "%s", spec->path);
    else
        snprintf(li->name, sizeof li->name, strchr(spec->addr, ':') != NULL ? "[%s]:%u" : "%s:%u", spec->addr, port);
}

static int
open_socket(struct listener *li, const struct listener_spec *spec)
{
    struct address a;
    int on = 1;
    if (fill_address(spec, &a) != 0)
        return -1;
    li->fd = socket(address_sockaddr(&a)->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (li->fd < 0)
        return -1;
    if (spec->path == NULL) {
        /* accepted sockets inherit the last two */
        setsockopt(li->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(li->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(li->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    if (spec->share && spec->path == NULL)
        setsockopt(li->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (spec->path == NULL && strchr(spec->addr, ':') != NULL && strcmp(spec->addr, "::") != 0)
        setsockopt(li->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(li->fd, address_sockaddr(&a), a.len) != 0)
        return -1;
    if (spec->path != NULL) {
        li->path = mem_strdup(spec->path);
        if (set_owner(spec) != 0)
            return -1;
    }
    return listen(li->fd, BACKLOG);
}

struct listener *
listener_new(struct loop *l, const struct listener_spec *spec, void (*on_accept)(void *arg, int fd), void *arg,
             struct err *e)
{
    struct listener *li;
    if (check_owner(spec, e) != 0)
        return NULL;
    li = mem_zalloc(sizeof *li);
    li->loop = l;
    li->on_accept = on_accept;
    li->on_full = spec->on_full;
    li->arg = arg;
    li->fd = -1;
    timer_init(&li->rest, on_rested);
    if (open_socket(li, spec) != 0) {
        int error = errno;
        set_name(li, spec);
        err_set(e, "failed to bind %s: %s%s", li->name, strerror(error),
                spec->share && spec->path == NULL && error == EADDRINUSE
                    ? " by a program that does not share it, or that another user runs"
                    : "");
        if (li->fd >= 0)
            close(li->fd);
        if (li->path != NULL)
            unlink(li->path);
        mem_free(li->path);
        mem_free(li);
        return NULL;
    }
    set_name(li, spec);
    event_assign(&li->event, loop_base(l), li->fd, EV_READ | EV_PERSIST, on_event, li);
    watch(li);
    return li;
}

void
listener_free(struct listener *li)
{
    event_del(&li->event);
    loop_timer_stop(li->loop, &li->rest);
    close(li->fd);
    if (li->path != NULL)
        unlink(li->path);
    mem_free(li->path);
    mem_free(li);
}

void
listener_pause(struct listener *li, bool pause)
{
    if (li->paused == pause)
        return;
    li->paused = pause;
    watch(li);
}

const char *
listener_name(const struct listener *li)
{
    return li->name;
}
