/* context.h - what the files of proxy share: the settings and the parts they work with. */
#ifndef PROXY_CONTEXT_H
#define PROXY_CONTEXT_H

#include "base/list.h"
#include "base/map.h"
#include "proxy/proxy.h"

struct askers;
struct links;
struct sharings;
struct socksessions;
struct updates;

struct proxy {
    struct loop *loop; /* borrowed, like all that follows where nothing is said */
    const struct config *config;
    struct routes *routes;
    struct origin *origin;
    struct channels *channels;
    struct stats *stats;               /* NULL: nothing is counted */
    struct jwt_key *sig_key;           /* reference held; NULL: no Grip-Sig */
    struct jwt_key *upstream_key;      /* reference held; NULL: nobody is trusted */
    struct updates *updates;           /* owned */
    struct wsconns *wsconns;           /* borrowed */
    struct wsoverhttps *overhttp;      /* owned */
    struct table websockets;           /* of struct wsproxy, by in_proxy; they own themselves */
    struct links *links;               /* owned */
    struct askers *askers;             /* owned */
    struct sharings *sharings;         /* owned */
    struct socksessions *socksessions; /* owned */
};

#endif
