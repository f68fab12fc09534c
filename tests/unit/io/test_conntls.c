/* A conn on a real loop, plain and with TLS: the same owner, who must not see a difference. */
#include "io/turns.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/conn.h"
#include "io/listener.h"
#include "io/tls.h"

#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One end of a connection and what happened to it. */
struct end {
    struct conn conn; /* first */
    struct buf got;
    unsigned drained, connected, eof;
    char error[200];
    bool pause; /* after each piece */
};

static struct loop *loop;
static struct listener *listener;
static struct tls_certs *certs;
static struct tls_server *server;
static struct tls_client *client;
static struct end near, far; /* who connects, who accepts */
static char dir[] = "/tmp/test_conntls_XXXXXX";
static char path[64];
static bool with_tls;

static void
on_data(struct conn *c, struct str data)
{
    struct end *e = (void *)c;
    CHECK_INT(e->eof, 0);
    CHECK_INT(buf_adds(&e->got, data), 0);
    if (e->pause)
        conn_pause(c);
}

static void
on_eof(struct conn *c)
{
    ((struct end *)(void *)c)->eof++;
}

static void
on_error(struct conn *c, const char *why)
{
    struct end *e = (void *)c;
    snprintf(e->error, sizeof e->error, "%s", why);
    conn_close(c);
}

static void
on_drained(struct conn *c)
{
    ((struct end *)(void *)c)->drained++;
}

static void
on_connected(struct conn *c)
{
    ((struct end *)(void *)c)->connected++;
}

static const struct conn_ops ops = {on_data, on_eof, on_error, on_drained, on_connected, NULL};

static void
on_accept(void *arg, int fd)
{
    (void)arg;
    conn_open(&far.conn, loop, fd, &ops);
    if (with_tls)
        conn_start_tls(&far.conn, tls_accept(server));
}

static void
reset(struct end *e)
{
    *e = (struct end){.got = BUF_INIT(1 << 26)};
    e->conn.fd = -1;
}

static void
join_as(bool tls, bool insecure, struct str name)
{
    struct address a;
    struct err e;
    reset(&near);
    reset(&far);
    with_tls = tls;
    CHECK(address_unix(str_c(path), &a));
    CHECK_INT(conn_connect(&near.conn, loop, &a, &ops), 0);
    if (!tls)
        return;
    struct tls *t = tls_connect(client, name, insecure, STR("here"), &e);
    CHECK(t != NULL);
    conn_start_tls(&near.conn, t);
}

static void
join(bool tls)
{
    join_as(tls, true, STR("a.test"));
    TURN_UNTIL(loop, near.connected == 1 && far.conn.fd >= 0 && !far.conn.connecting);
}

static void
part(void)
{
    conn_close(&near.conn);
    conn_close(&far.conn);
    buf_clear(&near.got);
    buf_clear(&far.got);
    loop_poll(loop);
}

/* turn until nothing more happens */
static void
settle(void)
{
    for (int i = 0; i < 200; i++) {
        loop_poll(loop);
        sched_yield();
    }
}

static void
send_text(struct end *e, const char *text)
{
    CHECK_INT(conn_send(&e->conn, str_c(text)), 0);
}

static void
bytes_and_ends(bool tls)
{
    join(tls);
    send_text(&near, "hello");
    TURN_UNTIL(loop, far.got.len == 5);
    send_text(&far, "world");
    TURN_UNTIL(loop, near.got.len == 5);
    CHECK_STR(buf_str(&near.got), "world");
    CHECK_STR(buf_str(&far.got), "hello");
    CHECK_INT(near.drained + far.drained, 0);
    conn_linger(&near.conn);
    TURN_UNTIL(loop, far.eof == 1);
    send_text(&far, "late"); /* thrown away */
    conn_close(&far.conn);
    TURN_UNTIL(loop, near.eof == 1);
    CHECK_INT(near.got.len, 5);
    CHECK_STR(str_c(near.error), "");
    part();
}

