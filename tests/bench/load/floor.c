/*
 * floor: what the kernel's UDP path alone costs.
 *
 * Receives and sends the very packets that a bridge would, one connected socket a leg, in ticks of
 * 20 ms: all sockets that have something are read empty, then each leg is sent a packet.  It looks
 * into none of them.  A bridge's load is judged by its ratio to this, measured in the same run.
 *
 * usage: floor LOCAL_IP LEGS SECONDS
 *
 * Prints {"ports": [...]}, reads the ports of the other end from standard input and begins.  A line
 * "mark" answers with the counters so far and how long ticks took since the last mark; the end of the
 * input, or SECONDS, ends it.
 */
#include "load.h"

#include <fcntl.h>
#include <sched.h>

#define LATE_TICKS 3 /* as the bridge: so many are made up, what is beyond is left out */

static int count;
static int *sockets;
static long received, sent, errors, ticks, jumped;
static struct times took;

static void tell(void) {
    long dropped = 0;
    for (int i = 0; i < count; i++) dropped += dropped_by(sockets[i]);
    printf("{\"at\": %.6f, \"cpu_seconds\": %.4f, \"received\": %ld, \"sent\": %ld, "
           "\"errors\": %ld, \"ticks\": %ld, \"jumped\": %ld, \"dropped\": %ld, ",
           (double)now_us() / 1e6, cpu_seconds(), received, sent, errors, ticks, jumped, dropped);
    tell_times("tick_ms", &took);
    printf("}\n");
    fflush(stdout);
}

static void tick(int poll, struct epoll_event *ready, uint8_t *packets, uint8_t *out) {
    uint8_t *row = packets;
    int n = epoll_wait(poll, ready, count, 0), left = n;
    /* One packet a leg and turn, as many turns as there are packets; the second mostly finds none. */
    for (int turn = 0; turn < 16 && left > 0; turn++) {
        for (int i = 0; i < left; i++) {
            if (recv(ready[i].data.fd, row, MAX_PACKET, 0) > 0) received++;
            row = row == packets + (size_t)(count - 1) * MAX_PACKET ? packets : row + MAX_PACKET;
        }
        left = epoll_wait(poll, ready, count, 0);
    }
    for (int i = 0; i < count; i++) {
        uint16_t sequence = (uint16_t)ticks;
        put_header(out + (size_t)i * PACKET, 0, 0, sequence, (uint32_t)ticks * FRAME, (uint32_t)i);
        if (send(sockets[i], out + (size_t)i * PACKET, PACKET, 0) == PACKET) sent++;
        else errors++;
    }
    ticks++;
}

int main(int arguments, char **argument) {
    begin("floor");
    if (arguments != 4) {
        fprintf(stderr, "usage: floor LOCAL_IP LEGS SECONDS\n");
        return 2;
    }
    count = number_of(argument[2], 1, 15000);
    int seconds = number_of(argument[3], 1, 3600);
    sockets = calloc((size_t)count, sizeof *sockets);
    struct epoll_event *ready = calloc((size_t)count, sizeof *ready);
    uint8_t *packets = calloc((size_t)count, MAX_PACKET), *out = calloc((size_t)count, PACKET);
    int poll = epoll_create1(0);
    if (!sockets || !ready || !packets || !out || poll < 0) die("memory");
    printf("{\"ports\": [");
    for (int i = 0; i < count; i++) {
        if ((sockets[i] = udp(argument[1], 0)) < 0) die("no free port");
        printf("%s%d", i ? "," : "", port_of(sockets[i]));
    }
    printf("]}\n");
    fflush(stdout);
    memset(out, 0xD5, (size_t)count * PACKET);
    for (int i = 0; i < count; i++) {
        int port;
        if (scanf("%d", &port) != 1) return 2;
        struct sockaddr_in peer = address(argument[1], port);
        if (connect(sockets[i], (struct sockaddr *)&peer, sizeof peer)) die("connect");
        struct epoll_event event = {.events = EPOLLIN, .data.fd = sockets[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, sockets[i], &event)) die("epoll");
    }
    struct sched_param priority = {.sched_priority = 10}; /* the media process's own */
    sched_setscheduler(0, SCHED_FIFO, &priority);
    if (fcntl(0, F_SETFL, O_NONBLOCK)) die("standard input");
    int64_t due = now_us(), end = due + (int64_t)seconds * 1000000;
    char line[64];
    while (due < end) {
        int64_t began = now_us(), owed = (began - due) / TICK_US;
        if (owed > LATE_TICKS) jumped += owed - LATE_TICKS, due += (owed - LATE_TICKS) * TICK_US;
        tick(poll, ready, packets, out);
        note_time(&took, now_us() - began);
        ssize_t n = read(0, line, sizeof line);
        if (!n) break;
        for (ssize_t i = 0; i < n; i++)
            if (line[i] == 'm') tell();
        due += TICK_US;
        struct timespec until = {due / 1000000, due % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
    }
    tell();
    return 0;
}
