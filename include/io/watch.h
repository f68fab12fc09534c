/* watch.h - "this file changed", debounced.
 *
 *   /etc/pushpin/routes -> ..data/routes      what is watched: /etc/pushpin for "routes" and "..data",
 *   /etc/pushpin/..data -> ..2024_05          /etc/pushpin/..2024_05 for "routes", and the file itself
 *
 *   change ---on_changed()---> delay <further changes> ---on_settled()---> the owner reads the file
 *
 * Writing, replacing, making and removing the file count, and so does another target of any link on the way to it.
 * What else happens in those directories does not: a change is one of the file's identity (inode, time, size, whether
 * it is there). Where inotify does not work, and with poll_only, it is looked at every now and then.
 *
 * Watch first and read then, so that no change falls in between. Whoever made a watch ends it with watch_close(), in a
 * callback too. */
#ifndef IO_WATCH_H
#define IO_WATCH_H

#include "io/loop.h"

struct watch;

struct watch_ops {
    void (*on_changed)(void *arg); /* the first change of a burst; may be NULL */
    void (*on_settled)(void *arg); /* once, the delay after on_changed(): read it now */
};

struct watch_settings {
    unsigned delay; /* ms from the first change to on_settled() */
    unsigned poll;  /* ms between two looks where inotify does not work */
    bool poll_only; /* for file systems where inotify is silent, such as network mounts */
};

#define WATCH_DEFAULTS ((struct watch_settings){.delay = 1000, .poll = 1000, .poll_only = false})

/* PATH is copied; relative to the current directory of now. The file need not exist, nor its directory. */
struct watch *watch_new(struct loop *l, const char *path, const struct watch_settings *settings,
                        const struct watch_ops *ops, void *arg);
void watch_close(struct watch *w);

#endif
