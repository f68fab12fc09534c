#include "test.h"

#include "base/mem.h"
#include "proto/proxyproto.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\300\0\2\1\306\63\144\2\334\4\1\273" /* 192.0.2.1:56324 -> 198.51.100.2:443 */
#define V6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\334\4\1\273"

struct row {
    struct str in;
    enum proxyproto_result result;
    const char *source; /* "": none */
    const char *why;    /* of BAD */
};

static const struct row rows[] = {
    /* version 1 */
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", 45}, PROXYPROTO_DONE, "192.0.2.1", NULL},
    {{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", 56}, PROXYPROTO_DONE, "255.255.255.255", NULL},
    {{"PROXY TCP6 2001:db8::1 ::1 0 1\r\n", 32}, PROXYPROTO_DONE, "2001:db8::1", NULL},
    {{"PROXY UNKNOWN\r\n", 15}, PROXYPROTO_DONE, "", NULL},
    {{"PROXY UNKNOWN ffff::1 any thing 65535\r\n", 39}, PROXYPROTO_DONE, "", NULL},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443", 43}, PROXYPROTO_MORE, "", NULL},
    {{"P", 1}, PROXYPROTO_MORE, "", NULL},
    {{"GET / HTTP/1.1\r\n", 16}, PROXYPROTO_BAD, "", "no PROXY header"},
    {{"PROXY\r\n", 7}, PROXYPROTO_BAD, "", "no PROXY header"},
    {{"PROXY \r\n", 8}, PROXYPROTO_BAD, "", "invalid end of the PROXY line"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", 38}, PROXYPROTO_BAD, "", "invalid end of the PROXY line"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", 37}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n", 41}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    {{"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n", 40}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n", 43}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    {{"PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n", 40}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    {{"PROXY TCP4 ::1 ::2 1 2\r\n", 24}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    {{"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", 39}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    {{"PROXY TCP4 host.test 198.51.100.2 1 2\r\n", 39}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    {{"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", 39}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    {{"PROXY UNKNOWNS\r\n", 16}, PROXYPROTO_BAD, "", "invalid PROXY line"},
    /* version 2 */
    {{SIG "\x21\x11\0\x0c" V4, 28}, PROXYPROTO_DONE, "192.0.2.1", NULL},
    {{SIG "\x21\x12\0\x0c" V4, 28}, PROXYPROTO_DONE, "192.0.2.1", NULL},
    {{SIG "\x21\x11\0\x0f" V4 "\4\0\0", 31}, PROXYPROTO_DONE, "192.0.2.1", NULL},
    {{SIG "\x21\x21\0\x24" V6, 52}, PROXYPROTO_DONE, "2001:db8:0:0:0:0:0:1", NULL},
    {{SIG "\x21\x00\0\0", 16}, PROXYPROTO_DONE, "", NULL},
    {{SIG "\x21\x00\0\x02xx", 18}, PROXYPROTO_DONE, "", NULL},
    {{SIG "\x20\x00\0\0", 16}, PROXYPROTO_DONE, "", NULL},
    {{SIG "\x20\x11\0\x0c" V4, 28}, PROXYPROTO_DONE, "", NULL},
    {{SIG "\x21\x11\0\x0c" V4, 27}, PROXYPROTO_MORE, "", NULL},
    {{"\r\n\r\nGET ", 8}, PROXYPROTO_BAD, "", "no PROXY header"},
    {{SIG "\x11\x11\0\x0c" V4, 28}, PROXYPROTO_BAD, "", "invalid PROXY header: unknown version"},
    {{SIG "\x22\x11\0\x0c" V4, 28}, PROXYPROTO_BAD, "", "invalid PROXY header: unknown command"},
    {{SIG "\x21\x41\0\x0c" V4, 28}, PROXYPROTO_BAD, "", "invalid PROXY header: unknown address family"},
    {{SIG "\x21\x13\0\x0c" V4, 28}, PROXYPROTO_BAD, "", "invalid PROXY header: unknown address family"},
    {{SIG "\x21\x11\0\x0b" V4, 28}, PROXYPROTO_BAD, "", "invalid PROXY header: addresses cut short"},
    {{SIG "\x21\x21\0\x23" V6, 52}, PROXYPROTO_BAD, "", "invalid PROXY header: addresses cut short"},
    {{SIG "\x21\x11\x10\x00" V4, 28}, PROXYPROTO_BAD, "", "invalid PROXY header: too long"},
};

static void
check(const struct row *row, const struct proxyproto *p, enum proxyproto_result r, const struct err *e)
{
    CHECK_INT(r, row->result);
    if (r == PROXYPROTO_DONE) {
        CHECK_STR(str_c(p->source), row->source);
        CHECK_INT(p->family != PROXYPROTO_NONE, *row->source != '\0');
    } else if (r == PROXYPROTO_BAD) {
        CHECK_STR(str_c(e->text), row->why);
    }
}

TEST(headers_are_read)
{
    for (size_t i = 0; i < countof(rows); i++) {
        struct proxyproto p;
        struct err e;
        size_t used;
        proxyproto_init(&p);
        check(&rows[i], &p, proxyproto_read(&p, rows[i].in, &used, &e), &e);
        CHECK(used <= rows[i].in.len);
        if (rows[i].result != PROXYPROTO_BAD)
            CHECK_INT(used, rows[i].in.len);
    }
}

TEST(headers_are_read_byte_by_byte)
{
    for (size_t i = 0; i < countof(rows); i++) {
        enum proxyproto_result r = PROXYPROTO_MORE;
        struct str in = rows[i].in;
        struct proxyproto p;
        struct err e;
        size_t used;
        proxyproto_init(&p);
        for (size_t k = 0; k < in.len && r == PROXYPROTO_MORE; k++) {
            r = proxyproto_read(&p, str_sub(in, k, 1), &used, &e);
            CHECK_INT(used, 1);
        }
        check(&rows[i], &p, r, &e);
    }
}

TEST(what_follows_is_left)
{
    for (size_t i = 0; i < countof(rows); i++) {
        char text[256];
        struct proxyproto p;
        struct err e;
        size_t used;
        if (rows[i].result != PROXYPROTO_DONE)
            continue;
        memcpy(text, rows[i].in.ptr, rows[i].in.len);
        memcpy(text + rows[i].in.len, "GET / HTTP", 10);
        proxyproto_init(&p);
        check(&rows[i], &p, proxyproto_read(&p, str_of(text, rows[i].in.len + 10), &used, &e), &e);
        CHECK_INT(used, rows[i].in.len);
    }
}

TEST(lines_have_an_end)
{
    char line[200] = "PROXY UNKNOWN ";
    struct proxyproto p;
    struct err e;
    size_t used;
    memset(line + 14, 'x', sizeof line - 14);
    proxyproto_init(&p);
    CHECK_INT(proxyproto_read(&p, str_of(line, sizeof line), &used, &e), PROXYPROTO_BAD);
    CHECK_STR(str_c(e.text), "PROXY line longer than 107 bytes");
    memcpy(line + 105, "\r\n", 2);
    proxyproto_init(&p);
    CHECK_INT(proxyproto_read(&p, str_of(line, sizeof line), &used, &e), PROXYPROTO_DONE);
    CHECK_INT(used, 107);
}

TEST(what_a_long_header_carries_is_skipped)
{
    char header[PROXYPROTO_MAX + 1] = SIG "\x21\x11\x0f\xf0" V4;
    struct proxyproto p;
    struct err e;
    size_t used;
    proxyproto_init(&p);
    CHECK_INT(proxyproto_read(&p, str_of(header, 1000), &used, &e), PROXYPROTO_MORE);
    CHECK_INT(proxyproto_read(&p, str_of(header + 1000, sizeof header - 1000), &used, &e), PROXYPROTO_DONE);
    CHECK_INT(used, PROXYPROTO_MAX - 1000);
    CHECK_STR(str_c(p.source), "192.0.2.1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(headers_are_read_byte_by_byte),
        cmocka_unit_test(what_follows_is_left),
        cmocka_unit_test(lines_have_an_end),
        cmocka_unit_test(what_a_long_header_carries_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
