/* routes.h - the routes file -> a constant snapshot; lookup (spec: routes 1-7).
 *
 *   routes --current--> snapshot (refcounted) --> route, route, ... --> targets
 *
 * A changed file makes a new snapshot; whoever holds a reference to a route keeps its snapshot alive. */
#ifndef CONF_ROUTES_H
#define CONF_ROUTES_H

#include "base/err.h"
#include "conf/config.h"
#include "proto/jwt.h"
#include "proto/header.h"

enum target_kind { TARGET_TCP, TARGET_UNIX, TARGET_TEST };
enum route_proto { ROUTE_ANY_PROTO, ROUTE_HTTP, ROUTE_WS };
enum route_ssl { ROUTE_ANY_SSL, ROUTE_SSL_YES, ROUTE_SSL_NO };
enum jsonp_mode { JSONP_EXTENDED, JSONP_BASIC };

struct target {
    enum target_kind kind;
    char *text; /* owned; as written, for logs: "HOST:PORT", "[IPV6]:PORT", "unix:/path", "test" */
    char *host; /* owned; TCP: without brackets */
    uint16_t port;
    char *path; /* owned; Unix socket */
    bool ssl, insecure, trust_connect_host, untrusted, over_http, one_event;
    char *as_host;           /* owned; property host=HOST[:PORT], NULL when absent */
    struct config_list subs; /* implicit channels */
};

struct route {
    struct route_snapshot *snapshot; /* the one it is part of; route_ref() counts on that */
    char *domain;                    /* owned; lower-case, "*", "*.example.com", or "" (by id only) */
    char *id;                        /* owned; explicit or automatic */
    bool explicit_id;
    enum route_proto proto;
    enum route_ssl ssl;
    char *path_beg;          /* owned; NULL when absent */
    char *sig_iss;           /* owned; NULL: the global one */
    struct jwt_key *sig_key; /* reference held; NULL: the global one, unless no_sig */
    bool no_sig;             /* sig_key= was empty */
    char *prefix;            /* owned; "" when absent */
    char *as_host;           /* owned; NULL when absent */
    int path_rem;
    char *replace_beg;      /* owned; NULL when absent */
    struct headers headers; /* to set on origin requests; an empty value only removes */
    bool orig_headers, no_grip, session, aco, debug;
    enum jsonp_mode jsonp_mode;
    char *jsonp_callback, *jsonp_body, *jsonp_defcb, *jsonp_defmethod; /* owned; defaults filled in; NULL: none */
    char *sockjs, *sockjs_as_path;                                     /* owned; NULL when absent */
    int log_level;
    struct target *targets; /* owned; at least one */
    unsigned n_targets;
    unsigned line;
    unsigned slot; /* small number, the same for the same explicit id over all snapshots; 0: no explicit id.
                      What is counted or limited by route uses it as index */
};

struct routes;

/* LINES (n of them, copied) come from --route and replace the file. PATH may be NULL; its directory, else ".", is the
 * base of file: keys. */
struct routes *routes_new(const char *path, const char *const *lines, unsigned n);
void routes_free(struct routes *r);
/* Read the file now and swap the snapshot; logs as routes 2.1, 2.2 say. 0, or -1 when it cannot be opened (the old
 * snapshot stays). *SKIPPED (may be NULL): lines that were warned about and dropped. */
int routes_load(struct routes *r, unsigned *skipped);
/* The file's path, NULL with lines. Watching it is the caller's affair. */
const char *routes_path(const struct routes *r);

struct route_query {
    struct str host; /* lower-case, without port; IPv6 without brackets */
    struct str path; /* normalised, without query */
    bool ws, ssl;
    struct str id; /* Pushpin-Route; ptr NULL or empty: by host and path */
};
/* A new reference (route_unref), or NULL. */
struct route *routes_find(struct routes *r, const struct route_query *q);
/* A new reference to the route that has the explicit id of OLD now; to OLD when there is none. */
struct route *routes_current(struct routes *r, struct route *old);
struct route *route_ref(struct route *r);
void route_unref(struct route *r);
/* How many slots have been handed out; indexes 0 to n-1. */
unsigned routes_slots(const struct routes *r);

#endif
