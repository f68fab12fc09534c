/* wsconn.h - a WebSocket endpoint on a connection, in the role of server or client.
 *
 *   wsconns == apart ==> wsconn { conn, ws }        those that nobody is joined to any more
 *
 *   OPEN --our close frame--> CLOSING --the peer's--> LINGER --the peer has read it--> closed
 *     '------the peer's close frame, then ours----------^
 *
 * The connection comes from who did the handshake: wsconn_new(), move the conn to wsconn_conn() with wsconn_conn_ops,
 * then wsconn_start(). What only some connections need, a compressor or input that waits, hangs on a pointer. */
#ifndef WS_WSCONN_H
#define WS_WSCONN_H

#include "io/conn.h"
#include "io/loop.h"
#include "proto/wsdeflate.h"
#include "ws/ws.h"

struct wsconns;

struct wsconns_settings {
    unsigned activity_timeout;    /* s without traffic in either direction; 0: no limit */
    unsigned ping_interval;       /* s without traffic after which the peer is asked for a sign of life; 0: never */
    struct wsframe_limits limits; /* for what peers send */
    size_t frame_max;             /* bytes of a frame that goes to a client; 0: any number */
    /* The number of connections has fallen; may be NULL. */
    void (*on_closed)(void *arg);
    void *arg;
};

/* All endpoints on connections. */
struct wsconns *wsconns_new(struct loop *l, const struct wsconns_settings *settings);
/* Connections that nobody is joined to are cut; there are no others left. */
void wsconns_free(struct wsconns *s);
/* Connections open now: as a server, that is, of clients. */
size_t wsconns_clients(const struct wsconns *s);
size_t wsconns_count(const struct wsconns *s);

enum wsconn_role { WSCONN_SERVER, WSCONN_CLIENT };

/* PARAMS: what was agreed about compression. */
struct ws *wsconn_new(struct wsconns *s, enum wsconn_role role, const struct wsdeflate_params *params);
struct conn *wsconn_conn(struct ws *w);
extern const struct conn_ops wsconn_conn_ops;
/* The conn is there, and a user is joined. INPUT: what has come already; it is read in the next turn. */
void wsconn_start(struct ws *w, struct str input);
/* Nothing was moved to it: free it. */
void wsconn_discard(struct ws *w);

#endif
