#include "conf/configkeys.h"

#include "base/mem.h"

#include <limits.h>
#include <stdio.h>

#define AT(member) offsetof(struct config, member)
/* Shipped as it counts when absent. */
#define KEY(section, name, type, when, member, value, help)                                                            \
    {                                                                                                                  \
        section, name, type, when, AT(member), 0, 0, value, NULL, help                                                 \
    }
#define INT(section, name, min, max, when, member, value, help)                                                        \
    {                                                                                                                  \
        section, name, KEY_INT, when, AT(member), min, max, value, NULL, help                                          \
    }
/* Shipped commented out, with a sample value. */
#define OPT(section, name, type, when, member, value, sample, help)                                                    \
    {                                                                                                                  \
        section, name, type, when, AT(member), 0, 0, value, sample, help                                               \
    }
#define OPT_INT(section, name, min, max, when, member, value, sample, help)                                            \
    {                                                                                                                  \
        section, name, KEY_INT, when, AT(member), min, max, value, sample, help                                        \
    }
/* Read, but no longer written into new files. */
#define LEGACY(section, name)                                                                                          \
    {                                                                                                                  \
        section, name, KEY_ELSEWHERE, AT_START, 0, 0, 0, "", NULL, NULL                                                \
    }
/* Pushpin's own plumbing: accepted so that its files load, no effect. */
#define OLD(section, name)                                                                                             \
    {                                                                                                                  \
        section, name, KEY_OLD, AT_START, 0, 0, 0, "", NULL, NULL                                                      \
    }

enum { DAY = 86400 }; /* s */

