/*
 * oddgen: the far end of one leg that does what no leg should.
 *
 * Sends a PCMU packet every 20 ms as it should, and beside it, from the first "begin" on:
 *   storm  20,000 packets a second that are valid, each as if it were next;
 *   late   5,000 packets a second, one to two seconds behind;
 *   fast   no more than it should, but a packet every 5 ms.
 *
 * usage: oddgen LOCAL_IP KIND SECONDS
 *
 * Prints {"ports": [...]}, reads the port of the other end from standard input and begins.  "b"
 * begins, "e" ends what is odd and answers {"odd": packets sent of that kind}; the end of the input,
 * or SECONDS, ends it.
 */
#include "load.h"

#include <fcntl.h>

#define STEP_US 1000
#define STORM_A_STEP 20
#define LATE_A_STEP 5
#define FAST_STEPS 5
#define SSRC 0x0ddu
#define LEAST_BEHIND 50

static int fd;
static uint16_t sequence = 1000;
static uint32_t timestamp = 1000 * FRAME;
static long odd;

static void put(uint16_t number, uint32_t at) {
    uint8_t packet[PACKET];
    put_header(packet, 0, 0, number, at, SSRC);
    memset(packet + HEADER, 0x55 + number % 7, FRAME);
    if (send(fd, packet, sizeof packet, 0) < 0) errno = 0;
}

static void put_next(void) {
    put(sequence++, timestamp);
    timestamp += FRAME;
}

int main(int arguments, char **argument) {
    begin("oddgen");
    if (arguments != 4) {
        fprintf(stderr, "usage: oddgen LOCAL_IP storm|late|fast SECONDS\n");
        return 2;
    }
    char kind = argument[2][0];
    int seconds = number_of(argument[3], 1, 3600), port, running = 0;
    if ((fd = udp(argument[1], 0)) < 0) die("no free port");
    printf("{\"ports\": [%d]}\n", port_of(fd));
    fflush(stdout);
    if (scanf("%d", &port) != 1) return 2;
    struct sockaddr_in peer = address(argument[1], port);
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer)) die("connect");
    if (fcntl(0, F_SETFL, O_NONBLOCK)) die("standard input");
    int64_t begun = now_us(), end = begun + (int64_t)seconds * 1000000;
    long steps = 0;
    char line[64];
    for (int64_t step = begun; step < end; step += STEP_US, steps++) {
        struct timespec until = {step / 1000000, step % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
        int every = running && kind == 'f' ? FAST_STEPS : TICK_US / STEP_US;
        if (steps % every == 0) put_next(), odd += running && kind == 'f';
        if (running && kind == 's')
            for (int i = 0; i < STORM_A_STEP; i++) put_next(), odd++;
        if (running && kind == 'l')
            for (int i = 0; i < LATE_A_STEP; i++, odd++) {
                uint32_t behind = LEAST_BEHIND + (uint32_t)((steps * LATE_A_STEP + i) % 50);
                put((uint16_t)(sequence - behind), timestamp - behind * FRAME);
            }
        ssize_t n = read(0, line, sizeof line);
        if (!n) break;
        for (ssize_t i = 0; i < n; i++) {
            if (line[i] == 'b') running = 1, odd = 0;
            if (line[i] == 'e') {
                running = 0;
                printf("{\"odd\": %ld}\n", odd);
                fflush(stdout);
            }
        }
    }
    return 0;
}
