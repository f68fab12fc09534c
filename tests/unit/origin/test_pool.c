#include "server.h"

#include "origin/pool.h"

static struct pool *pool;
static int fds[10];

static void
on_connected(void *user)
{
    *(bool *)user = true;
}

static void
on_head(void *user, struct http1_head *head)
{
    (void)user, (void)head;
    fail();
}

static void
on_body(void *user, struct str piece)
{
    (void)user, (void)piece;
    fail();
}

static void
on_event(void *user)
{
    (void)user;
    fail();
}

static void
on_fail(void *user, bool no_answer, const char *why)
{
    (void)user, (void)no_answer, (void)why;
    fail();
}

static const struct h1client_ops ops = {on_connected, on_head, on_body, on_event, on_fail, on_event};

static void
begin(unsigned max_idle)
{
    begin_servers();
    pool = pool_new(loop, max_idle);
}

static void
end(void)
{
    pool_free(pool);
    end_servers();
}

/* A connected client; the server's end is FDS[I]. */
static struct h1client *
connected(int i)
{
    struct address a;
    struct h1client *c;
    bool done = false;
    CHECK(address_literal(STR("127.0.0.1"), (uint16_t)server_port[0], &a));
    c = h1client_new(loop, &a, NULL, 4096, &ops, &done);
    CHECK(c != NULL);
    TURN_UNTIL(loop, done);
    fds[i] = server_accept(0);
    return c;
}

static struct h1client *
take(const char *key)
{
    return pool_take(pool, str_c(key), &ops, NULL);
}

TEST(the_youngest_of_a_key_is_used_first)
{
    struct h1client *a, *b, *other;
    begin(10);
    a = connected(0);
    b = connected(1);
    other = connected(2);
    CHECK(take("k") == NULL);
    pool_put(pool, STR("k"), a);
    pool_put(pool, STR("k"), b);
    pool_put(pool, STR("other"), other);
    CHECK(take("k") == b);
    CHECK(take("k") == a);
    CHECK(take("k") == NULL);
    CHECK(take("other") == other);
    h1client_close(a);
    h1client_close(b);
    h1client_close(other);
    h1client_close(other);
    end();
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

TEST(the_oldest_makes_room)
{
    struct h1client *c[4];
    begin(2);
    for (int i = 0; i < 4; i++) {
        c[i] = connected(i);
        pool_put(pool, i < 2 ? STR("k") : STR("l"), c[i]);
    }
    server_is_closed(fds[0]);
    server_is_closed(fds[1]);
    CHECK(take("k") == NULL);
    CHECK(take("l") == c[3]);
    CHECK(take("l") == c[2]);
    h1client_close(c[2]);
    h1client_close(c[3]);
    end();
    close(fds[2]);
    close(fds[3]);
}

TEST(a_pool_of_one_and_a_pool_of_none)
{
    begin(1);
    pool_put(pool, STR("k"), connected(0));
    pool_put(pool, STR("k"), connected(1));
    server_is_closed(fds[0]);
    end();
    close(fds[1]);
    begin(0);
    pool_put(pool, STR("k"), connected(0));
    server_is_closed(fds[0]);
    CHECK(take("k") == NULL);
    end();
}

TEST(an_idle_connection_has_its_time)
{
    struct h1client *c;
    begin(10);
    c = connected(0);
    pool_put(pool, STR("k"), c);
    loop_advance(loop, 50000);
    CHECK(take("k") == c);
    loop_advance(loop, 100000); /* not while it is used */
    CHECK(!c->closed);
    pool_put(pool, STR("k"), c);
    loop_advance(loop, 54000);
    CHECK(!c->closed);
    loop_advance(loop, 2000);
    CHECK(take("k") == NULL);
    server_is_closed(fds[0]);
    end();
}

TEST(what_the_origin_closes_or_speaks_on_leaves_the_pool)
{
    begin(10);
    pool_put(pool, STR("k"), connected(0));
    close(fds[0]);
    for (int i = 0; i < 5; i++)
        loop_poll(loop);
    CHECK(take("k") == NULL);
    pool_put(pool, STR("k"), connected(0));
    server_reset(fds[0]);
    for (int i = 0; i < 5; i++)
        loop_poll(loop);
    CHECK(take("k") == NULL);
    pool_put(pool, STR("k"), connected(0));
    server_write(fds[0], "x");
    server_is_closed(fds[0]);
    CHECK(take("k") == NULL);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_youngest_of_a_key_is_used_first),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(a_pool_of_one_and_a_pool_of_none),
        cmocka_unit_test(an_idle_connection_has_its_time),
        cmocka_unit_test(what_the_origin_closes_or_speaks_on_leaves_the_pool),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
