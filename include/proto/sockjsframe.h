/* sockjsframe.h - SockJS frames (spec: sockjs-and-test-handler 3.4): o, h, a["message", ...], c[CODE,"REASON"], and the
 * JSON arrays in which clients send.
 *
 *   sockjsframe_piece(), for each piece of a message  ->  "message"
 *   sockjsframe_array("m1","m2")                      ->  a["m1","m2"]
 */
#ifndef PROTO_SOCKJSFRAME_H
#define PROTO_SOCKJSFRAME_H

#include "base/err.h"
#include "proto/jsonwrite.h"

#include <jansson.h>

#define SOCKJSFRAME_OPEN STR("o")
#define SOCKJSFRAME_HEARTBEAT STR("h")

/* A message on its way into a JSON string. */
struct sockjsframe {
    struct jsonwrite json;
    bool cut; /* a binary message had a NUL: the rest is not there */
};

/* Append what a piece of a message makes of its JSON string, with the quote before the FIRST and behind the LAST.
 * BINARY: it is taken for text up to its first NUL. */
void sockjsframe_piece(struct sockjsframe *f, struct str piece, bool binary, bool first, bool last, struct buf *out);
/* STRINGS: JSON strings with commas between them. */
void sockjsframe_array(struct str strings, struct buf *out);
/* CODE 0 stands for none. An empty REASON is put into words. */
void sockjsframe_close(int code, struct str reason, struct buf *out);

/* What a client sends: an array of strings (or, with OR_STRING, one string that is not empty). Half a surrogate pair in
 * it becomes U+FFFD. An array, json_decref() it; NULL: E says what it is not. */
json_t *sockjsframe_parse(struct str text, bool or_string, struct err *e);

#endif
