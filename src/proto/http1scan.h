/* http1scan.h - the grammar of a message's lines, byte by byte, each byte looked at once.
 *
 *   section                         begun by                 ends with
 *   start line and header lines     http1_scan_request()     CR LF CR LF
 *                                   http1_scan_response()
 *   a chunk's size and extensions   http1_scan_chunk()       CR LF
 *   what follows a chunk's data     http1_scan_suffix()      CR LF
 *   trailer lines                   http1_scan_trailers()    the empty line
 *
 * It says what may stand where and nothing about what it means, but for the size of a chunk. Since it is a plain
 * state machine, a section cut anywhere gets the same verdict at the same byte. */
#ifndef PROTO_HTTP1SCAN_H
#define PROTO_HTTP1SCAN_H

#include "base/str.h"

enum http1_scan_state {
    SCAN_METHOD,
    SCAN_TARGET,
    SCAN_VERSION,
    SCAN_VERSION_END,
    SCAN_STATUS,
    SCAN_REASON,
    SCAN_LINE_LF, /* a start line's CR was there */
    SCAN_FIELD,   /* at the beginning of a line */
    SCAN_NAME,
    SCAN_VALUE,
    SCAN_VALUE_LF, /* a header line's CR was there */
    SCAN_LAST_LF,  /* the empty line's CR was there */
    SCAN_SIZE,
    SCAN_EXTENSION,
    SCAN_SIZE_LF,
    SCAN_SUFFIX,
    SCAN_SUFFIX_LF,
    SCAN_DONE,
    SCAN_BAD
};

struct http1_scan {
    enum http1_scan_state state;
    bool response;
    unsigned char n; /* bytes of what the state is about; where only "none" matters, 0 or 1 */
    unsigned char fields;
    size_t left;     /* bytes that the section may still have */
    uint32_t size;   /* of a chunk */
    const char *bad; /* with SCAN_BAD; constant */
    int status;      /* with SCAN_BAD: what a request is answered with */
};

/* MAX: bytes of the section, its last line end included. */
void http1_scan_request(struct http1_scan *s, size_t max);
void http1_scan_response(struct http1_scan *s, size_t max);
void http1_scan_trailers(struct http1_scan *s, size_t max);
void http1_scan_chunk(struct http1_scan *s);
void http1_scan_suffix(struct http1_scan *s);

/* Go on with IN until the section ends, IN does or something is wrong, and return how many bytes were good. */
size_t http1_scan(struct http1_scan *s, struct str in);

#endif
