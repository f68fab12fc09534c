#include "stats/counters.h"

#define MINUTES "Number of minutes clients have been connected"
#define CLOSED(value)                                                                                                  \
    {                                                                                                                  \
        "connections-closed", "connection_closed", "reason", value, "Number of connections that have ended"            \
    }
#define SENT(value)                                                                                                    \
    {                                                                                                                  \
        "sent", "message_sent", "transport", value, "Number of messages sent to clients"                               \
    }
#define DROPPED(value)                                                                                                 \
    {                                                                                                                  \
        "dropped", "message_dropped", "reason", value, "Number of messages not sent to a client of their channel"      \
    }
#define ORIGIN(value)                                                                                                  \
    {                                                                                                                  \
        NULL, "origin_result", "result", value, "Number of requests to origins by what came of them"                   \
    }
#define PLAIN(report, metric, help)                                                                                    \
    {                                                                                                                  \
        report, metric, NULL, NULL, help                                                                               \
    }

const struct counter counters[STATS_COUNTERS] = {
    [STATS_REQUESTS] = PLAIN(NULL, "request_received", "Number of requests received"),
    [STATS_OPENED] = PLAIN("connections-opened", "connection_opened", "Number of connections that have begun"),
    [STATS_CLOSED_DONE] = CLOSED("done"),
    [STATS_CLOSED_CLIENT] = CLOSED("client"),
    [STATS_CLOSED_TIMEOUT] = CLOSED("timeout"),
    [STATS_CLOSED_SLOW] = CLOSED("slow"),
    [STATS_CLOSED_ORIGIN] = CLOSED("origin"),
    [STATS_CLOSED_ERROR] = CLOSED("error"),
    [STATS_CLOSED_SHUTDOWN] = CLOSED("shutdown"),
    [STATS_MINUTES] = PLAIN("minutes", "connection_minute", MINUTES),
    [STATS_RECEIVED] = PLAIN("received", "message_received", "Number of messages received by the publish API"),
    [STATS_SENT + STATS_HTTP_RESPONSE] = SENT("http-response"),
    [STATS_SENT + STATS_HTTP_STREAM] = SENT("http-stream"),
    [STATS_SENT + STATS_WS_MESSAGE] = SENT("ws-message"),
    [STATS_DROPPED_FILTER] = DROPPED("filter"),
    [STATS_DROPPED_RATE] = DROPPED("rate"),
    [STATS_DROPPED_QUEUE] = DROPPED("queue"),
    [STATS_BLOCKS_RECEIVED] = PLAIN("blocks-received", "block_received", "Number of blocks of messages received"),
    [STATS_BLOCKS_SENT] = PLAIN("blocks-sent", "block_sent", "Number of blocks of messages sent to clients"),
    [STATS_CLIENT_HEADER_RECEIVED] =
        PLAIN("client-header-bytes-received", "client_header_bytes_received", "Bytes of heads from clients"),
    [STATS_CLIENT_HEADER_SENT] =
        PLAIN("client-header-bytes-sent", "client_header_bytes_sent", "Bytes of heads to clients"),
    [STATS_CLIENT_CONTENT_RECEIVED] =
        PLAIN("client-content-bytes-received", "client_content_bytes_received", "Bytes of content from clients"),
    [STATS_CLIENT_CONTENT_SENT] =
        PLAIN("client-content-bytes-sent", "client_content_bytes_sent", "Bytes of content to clients"),
    [STATS_CLIENT_MESSAGES_RECEIVED] =
        PLAIN("client-messages-received", "client_messages_received", "Number of WebSocket messages from clients"),
    [STATS_CLIENT_MESSAGES_SENT] =
        PLAIN("client-messages-sent", "client_messages_sent", "Number of WebSocket messages to clients"),
    [STATS_SERVER_HEADER_RECEIVED] =
        PLAIN("server-header-bytes-received", "server_header_bytes_received", "Bytes of heads from origins"),
    [STATS_SERVER_HEADER_SENT] =
        PLAIN("server-header-bytes-sent", "server_header_bytes_sent", "Bytes of heads to origins"),
    [STATS_SERVER_CONTENT_RECEIVED] =
        PLAIN("server-content-bytes-received", "server_content_bytes_received", "Bytes of content from origins"),
    [STATS_SERVER_CONTENT_SENT] =
        PLAIN("server-content-bytes-sent", "server_content_bytes_sent", "Bytes of content to origins"),
    [STATS_SERVER_MESSAGES_RECEIVED] =
        PLAIN("server-messages-received", "server_messages_received", "Number of WebSocket messages from origins"),
    [STATS_SERVER_MESSAGES_SENT] =
        PLAIN("server-messages-sent", "server_messages_sent", "Number of WebSocket messages to origins"),
    [STATS_ORIGIN_1XX] = ORIGIN("1xx"),
    [STATS_ORIGIN_2XX] = ORIGIN("2xx"),
    [STATS_ORIGIN_3XX] = ORIGIN("3xx"),
    [STATS_ORIGIN_4XX] = ORIGIN("4xx"),
    [STATS_ORIGIN_5XX] = ORIGIN("5xx"),
    [STATS_ORIGIN_OTHER] = ORIGIN("other"),
    [STATS_ORIGIN_UNREACHABLE] = ORIGIN("unreachable"),
    [STATS_ORIGIN_BLOCKED] = ORIGIN("blocked"),
    [STATS_ORIGIN_NO_NAME] = ORIGIN("no-name"),
    [STATS_ORIGIN_LOST] = ORIGIN("lost"),
    [STATS_ORIGIN_TIMEOUT] = ORIGIN("timeout"),
    [STATS_ORIGIN_CUT] = ORIGIN("cut"),
};