TEST(bytes_go_both_ways_and_ends_are_told)
{
    bytes_and_ends(false);
    bytes_and_ends(true);
}

/* A pattern in which each byte depends on its place. */
static char
byte_at(size_t i)
{
    return (char)(i * 7 + i / 253);
}

static void
much_and_slowly(bool tls)
{
    enum { TOTAL = 3000000 };
    static char data[TOTAL];
    size_t sent = 0;
    unsigned sizes[] = {1, 100, 20000, 3, 16384, 7, 70000, 5000}, turn = 0;
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = byte_at(i);
    join(tls);
    far.pause = true;
    while (sent < TOTAL || conn_queued(&near.conn) > 0 || far.got.len < TOTAL) {
        struct conn_piece pieces[100];
        unsigned n = 0;
        for (; n < 1 + turn % 100 && sent < TOTAL && conn_queued(&near.conn) < 200000; n++) {
            size_t len = sizes[(turn + n) % countof(sizes)];
            len = len < TOTAL - sent ? len : TOTAL - sent;
            pieces[n] = (struct conn_piece){str_of(data + sent, len), NULL};
            sent += len;
        }
        if (n > 0)
            CHECK_INT(conn_sendv(&near.conn, pieces, n), 0);
        loop_poll(loop);
        if (++turn % 3 == 0)
            conn_resume(&far.conn);
        CHECK(turn < 1000000);
    }
    CHECK_INT(far.got.len, TOTAL);
    CHECK(memcmp(far.got.ptr, data, TOTAL) == 0);
    CHECK(near.drained > 0);
    part();
}

TEST(much_arrives_whole_at_a_reader_that_pauses)
{
    much_and_slowly(false);
    much_and_slowly(true);
}

static void
end_while_paused(bool tls)
{
    join(tls);
    conn_pause(&far.conn);
    send_text(&near, "last words");
    conn_linger(&near.conn);
    settle();
    CHECK_INT(far.eof, 0);
    conn_resume(&far.conn);
    TURN_UNTIL(loop, far.eof == 1);
    CHECK_STR(buf_str(&far.got), "last words");
    part();
    join(tls);
    conn_pause(&far.conn);
    settle();
    conn_linger(&near.conn);
    TURN_UNTIL(loop, far.eof == 1); /* nothing is before it */
    CHECK_STR(str_c(far.error), "");
    part();
}

TEST(end_comes_behind_the_bytes_before_it_while_paused)
{
    end_while_paused(false);
    end_while_paused(true);
}

static void
input_is_seen(bool tls)
{
    join(tls);
    settle(); /* session tickets are read */
    CHECK(!conn_has_input(&near.conn));
    conn_close(&far.conn);
    CHECK(conn_has_input(&near.conn));
    part();
    join(tls);
    settle();
    send_text(&far, "x");
    CHECK(conn_has_input(&near.conn));
    TURN_UNTIL(loop, near.got.len == 1);
    part();
}

TEST(input_is_seen_before_the_loop_comes_to_it)
{
    input_is_seen(false);
    input_is_seen(true);
}

TEST(cut_connection_is_no_end_with_tls)
{
    join(true);
    send_text(&near, "half");
    TURN_UNTIL(loop, far.got.len == 4);
    CHECK_INT(shutdown(near.conn.fd, SHUT_WR), 0);
    TURN_UNTIL(loop, far.error[0] != '\0');
    CHECK_STR(str_c(far.error), "connection closed without TLS's own end");
    CHECK_INT(far.eof, 0);
    part();
    join(true);
    conn_pause(&far.conn);
    CHECK_INT(shutdown(near.conn.fd, SHUT_WR), 0);
    TURN_UNTIL(loop, far.error[0] != '\0');
    CHECK_STR(str_c(far.error), "connection closed without TLS's own end");
    part();
}

