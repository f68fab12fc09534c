/* config.h - pushpin.conf: the key table, the file, defaults, old keys accepted (spec: configuration 1-3).
 *
 * One table, configkeys.c, has a row for each key: section, name, type, where it goes, default, when it can change,
 * help. The shipped conf/pushpin.conf is printed from it, and so are the documents. */
#ifndef CONF_CONFIG_H
#define CONF_CONFIG_H

#include "base/err.h"
#include "base/str.h"
#include "io/address.h"

struct config_ranges {
    struct address_range *at; /* owned */
    unsigned n;
};

struct config_list {
    char **at; /* owned strings */
    unsigned n;
};

/* A place where metrics are served. */
struct config_metrics {
    char *text; /* as it stands in the file; NULL: disabled */
    char *addr; /* an IP address, or "ipc://PATH" */
    int port;
    char *prefix; /* of all names */
};

struct config_listener {
    char *addr; /* owned; "0.0.0.0" when none was given; IPv6 without brackets */
    uint16_t port;
    char *path;         /* owned; a Unix socket's path, addr is NULL then */
    int mode;           /* Unix: permissions, -1 when not given */
    char *user, *group; /* Unix: owned, NULL when not given */
    bool tls;
    bool proxy_protocol; /* connections begin with its header */
};

enum { CONFIG_XFP_OFF, CONFIG_XFP_BOTH, CONFIG_XFP_PROTO_ONLY };

struct config {
    /* where it came from */
    char *path; /* owned; the file that was read, NULL: none, defaults only */
    char *dir;  /* owned; directory of the file, or "." */
    /* [global] */
    char *libdir, *rundir, *ipc_prefix;
    int port_offset;
    int stats_connection_ttl; /* s */
    bool stats_connection_send;
    /* [runner] */
    struct config_listener *listeners; /* owned; from http_port, https_ports, local_ports */
    unsigned n_listeners;
    struct config_ranges proxy_protocol_trusted; /* new: whose headers are taken */
    bool reuse_port;                             /* new: share the client ports with other instances */
    char *logdir;
    int log_level; /* the highest that any service has */
    int client_buffer_size, client_maxconn;
    bool allow_compression;
    /* [proxy] */
    char *routesfile; /* absolute, or relative to the current directory; NULL: none */
    bool debug, auto_cross_origin, accept_x_forwarded_protocol;
    int set_x_forwarded_protocol; /* CONFIG_XFP_* */
    struct config_list x_forwarded_for, x_forwarded_for_trusted, orig_headers_need_mark;
    bool accept_pushpin_route;
    char *cdn_loop; /* "" when not set */
    bool log_from, log_user_agent;
    bool log_time, log_json; /* new: request lines with times; as JSON */
    char *sig_iss, *sig_key, *upstream_key, *sockjs_url;
    int max_open_requests;       /* 0: client_maxconn */
    int client_idle_timeout;     /* s; new: 60 of proxying 3 */
    int activity_timeout;        /* s; new: 1800 of proxying 3 */
    int websocket_ping_interval; /* s; new: 0 = never */
    int origin_connect_timeout;  /* s; new: 10 */
    int origin_response_timeout; /* s; new: 0 = none but activity_timeout */
    /* [handler] */
    int ipc_file_mode;                    /* -1: umask */
    char *push_in_spec;                   /* "" when disabled; port_offset applied, variables replaced, in all specs */
    struct config_list push_in_sub_specs; /* push_in_sub_spec appended */
    bool push_in_sub_connect;
    char *push_in_http_addr; /* an IP address */
    int push_in_http_port;   /* port_offset applied; 0: any; -1: disabled */
    int push_in_http_max_headers_size, push_in_http_max_body_size;
    char *push_in_http_token;                          /* new: "" for none; text, base64:DATA or file:PATH */
    bool push_in_http_tls;                             /* new */
    char *stats_spec, *command_spec, *state_spec;      /* "" when disabled */
    int message_rate;                                  /* deliveries a second and route; <= 0 unlimited, the default */
    int message_hwm, message_block_size, message_wait; /* message_wait: ms */
    int id_cache_ttl;                                  /* s */
    bool update_on_first_subscription;
    int connection_subscription_max, subscription_linger; /* linger: s */
    int connection_queue_max;                             /* bytes; new: what may wait for one slow client */
    bool drop_for_slow_websockets;                        /* new */
    int stats_subscription_ttl, stats_report_interval;    /* s */
    bool stats_json;
    struct config_metrics metrics;
    struct config_metrics proxy_metrics; /* of [proxy]: a second place, without the numbers of messages */
    bool share_all;
};

/* What the command line says; it wins over the file. */
struct config_options {
    const char *config_file; /* --config, or NULL */
    const char *log_level;   /* --loglevel's text, or NULL */
    const char *port;        /* --port's text, or NULL */
    int id;                  /* --id, or -1 */
};

/* Are the texts of OPTIONS well-formed? What E says then is for the usage message, not about a file; main asks first.
 * config_load() asks, too. */
int config_options_check(const struct config_options *options, struct err *e);

/* Find and read the file, apply OPTIONS. Unknown keys are logged at WARN with file, line and name; old keys without
 * effect once at DEBUG. NULL with E set ("FILE:LINE: KEY: what would be right"). No file at all, and none asked for
 * or needed, gives the defaults. */
struct config *config_load(const struct config_options *options, struct err *e);
void config_free(struct config *c);

/* Print the shipped pushpin.conf from the table. */
void config_print(void (*put)(const char *line, void *arg), void *arg);

#endif
