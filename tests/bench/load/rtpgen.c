/*
 * rtpgen: the far ends of many legs in one process, a socket each.
 *
 * Sends each leg a packet of 160 octets every 20 ms, the legs spread evenly over the 20 ms as callers
 * are, takes in all that comes, and counts what is missing.  What it fails at itself is counted
 * apart: packets it sent late, could not send, or let its own receive buffers drop.
 *
 * usage: rtpgen LOCAL_IP LEGS SOUND SAMPLE RECORDING SECONDS TYPE
 *   SOUND      file of encoded sound, the same length for every leg, one leg after the other; played
 *              in turns
 *   SAMPLE     so many legs, from the first on, are recorded
 *   RECORDING  file for them: SECONDS * 8000 octets each, by RTP time stamp; 0xFF where nothing came
 *   SECONDS    the longest it runs
 *   TYPE       RTP payload type of what is sent
 *
 * Prints {"ports": [...]}, reads the ports of the other end (LEGS numbers) from standard input and
 * begins.  A line "mark" answers with the counters so far, and for the time since the last mark with
 * the packets that were to be received (by their time stamps, so that ticks left out are missed),
 * those that were, the fewest and the most of a leg, and the times between a leg's packets, seen at a
 * look every millisecond; "stop" ends the sending but not the counting; "gaps" answers with each
 * leg's longest time between two packets since the last one, how many legs got none for 200 ms, and
 * how often a leg's synchronisation source changed; "to LEG PORT" sends a leg (from 0 on) elsewhere,
 * whose stream is a new one; the end of the input ends it all.
 */
#include "load.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define STEP_US 1000 /* legs due within a millisecond are sent together */
#define LATE_US 10000
#define SILENT_US 200000

struct leg {
    int fd;
    uint16_t sequence, expect;
    uint32_t timestamp, ssrc, first_timestamp, last_timestamp, marked_timestamp, position;
    uint32_t received, marked, missing, odd;
    uint32_t from_ssrc;
    int64_t last_us, longest_us;
    int fresh;
};

static struct leg *legs;
static int count, sample, seconds;
static const uint8_t *sound;
static uint32_t sound_length;
static uint8_t *recording;
static long changed;
static long sent, send_errors, refused, late;
static int64_t latest_us;
static int payload_type;
static struct times gaps;

static void take(struct leg *leg, const uint8_t *packet, ssize_t size, int64_t now) {
    uint32_t words[2];
    /* RTCP (RFC 5761, section 4) of a leg whose odd port is ours by chance: the first reports come
     * before this socket is connected, which takes any source until then. */
    if (size < HEADER || packet[0] != 0x80 || (packet[1] >= 192 && packet[1] <= 223)) {
        leg->odd++;
        return;
    }
    uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]);
    memcpy(words, packet + 4, sizeof words);
    uint32_t timestamp = ntohl(words[0]);
    if (leg->received && !leg->fresh && ntohl(words[1]) != leg->from_ssrc) changed++;
    leg->from_ssrc = ntohl(words[1]);
    if (!leg->received || leg->fresh) {
        leg->fresh = 0;
        leg->first_timestamp = timestamp;
        leg->last_timestamp = leg->marked_timestamp = timestamp - FRAME;
    } else {
        int16_t ahead = (int16_t)(sequence - leg->expect);
        if (ahead > 0) leg->missing += (uint32_t)ahead;
        if (ahead < 0) leg->odd++; /* on loopback nothing overtakes: twice, or begun anew */
        note_time(&gaps, now - leg->last_us);
        if (now - leg->last_us > leg->longest_us) leg->longest_us = now - leg->last_us;
    }
    leg->received++;
    leg->last_timestamp = timestamp;
    leg->expect = (uint16_t)(sequence + 1);
    leg->last_us = now;
    long row = leg - legs;
    uint32_t at = timestamp - leg->first_timestamp, length = (uint32_t)(size - HEADER);
    if (row < sample && length <= FRAME && at <= (uint32_t)seconds * 8000 - FRAME)
        memcpy(recording + row * seconds * 8000 + at, packet + HEADER, length);
}