const struct config_key config_keys[] = {
    OPT("global", "include", KEY_ELSEWHERE, AT_START, path, "", "{libdir}/internal.conf",
        "a second file, read for the keys that this one lacks; relative to this file's directory"),
    OPT("global", "libdir", KEY_TEXT, AT_START, libdir, "/usr/lib/pushpin", "/usr/lib/pushpin",
        "the value of {libdir}"),
    KEY("global", "rundir", KEY_ELSEWHERE, AT_START, rundir, "run",
        "the value of {rundir}: where ipc sockets are made; created if missing; relative to the current directory"),
    KEY("global", "ipc_prefix", KEY_TEXT, AT_START, ipc_prefix, "pushpin-", "the value of {ipc_prefix}"),
    INT("global", "port_offset", 0, 65535, AT_START, port_offset, "0",
        "added to the tcp ports of all specs and to push_in_http_port"),
    INT("global", "stats_connection_ttl", 1, DAY, AT_START, stats_connection_ttl, "120",
        "seconds that a connection counts as alive after its last stats message"),
    KEY("global", "stats_connection_send", KEY_BOOL, AT_START, stats_connection_send, "true",
        "send a stats message for each connection"),

    KEY("runner", "http_port", KEY_ELSEWHERE, AT_START, listeners, "7999",
        "where to accept HTTP: list of PORT, ADDR:PORT, [IPV6]:PORT"),
    OPT("runner", "https_ports", KEY_TLS_PORTS, AT_START, listeners, "", "443",
        "the same with TLS; certificates are in runner/certs beside this file: default_PORT.crt and .key, or by host "
        "name"),
    OPT("runner", "local_ports", KEY_SOCKETS, AT_START, listeners, "", "{rundir}/{ipc_prefix}server",
        "the same for Unix sockets: list of PATH[?mode=OCTAL&user=USER&group=GROUP]"),
    OPT("runner", "proxy_protocol_ports", KEY_ELSEWHERE, AT_START, listeners, "", "7999",
        "those of the ports above whose connections begin with a header of the PROXY protocol: list of PORT, "
        "ADDR:PORT, "
        "[IPV6]:PORT"),
    OPT("runner", "proxy_protocol_trusted", KEY_RANGES, AT_START, proxy_protocol_trusted, "", "10.0.0.0/8",
        "from whom it is taken, all others are cut: list of ADDR, ADDR/BITS"),
    OPT("runner", "reuse_port", KEY_BOOL, AT_START, reuse_port, "false", "true",
        "let several instances of one user accept on the same http_port and https_ports, whose clients the system "
        "spreads over them"),
    KEY("runner", "logdir", KEY_TEXT, AT_START, logdir, "log",
        "accepted for compatibility: the log goes to stdout, or where --logfile says"),
    KEY("runner", "log_level", KEY_LEVELS, AT_RELOAD, log_level, "2",
        "0 errors, 1 and warnings, 2 and information, 3 all"),
    INT("runner", "client_buffer_size", 256, 1048576, AT_START, client_buffer_size, "8192",
        "bytes that the head of a request or a response may have, and a frame to a WebSocket's client"),
    INT("runner", "client_maxconn", 1, 10000000, AT_START, client_maxconn, "50000", "client connections at a time"),
    KEY("runner", "allow_compression", KEY_BOOL, AT_START, allow_compression, "false",
        "offer compression to WebSocket clients"),
    OPT_INT("runner", "client_idle_timeout", 0, DAY, AT_START, client_idle_timeout, "60", "60",
            "seconds that a client connection may idle between requests, and that a request's head and the first 10000 "
            "bytes of "
            "its body may each take; 0: no limit"),
    OPT_INT("runner", "activity_timeout", 0, DAY, AT_START, activity_timeout, "1800", "1800",
            "seconds without a byte in either direction after which a request or a WebSocket is ended; 0: no limit"),
    OPT_INT(
        "runner", "websocket_ping_interval", 0, DAY, AT_START, websocket_ping_interval, "0", "30",
        "seconds without traffic after which a WebSocket's peer is pinged, and closed when it is silent for as long "
        "again; 0: never"),

    KEY("proxy", "routesfile", KEY_TEXT, AT_START, routesfile, "routes", "relative to this file's directory"),
    KEY("proxy", "debug", KEY_BOOL, AT_RELOAD, debug, "false", "tell clients the reasons of errors"),
    KEY("proxy", "auto_cross_origin", KEY_BOOL, AT_START, auto_cross_origin, "false",
        "answer cross-origin requests (CORS, JSON-P) in the origin's place"),
    KEY("proxy", "accept_x_forwarded_protocol", KEY_BOOL, AT_START, accept_x_forwarded_protocol, "false",
        "believe X-Forwarded-Proto and X-Forwarded-Protocol of clients"),
    KEY("proxy", "set_x_forwarded_protocol", KEY_XFP, AT_START, set_x_forwarded_protocol, "proto-only",
        "for https and wss: true sets X-Forwarded-Proto and X-Forwarded-Protocol, proto-only the first, false none"),
    KEY("proxy", "x_forwarded_for", KEY_LIST, AT_START, x_forwarded_for, "",
        "what to do with X-Forwarded-For: list of truncate:N and append"),
    KEY("proxy", "x_forwarded_for_trusted", KEY_LIST, AT_START, x_forwarded_for_trusted, "",
        "the same for requests that are signed with upstream_key"),
    KEY("proxy", "orig_headers_need_mark", KEY_LIST, AT_START, orig_headers_need_mark, "",
        "headers that count as the client's own only under their marked name"),
    KEY("proxy", "accept_pushpin_route", KEY_BOOL, AT_START, accept_pushpin_route, "false",
        "let the request header Pushpin-Route choose a route by its id"),
    KEY("proxy", "cdn_loop", KEY_TEXT, AT_START, cdn_loop, "", "name to add to the CDN-Loop header"),
    KEY("proxy", "log_from", KEY_BOOL, AT_RELOAD, log_from, "false", "log the client's address"),
    KEY("proxy", "log_user_agent", KEY_BOOL, AT_RELOAD, log_user_agent, "false", "log the User-Agent header"),
    OPT("proxy", "log_time", KEY_BOOL, AT_RELOAD, log_time, "false", "true",
        "log how many seconds a request took, and its origin until the head of the response was there"),
    OPT("proxy", "log_format", KEY_IS_JSON, AT_RELOAD, log_json, "text", "json",
        "how a request is logged, text or json: one object with the same fields"),
    KEY("proxy", "sig_iss", KEY_TEXT, AT_START, sig_iss, "pushpin", "who signs: the iss claim of Grip-Sig"),
    KEY("proxy", "sig_key", KEY_TEXT, AT_START, sig_key, "changeme",
        "key to sign Grip-Sig with: text, base64:DATA or file:PATH, relative to this file's directory"),
    KEY("proxy", "upstream_key", KEY_TEXT, AT_START, upstream_key, "",
        "key of a proxy in front of this one whose Grip-Sig makes a request trusted; the same forms"),
    KEY("proxy", "sockjs_url", KEY_TEXT, AT_START, sockjs_url, "https://cdn.jsdelivr.net/sockjs/0.3.4/sockjs.min.js",
        "the SockJS client that iframe pages load"),
    OPT_INT("proxy", "max_open_requests", 0, INT_MAX, AT_START, max_open_requests, "0", "10000",
            "has no effect yet: client_maxconn alone limits how many requests there are at a time"),
    OPT_INT("proxy", "origin_connect_timeout", 1, DAY, AT_START, origin_connect_timeout, "10", "10",
            "seconds to connect to a target before the next one is tried"),
    OPT_INT("proxy", "origin_response_timeout", 0, DAY, AT_START, origin_response_timeout, "0", "60",
            "seconds to wait for an origin's response; 0: activity_timeout alone"),
    OPT("proxy", "prometheus_port", KEY_METRICS, AT_START, proxy_metrics, "", "127.0.0.1:8002",
        "a second place to serve metrics, as Pushpin's proxy has it: there the numbers of messages stay 0"),
    OPT("proxy", "prometheus_prefix", KEY_TEXT, AT_START, proxy_metrics.prefix, "", "pushpin_",
        "what the names of metrics begin with there"),

    OPT("handler", "ipc_file_mode", KEY_OCTAL, AT_START, ipc_file_mode, "", "777", "permissions of ipc sockets"),
    KEY("handler", "push_in_spec", KEY_SPEC, AT_START, push_in_spec, "tcp://127.0.0.1:5560",
        "where to receive published items (ZeroMQ PULL)"),
    KEY("handler", "push_in_sub_specs", KEY_ELSEWHERE, AT_START, push_in_sub_specs, "tcp://127.0.0.1:5562",
        "where to receive published items (ZeroMQ SUB): list"),
    KEY("handler", "push_in_sub_connect", KEY_BOOL, AT_START, push_in_sub_connect, "false",
        "connect to push_in_sub_specs instead of binding them"),
    KEY("handler", "push_in_http_addr", KEY_ADDRESS, AT_START, push_in_http_addr, "127.0.0.1",
        "address of the HTTP control server; 0.0.0.0, :: or *: all"),
    INT("handler", "push_in_http_port", -1, 65535, AT_START, push_in_http_port, "5561",
        "its port; 0: any free one; -1: no HTTP control server"),
    INT("handler", "push_in_http_max_headers_size", 256, 1048576, AT_START, push_in_http_max_headers_size, "10000",
        "bytes that the head of a publish request may have"),
    INT("handler", "push_in_http_max_body_size", 0, 1073741824, AT_START, push_in_http_max_body_size, "1000000",
        "bytes that its body may have"),
    OPT("handler", "push_in_http_token", KEY_TEXT, AT_RELOAD, push_in_http_token, "", "file:push.token",
        "token that publish requests must bring, Authorization: Bearer TOKEN; text, base64:DATA or file:PATH; empty: "
        "none"),
    OPT("handler", "push_in_http_tls", KEY_BOOL, AT_START, push_in_http_tls, "false", "true",
        "let the HTTP control server speak TLS, with runner/certs/default_PORT.crt and .key"),
    KEY("handler", "stats_spec", KEY_SPEC, AT_START, stats_spec, "ipc://{rundir}/{ipc_prefix}stats",
        "where to publish stats (ZeroMQ PUB)"),
    KEY("handler", "command_spec", KEY_SPEC, AT_START, command_spec, "tcp://127.0.0.1:5563",
        "where to receive commands (ZeroMQ REP)"),
    OPT("handler", "state_spec", KEY_SPEC, AT_START, state_spec, "", "ipc://{rundir}/{ipc_prefix}state",
        "accepted for compatibility: there are no sessions, a warning says so"),
    INT("handler", "message_rate", INT_MIN, INT_MAX, AT_START, message_rate, "0",
        "deliveries a second, for each route with an id and for all others; 0: no limit"),
    INT("handler", "message_hwm", INT_MIN, INT_MAX, AT_START, message_hwm, "25000",
        "deliveries that may wait because of message_rate; more are dropped; 0: no limit"),
    OPT_INT("handler", "message_block_size", 0, INT_MAX, AT_START, message_block_size, "0", "1000",
            "bytes that count as one delivery; 0: each item is one"),
    INT("handler", "message_wait", 0, 1000 * DAY, AT_START, message_wait, "5000",
        "milliseconds that an item waits for its predecessor"),
    INT("handler", "id_cache_ttl", 0, INT_MAX, AT_START, id_cache_ttl, "60",
        "seconds in which an item with the same id is a duplicate; 0: none ever is"),
    KEY("handler", "update_on_first_subscription", KEY_BOOL, AT_START, update_on_first_subscription, "true",
        "ask the origin again when a channel gets its first subscriber"),
    INT("handler", "connection_subscription_max", 0, INT_MAX, AT_START, connection_subscription_max, "20",
        "channels that a connection may have"),
    INT("handler", "subscription_linger", 0, DAY, AT_START, subscription_linger, "60",
        "seconds that a channel of response holds stays known after its last subscriber"),
    OPT_INT("handler", "connection_queue_max", 1, INT_MAX, AT_START, connection_queue_max, "1000000", "1000000",
            "bytes that may wait for one slow client"),
    OPT("handler", "drop_for_slow_websockets", KEY_BOOL, AT_START, drop_for_slow_websockets, "false", "true",
        "a WebSocket that has that much waiting loses messages; else it is closed with 1008"),
    INT("handler", "stats_subscription_ttl", 1, DAY, AT_START, stats_subscription_ttl, "60",
        "seconds that a subscription counts as alive after its last stats message"),
    INT("handler", "stats_report_interval", INT_MIN, DAY, AT_START, stats_report_interval, "10",
        "seconds between reports; 0: none"),
    KEY("handler", "stats_format", KEY_IS_JSON, AT_START, stats_json, "tnetstring", "tnetstring or json"),
    OPT("handler", "prometheus_port", KEY_METRICS, AT_START, metrics, "", "127.0.0.1:8001",
        "where to serve metrics: PORT, ADDR:PORT, [IPV6]:PORT or ipc://PATH"),
    OPT("handler", "prometheus_prefix", KEY_TEXT, AT_START, metrics.prefix, "", "pushpin_",
        "what the names of metrics begin with"),
    OPT("handler", "share_all", KEY_BOOL, AT_START, share_all, "false", "true",
        "ask the origin once for simultaneous requests of the same method and URI, whoever sends them"),

    LEGACY("runner", "rundir"),
    LEGACY("handler", "push_in_sub_spec"),

    OLD("runner", "services"),
    OLD("runner", "mongrel2_bin"),
    OLD("runner", "m2sh_bin"),
    OLD("runner", "zurl_bin"),
    OLD("proxy", "updates_check"),
    OLD("proxy", "organization_name"),
    OLD("proxy", "ipc_file_mode"),
    OLD("proxy", "workers"),
    OLD("proxy", "stats_connections_max_ttl"),
    OLD("proxy", "stats_report_interval"),
    OLD("proxy", "connmgr_in_specs"),
    OLD("proxy", "connmgr_in_stream_specs"),
    OLD("proxy", "connmgr_out_specs"),
    OLD("proxy", "connmgr_client_out_specs"),
    OLD("proxy", "connmgr_client_out_stream_specs"),
    OLD("proxy", "connmgr_client_in_specs"),
    OLD("proxy", "condure_in_specs"),
    OLD("proxy", "condure_in_stream_specs"),
    OLD("proxy", "condure_out_specs"),
    OLD("proxy", "condure_client_out_specs"),
    OLD("proxy", "condure_client_out_stream_specs"),
    OLD("proxy", "condure_client_in_specs"),
    OLD("proxy", "m2a_in_specs"),
    OLD("proxy", "m2a_in_stream_specs"),
    OLD("proxy", "m2a_out_specs"),
    OLD("proxy", "zurl_out_specs"),
    OLD("proxy", "zurl_out_stream_specs"),
    OLD("proxy", "zurl_in_specs"),
    OLD("proxy", "handler_inspect_spec"),
    OLD("proxy", "handler_accept_spec"),
    OLD("proxy", "handler_retry_in_spec"),
    OLD("proxy", "handler_ws_control_init_specs"),
    OLD("proxy", "handler_ws_control_stream_specs"),
    OLD("proxy", "stats_spec"),
    OLD("proxy", "command_spec"),
    OLD("proxy", "intreq_in_specs"),
    OLD("proxy", "intreq_in_stream_specs"),
    OLD("proxy", "intreq_out_specs"),
    OLD("handler", "proxy_inspect_specs"),
    OLD("handler", "proxy_accept_specs"),
    OLD("handler", "proxy_retry_out_specs"),
    OLD("handler", "proxy_ws_control_init_specs"),
    OLD("handler", "proxy_ws_control_stream_specs"),
    OLD("handler", "proxy_stats_specs"),
    OLD("handler", "proxy_command_spec"),
    OLD("handler", "proxy_inspect_spec"),
    OLD("handler", "proxy_accept_spec"),
    OLD("handler", "proxy_retry_out_spec"),
    OLD("handler", "proxy_stats_spec"),
    OLD("handler", "connmgr_in_stream_specs"),
    OLD("handler", "connmgr_out_specs"),
    OLD("handler", "m2a_in_stream_specs"),
    OLD("handler", "m2a_out_specs"),
    OLD("handler", "proxy_intreq_out_specs"),
    OLD("handler", "proxy_intreq_out_stream_specs"),
    OLD("handler", "proxy_intreq_in_specs"),
};

