/* server.h - a scripted server on loopback ports, played by the test itself: nothing in it happens by itself.
 *
 *   server_port[i] listens;  server_accept(i) -> descriptor;  server_read(fd), server_write(fd, text), close(fd) */
#ifndef TESTS_ORIGIN_SERVER_H
#define TESTS_ORIGIN_SERVER_H

#include "io/turns.h"

#include "base/clock.h"
#include "io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVERS = 3 };

static struct loop *loop;
static int server_fd[SERVERS]; /* listening; -1: nobody does there */
static unsigned server_port[SERVERS];

static inline void
server_listen(int i)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int on = 1;
    server_fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(server_fd[i], SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    CHECK_INT(bind(server_fd[i], (void *)&in, sizeof in), 0);
    CHECK_INT(listen(server_fd[i], 10), 0);
    CHECK_INT(getsockname(server_fd[i], (void *)&in, &len), 0);
    server_port[i] = ntohs(in.sin_port);
}

static inline void
begin_servers(void)
{
    clock_fake(1000000);
    loop = loop_new();
    for (int i = 0; i < SERVERS; i++)
        server_listen(i);
}

static inline void
server_close(int i)
{
    if (server_fd[i] >= 0)
        close(server_fd[i]);
    server_fd[i] = -1;
}

static inline void
end_servers(void)
{
    loop_poll(loop);
    loop_free(loop);
    for (int i = 0; i < SERVERS; i++)
        server_close(i);
}

/* Somebody connects. */
static inline int
server_accept(int i)
{
    int fd = -1;
    TURN_UNTIL(loop, (fd = accept4(server_fd[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    return fd;
}

/* Nobody does. */
static inline void
server_is_left_alone(int i)
{
    for (int k = 0; k < 5; k++)
        loop_poll(loop);
    CHECK(accept4(server_fd[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) < 0);
}

/* What has come, once it ends in END. */
static inline const char *
server_read(int fd, const char *end)
{
    static char got[400000];
    size_t n = 0;
    TURN_UNTIL(loop, ({
                   ssize_t some = read(fd, got + n, sizeof got - 1 - n);
                   n += some > 0 ? (size_t)some : 0;
                   got[n] = '\0';
                   str_ends(str_of(got, n), str_c(end));
               }));
    return got;
}

static inline void
server_write(int fd, const char *text)
{
    CHECK_INT(write(fd, text, strlen(text)), strlen(text));
}

/* The other side closes. */
static inline void
server_is_closed(int fd)
{
    char c;
    ssize_t n = -1;
    TURN_UNTIL(loop, (n = read(fd, &c, 1)) >= 0 || errno != EAGAIN);
    CHECK(n <= 0);
    close(fd);
}

static inline void
server_reset(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

#endif
