/* peer.h - what the tests of ZeroMQ doors share: a peer's socket, the log as text, and a publish_item() that notes. */
#ifndef TESTS_CTL_PEER_H
#define TESTS_CTL_PEER_H

#include "io/turns.h"

#include "base/buf.h"
#include "base/log.h"
#include "io/zsock.h"
#include "pub/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

static struct loop *loop;
static struct zcontext *context;
static void *peer_context, *peer;
static char dir[32], log_path[64], pull_spec[64], sub_spec[64], command_spec[64];
static struct buf published; /* "CHANNEL=content\n" of each item's http-stream */
static unsigned n_published;

unsigned
publish_item(struct publish *p, struct item *item)
{
    const struct format *f = item->formats[FORMAT_HTTP_STREAM];
    CHECK(p == (struct publish *)&published);
    buf_addf(&published, "%.*s=%.*s\n", STR_ARG(item->channel), STR_ARG(format_content(f)));
    n_published++;
    return 1;
}

static void
begin_peer(int type)
{
    strcpy(dir, "/tmp/test_ctl.XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    snprintf(log_path, sizeof log_path, "%s/log", dir);
    snprintf(pull_spec, sizeof pull_spec, "ipc://%s/pull", dir);
    snprintf(sub_spec, sizeof sub_spec, "ipc://%s/sub", dir);
    snprintf(command_spec, sizeof command_spec, "ipc://%s/command", dir);
    CHECK_INT(log_open(log_path, NULL), 0);
    log_set_level(LOG_INFO);
    published = BUF_INIT(1 << 20);
    n_published = 0;
    loop = loop_new();
    context = zsock_context_new();
    peer_context = zmq_ctx_new();
    zmq_ctx_set(peer_context, ZMQ_BLOCKY, 0);
    peer = zmq_socket(peer_context, type);
}

static void
end_peer(void)
{
    char command[64];
    zmq_close(peer);
    zmq_ctx_term(peer_context);
    zsock_context_free(context);
    loop_free(loop);
    buf_clear(&published);
    CHECK_INT(log_open(NULL, NULL), 0);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    CHECK_INT(system(command), 0);
}

static void
peer_send(const char *bytes, size_t len, int flags)
{
    TURN_UNTIL(loop, zmq_send(peer, bytes, len, flags | ZMQ_DONTWAIT) >= 0);
}

/* One frame; the view is good until the next call. */
static inline struct str
peer_recv(void)
{
    static char got[4096];
    int n = -1;
    TURN_UNTIL(loop, (n = zmq_recv(peer, got, sizeof got, ZMQ_DONTWAIT)) >= 0);
    CHECK((size_t)n <= sizeof got);
    return str_of(got, (size_t)n);
}

/* How many lines of the log end in TEXT, level and time left out: "[WARN] " TEXT. */
static unsigned
logged(const char *level, const char *text)
{
    char line[4096];
    unsigned n = 0;
    FILE *f = fopen(log_path, "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f) != NULL) {
        struct str s = str_of(line, strcspn(line, "\n"));
        n += str_starts(s, str_c(level)) && str_eq(str_from(s, strlen(level) + 25), str_c(text));
    }
    fclose(f);
    return n;
}

#endif