const unsigned config_keys_n = countof(config_keys);

const struct config_key *
config_key_find(const char *section, const char *name)
{
    for (unsigned i = 0; i < config_keys_n; i++)
        if (strcmp(config_keys[i].name, name) == 0 && strcmp(config_keys[i].section, section) == 0)
            return &config_keys[i];
    return NULL;
}

bool
config_section_known(const char *section)
{
    for (unsigned i = 0; i < config_keys_n; i++)
        if (strcmp(config_keys[i].section, section) == 0)
            return true;
    return false;
}

void
config_print(void (*put)(const char *line, void *arg), void *arg)
{
    static const char *const top[] = {
        "# pushpin.conf - the settings of pushpind.",
        "#",
        "# Every value that is set here is also what counts without its line; what is commented out is a sample.",
        "# Values may stand in double quotes; a ';' outside them begins a comment. Settings marked (reload) may also",
        "# change while pushpind runs: send it a HUP signal.",
    };
    const char *section = "";
    char line[512];
    for (size_t i = 0; i < countof(top); i++)
        put(top[i], arg);
    for (unsigned i = 0; i < config_keys_n; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->help == NULL)
            continue;
        put("", arg);
        if (strcmp(section, k->section) != 0) {
            snprintf(line, sizeof line, "[%s]", section = k->section);
            put(line, arg);
            put("", arg);
        }
        snprintf(line, sizeof line, "# %s%s", k->help, k->when == AT_RELOAD ? " (reload)" : "");
        put(line, arg);
        snprintf(line, sizeof line, "%s%s=%s", k->sample != NULL ? "#" : "", k->name,
                 k->sample != NULL ? k->sample : k->value);
        put(line, arg);
    }
}