TEST(what_is_sent_before_the_handshake_follows_it)
{
    join_as(true, true, STR("a.test"));
    send_text(&near, "early");
    CHECK_INT(conn_queued(&near.conn), 5);
    TURN_UNTIL(loop, far.got.len == 5 && near.drained == 1);
    CHECK_INT(conn_queued(&near.conn), 0);
    part();
}

TEST(handshakes_fail_in_words)
{
    join_as(true, false, STR("a.test"));
    TURN_UNTIL(loop, near.error[0] != '\0');
    CHECK_STR(str_c(near.error), "TLS handshake failed: certificate verify failed: self-signed certificate");
    CHECK_INT(near.connected, 0);
    part();
    join_as(true, true, STR("unknown.test"));
    TURN_UNTIL(loop, near.error[0] != '\0');
    CHECK_STR(str_c(near.error), "TLS handshake failed: tlsv1 unrecognized name");
    part();
    join_as(true, true, STR("a.test"));
    TURN_UNTIL(loop, far.conn.fd >= 0);
    conn_close(&far.conn);
    TURN_UNTIL(loop, near.error[0] != '\0');
    CHECK(str_starts(str_c(near.error), STR("TLS handshake failed: ")));
    part();
}

TEST(wildcards_cover_one_label_and_names_stay_in_the_directory)
{
    join_as(true, true, STR("x.Wild.test"));
    TURN_UNTIL(loop, near.connected == 1);
    part();
    static const char *const names[] = {"x.y.wild.test", "wild.test", "../a.test", "a.test/", ".a.test"};
    for (size_t i = 0; i < countof(names); i++) {
        join_as(true, true, str_c(names[i]));
        TURN_UNTIL(loop, near.error[0] != '\0' || near.connected == 1);
        if (near.connected != 0)
            fail_msg("%s has a certificate", names[i]);
        part();
    }
}

static void
write_pair(const char *name)
{
    char file[128];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);
    FILE *f;
    CHECK(key != NULL);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    CHECK(X509_sign(x, key, EVP_sha256()) > 0);
    snprintf(file, sizeof file, "%s/%s.crt", dir, name);
    f = fopen(file, "w");
    CHECK(f != NULL && PEM_write_X509(f, x) == 1);
    fclose(f);
    snprintf(file, sizeof file, "%s/%s.key", dir, name);
    f = fopen(file, "w");
    CHECK(f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

static int
set_up(void **state)
{
    struct listener_spec spec = {.path = path, .mode = -1};
    struct err e;
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/socket", dir);
    write_pair("a.test");
    write_pair("_.wild.test");
    loop = loop_new();
    certs = tls_certs_new(dir);
    server = tls_server_new(certs, 443, &e);
    client = tls_client_new();
    listener = listener_new(loop, &spec, on_accept, NULL, &e);
    CHECK(server != NULL && listener != NULL);
    CHECK(!tls_server_has_default(server));
    CHECK_INT(tls_certs_check(certs, 0), 0);
    return 0;
}

static int
tear_down(void **state)
{
    static const char *const names[] = {"a.test.crt", "a.test.key", "_.wild.test.crt", "_.wild.test.key"};
    (void)state;
    listener_free(listener);
    tls_server_free(server);
    tls_client_free(client);
    tls_certs_free(certs);
    loop_free(loop);
    for (size_t i = 0; i < countof(names); i++) {
        char file[128];
        snprintf(file, sizeof file, "%s/%s", dir, names[i]);
        unlink(file);
    }
    return rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_and_ends_are_told),
        cmocka_unit_test(much_arrives_whole_at_a_reader_that_pauses),
        cmocka_unit_test(end_comes_behind_the_bytes_before_it_while_paused),
        cmocka_unit_test(input_is_seen_before_the_loop_comes_to_it),
        cmocka_unit_test(cut_connection_is_no_end_with_tls),
        cmocka_unit_test(what_is_sent_before_the_handshake_follows_it),
        cmocka_unit_test(handshakes_fail_in_words),
        cmocka_unit_test(wildcards_cover_one_label_and_names_stay_in_the_directory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
