/*
 * What the load programs share: clocks, sockets, dying.
 *
 * They end with the program that started them (PR_SET_PDEATHSIG), so that a measurement which is
 * killed leaves no load behind.
 */
#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME 160     /* samples and, in PCMU, octets in 20 ms */
#define HEADER 12     /* of RTP (RFC 3550, 5.1), without contributing sources */
#define PACKET (HEADER + FRAME)
#define TICK_US 20000
#define MAX_PACKET 512
#define BUCKET_US 100 /* of a histogram of times; its last bucket holds all that is longer */
#define BUCKETS 20001

static const char *program;

__attribute__((noreturn, unused)) static void die(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", program, what, errno ? strerror(errno) : "wrong value");
    exit(2);
}

static inline int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Die with the parent, and open as many files as may be. */
static inline void begin(const char *name) {
    struct rlimit limit;
    program = name;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) exit(2); /* it had gone before that */
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static inline struct sockaddr_in address(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    errno = 0;
    if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) die(ip);
    return a;
}

/* A bound, non-blocking UDP socket; -1 where the port is taken. */
static inline int udp(const char *ip, int port) {
    struct sockaddr_in a = address(ip, port);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket");
    if (bind(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline int port_of(int fd) {
    struct sockaddr_in a;
    socklen_t size = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &size)) die("getsockname");
    return ntohs(a.sin_port);
}

/* Packets that the kernel dropped because this socket's receive buffer was full. */
static inline long dropped_by(int fd) {
    uint32_t info[SK_MEMINFO_VARS];
    socklen_t size = sizeof info;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size)) return 0;
    return info[SK_MEMINFO_DROPS];
}

/* Times since the last mark. */
struct times {
    uint32_t counts[BUCKETS];
    long total;
    int64_t longest_us;
};

static inline void note_time(struct times *times, int64_t us) {
    int64_t bucket = us / BUCKET_US;
    times->counts[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    times->total++;
    if (us > times->longest_us) times->longest_us = us;
}

/* The time that a share of them does not exceed, to a bucket. */
static inline double time_ms(const struct times *times, double share) {
    long wanted = (long)(share * (double)times->total), seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += times->counts[i]) > wanted) return (i + 1) * BUCKET_US / 1e3;
    return 0;
}

/* Print "name": {"p50": ..., "p99": ..., "max": ...} [ms], and begin anew. */
static inline void tell_times(const char *name, struct times *times) {
    printf("\"%s\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}", name, time_ms(times, 0.5),
           time_ms(times, 0.99), (double)times->longest_us / 1e3);
    memset(times, 0, sizeof *times);
}

static inline int number_of(const char *text, int least, int most) {
    char *end;
    long value = strtol(text, &end, 10);
    errno = 0;
    if (*end || end == text || value < least || value > most) die(text);
    return (int)value;
}

static inline void put_header(uint8_t *packet, int marker, int type, uint16_t sequence,
                              uint32_t timestamp, uint32_t ssrc) {
    uint32_t words[2] = {htonl(timestamp), htonl(ssrc)};
    packet[0] = 0x80;
    packet[1] = (uint8_t)(marker << 7 | type);
    packet[2] = (uint8_t)(sequence >> 8);
    packet[3] = (uint8_t)sequence;
    memcpy(packet + 4, words, sizeof words);
}

#endif