static void drain(int poll) {
    struct epoll_event ready[256];
    uint8_t packet[MAX_PACKET];
    int n;
    /* Level-triggered, a packet of each at a time: who has more is ready again in a later turn. */
    for (int turn = 0; turn < count / 64 + 16; turn++) {
        n = epoll_wait(poll, ready, 256, 0);
        int64_t now = now_us();
        for (int i = 0; i < n; i++) {
            struct leg *leg = ready[i].data.ptr;
            ssize_t size = recv(leg->fd, packet, sizeof packet, 0);
            if (size >= 0) take(leg, packet, size, now);
            else if (errno == ECONNREFUSED) refused++;
        }
        if (n <= 0) return;
    }
}

static void send_one(struct leg *leg) {
    uint8_t packet[PACKET];
    put_header(packet, leg->sequence == 0, payload_type, leg->sequence, leg->timestamp, leg->ssrc);
    memcpy(packet + HEADER, sound + (size_t)(leg - legs) * sound_length + leg->position, FRAME);
    leg->position = (leg->position + FRAME) % sound_length;
    leg->sequence++;
    leg->timestamp += FRAME;
    if (send(leg->fd, packet, sizeof packet, 0) == (ssize_t)sizeof packet) sent++;
    else if (errno == ECONNREFUSED) refused++;
    else send_errors++;
}

static void tell(void) {
    long received = 0, missing = 0, odd = 0, dropped = 0;
    long expected = 0, window = 0;
    uint32_t least = UINT32_MAX, most = 0;
    for (int i = 0; i < count; i++) {
        struct leg *leg = &legs[i];
        received += leg->received, missing += leg->missing, odd += leg->odd;
        dropped += dropped_by(leg->fd);
        uint32_t since = leg->received - leg->marked;
        if (since < least) least = since;
        if (since > most) most = since;
        leg->marked = leg->received;
        window += since;
        expected += (leg->last_timestamp - leg->marked_timestamp) / FRAME;
        leg->marked_timestamp = leg->last_timestamp;
    }
    printf("{\"at\": %.6f, \"sent\": %ld, \"received\": %ld, \"missing\": %ld, \"odd\": %ld, "
           "\"received_least\": %u, \"received_most\": %u, "
           "\"window_expected\": %ld, \"window_received\": %ld, "
           "\"late\": %ld, \"latest_ms\": %.1f, \"send_errors\": %ld, \"refused\": %ld, "
           "\"dropped\": %ld, \"cpu_seconds\": %.3f",
           (double)now_us() / 1e6, sent, received, missing, odd, least, most, expected, window,
           late, (double)latest_us / 1e3, send_errors, refused, dropped, cpu_seconds());
    latest_us = 0;
    printf(", ");
    tell_times("interarrival_ms", &gaps);
    printf("}\n");
    fflush(stdout);
}

static void tell_gaps(void) {
    int64_t now = now_us();
    int silent = 0;
    printf("{\"gaps_ms\": [");
    for (int i = 0; i < count; i++) {
        struct leg *leg = &legs[i];
        if (now - leg->last_us > SILENT_US) silent++;
        printf("%s%.1f", i ? "," : "", (double)leg->longest_us / 1e3);
        leg->longest_us = 0;
    }
    printf("], \"silent\": %d, \"sources_changed\": %ld}\n", silent, changed);
    fflush(stdout);
}

static void obey(const char *ip, char *line) {
    int leg, port;
    if (!strcmp(line, "mark")) tell();
    else if (!strcmp(line, "gaps")) tell_gaps();
    else if (sscanf(line, "to %d %d", &leg, &port) == 2 && leg >= 0 && leg < count) {
        struct sockaddr_in peer = address(ip, port);
        if (connect(legs[leg].fd, (struct sockaddr *)&peer, sizeof peer)) die("connect");
        legs[leg].fresh = 1;
    }
}

static void open_files(const char *sound_path, const char *recording_path) {
    struct stat status;
    int fd = open(sound_path, O_RDONLY);
    if (fd < 0 || fstat(fd, &status)) die(sound_path);
    sound_length = (uint32_t)(status.st_size / count);
    errno = 0;
    if (sound_length < FRAME || sound_length % FRAME) die("SOUND: not whole frames for each leg");
    sound = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (sound == MAP_FAILED) die(sound_path);
    close(fd);
    size_t size = (size_t)sample * (size_t)seconds * 8000;
    if (!size) return;
    fd = open(recording_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size)) die(recording_path);
    recording = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (recording == MAP_FAILED) die(recording_path);
    close(fd);
    memset(recording, 0xFF, size); /* touches every page before the clock runs */
}

int main(int arguments, char **argument) {
    begin("rtpgen");
    if (arguments != 8) {
        fprintf(stderr, "usage: rtpgen LOCAL_IP LEGS SOUND SAMPLE RECORDING SECONDS TYPE\n");
        return 2;
    }
    const char *ip = argument[1];
    count = number_of(argument[2], 1, 15000);
    sample = number_of(argument[4], 0, count);
    seconds = number_of(argument[6], 1, 3600);
    payload_type = number_of(argument[7], 0, 127);
    open_files(argument[3], argument[5]);
    legs = calloc((size_t)count, sizeof *legs);
    int poll = epoll_create1(0);
    if (!legs || poll < 0) die("memory");
    printf("{\"ports\": [");
    for (int i = 0; i < count; i++) {
        struct leg *leg = &legs[i];
        leg->fd = udp(ip, 0);
        if (leg->fd < 0) die("no free port");
        leg->ssrc = 0x10000u + (uint32_t)i;
        leg->timestamp = 2654435761u * (uint32_t)i; /* somewhere in 32 bits */
        printf("%s%d", i ? "," : "", port_of(leg->fd));
    }
    printf("]}\n");
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        int port;
        if (scanf("%d", &port) != 1) return 2; /* the other end did not come about */
        struct sockaddr_in peer = address(ip, port);
        if (connect(legs[i].fd, (struct sockaddr *)&peer, sizeof peer)) die("connect");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &legs[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, legs[i].fd, &event)) die("epoll");
    }
    /* As the bridge asks for it too: without, what the machine does beside would be in the counts. */
    struct sched_param priority = {.sched_priority = 5};
    sched_setscheduler(0, SCHED_FIFO, &priority);
    if (fcntl(0, F_SETFL, O_NONBLOCK)) die("standard input");
    int64_t begun = now_us() + STEP_US, end = begun + (int64_t)seconds * 1000000;
    int64_t frame = 0; /* leg `next` is sent its packet number `frame` next */
    int next = 0, sending = 1;
    char input[1024], line[64];
    size_t length = 0;
    for (int64_t step = begun; step < end; step += STEP_US) {
        struct timespec until = {step / 1000000, step % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
        int64_t now = now_us();
        while (sending) {
            int64_t due = begun + frame * TICK_US + (int64_t)next * TICK_US / count;
            if (due > now) break;
            if (now - due > LATE_US) late++;
            if (now - due > latest_us) latest_us = now - due;
            send_one(&legs[next]);
            if (++next == count) next = 0, frame++;
            if (!(next & 63)) now = now_us();
        }
        drain(poll);
        ssize_t n = read(0, input, sizeof input);
        if (!n) break;
        for (ssize_t i = 0; i < n; i++) {
            if (input[i] != '\n') {
                if (length < sizeof line - 1) line[length++] = input[i];
                continue;
            }
            line[length] = 0, length = 0;
            if (!strcmp(line, "stop")) sending = 0;
            else obey(ip, line);
        }
    }
    drain(poll);
    tell();
    return 0;
}
