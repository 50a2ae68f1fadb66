/*
 * callgen: many telephone calls from one core.
 *
 * Places calls at a steady rate against the bridge, each with its own RTP socket pair: INVITE, ACK,
 * 20 ms PCMU packets all the while, a PIN keyed as telephone-events (RFC 4733), BYE at the end of
 * its time.  It measures from outside what a caller feels: INVITE to 200, and the PIN's last key to
 * the first sound after it (the bridge is silent while it looks a PIN up; what follows is the
 * prompt that says "you are joining", or a refusal: the caller of this program tells them apart by
 * the bridge's records).
 *
 * usage: callgen BRIDGE_IP PORT NUMBER PINS CALLS RATE STAY_MS LOCAL_IP [hold]
 *   PINS    file with one PIN a line; call i keys line i modulo their number
 *   STAY_MS from INVITE to BYE
 *   hold    calls stay until standard input has a line or ends; {"up": n} is printed when all are in
 *
 * Prints one JSON object.  SIP is read by plain string search: the bridge under test is the only
 * peer, and a message it garbles shows as a lost call.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum state { UNUSED, INVITED, UP, BYE_SENT, DONE, FAILED };

/* Key timing: what a quick finger does, and well above RFC 4733's minimum of 40 ms. */
#define KEY_ON 4    /* packets of 20 ms while a key is down */
#define KEY_ENDS 3  /* packets with the E bit */
#define KEY_OFF 2   /* packets of sound between keys */
#define FIRST_KEY_MS 1200 /* from the 200 to the first key: the greeting has begun by then */
#define LOUD 400    /* a sample of this size is sound (prompts peak above 8000) */
#define LOUD_SAMPLES 4

struct call {
    enum state state;
    int index, rtp, rtcp, tries, status;
    int64_t invited, resent, answered, last_key, admitted, bye_at, due;
    uint32_t ssrc, timestamp, event_timestamp;
    uint16_t sequence, expect;
    int event_type, key, step, heard_any;
    uint32_t received, lost;
    char tag[64], contact[160], pin[24];
    struct sockaddr_in remote;
};

static struct call *calls;
static int total, sip_socket, local_port, stay_ms, held;
static char bridge_ip[64], local_ip[64], number[64];
static struct sockaddr_in bridge;
static int16_t expand[256];
static uint8_t sound[8][160];
static long sent_packets, send_errors, retransmits, late_max_us, dropped;
static unsigned run_id;

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int mulaw(int code) {
    int u = ~code & 255, value = ((((u & 15) << 3) + 132) << ((u & 112) >> 4)) - 132;
    return u & 128 ? -value : value;
}

static uint8_t nearest(int sample) {
    int best = 255, distance = 1 << 20;
    for (int code = 0; code < 256; code++) {
        int d = abs(mulaw(code) - sample);
        if (d < distance) distance = d, best = code;
    }
    return best;
}

static void die(const char *what) {
    fprintf(stderr, "callgen: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int udp(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket");
    inet_pton(AF_INET, ip, &a.sin_addr);
    if (bind(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int port_of(int fd) {
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    getsockname(fd, (struct sockaddr *)&a, &n);
    return ntohs(a.sin_port);
}

static void open_media(struct call *c) {
    static int next = 30000;
    for (int tries = 0; tries < 16000; tries++) {
        next = next >= 60000 ? 30000 : next + 2;
        if ((c->rtp = udp(local_ip, next)) < 0) continue;
        if ((c->rtcp = udp(local_ip, next + 1)) >= 0) return;
        close(c->rtp);
    }
    die("no media port");
}

static void say(const char *text, int length) {
    if (sendto(sip_socket, text, length, 0, (struct sockaddr *)&bridge, sizeof bridge) < 0)
        send_errors++;
}

static void request(struct call *c, const char *method, int cseq, const char *body) {
    char text[2560], to[256], uri[256];
    int dialog = c->tag[0] != 0;
    if (dialog) snprintf(uri, sizeof uri, "%s", c->contact);
    else snprintf(uri, sizeof uri, "sip:%s@%s:%d", number, bridge_ip, ntohs(bridge.sin_port));
    snprintf(to, sizeof to, "<sip:%s@%s>%s%s", number, bridge_ip, dialog ? ";tag=" : "", c->tag);
    int n = snprintf(text, sizeof text,
        "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:%d;rport;branch=z9hG4bK%x-%d-%s%d\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:load%d@%s>;tag=f%d\r\nTo: %s\r\n"
        "Call-ID: %x-%d-load\r\nCSeq: %d %s\r\nContact: <sip:load@%s:%d>\r\n"
        "%sContent-Length: %zu\r\n\r\n%s",
        method, uri, local_ip, local_port, run_id, c->index, method, cseq, c->index, local_ip,
        c->index, to, run_id, c->index, cseq, method, local_ip, local_port,
        *body ? "Content-Type: application/sdp\r\n" : "", strlen(body), body);
    say(text, n);
}

static void invite(struct call *c) {
    char body[512];
    snprintf(body, sizeof body,
        "v=0\r\no=- %d 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
        "m=audio %d RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n",
        c->index, local_ip, local_ip, port_of(c->rtp));
    request(c, "INVITE", 1, body);
}

static void finish(struct call *c, enum state how) {
    c->state = how;
    if (c->rtp >= 0) close(c->rtp), close(c->rtcp), c->rtp = c->rtcp = -1;
}

static char *header(char *text, const char *name, char *value, int size) {
    char *at = strcasestr(text, name);
    *value = 0;
    if (!at) return NULL;
    at += strlen(name);
    while (*at == ' ') at++;
    int n = strcspn(at, "\r\n");
    snprintf(value, size, "%.*s", n, at);
    return value;
}

static void answered(struct call *c, char *text, int64_t now) {
    char value[512];
    if (c->state == INVITED) {
        char *tag = header(text, "\nTo:", value, sizeof value) ? strstr(value, "tag=") : NULL;
        if (tag) snprintf(c->tag, sizeof c->tag, "%.*s", (int)strcspn(tag + 4, "; "), tag + 4);
        char *uri = header(text, "\nContact:", value, sizeof value) ? strchr(value, '<') : NULL;
        if (uri) snprintf(c->contact, sizeof c->contact, "%.*s", (int)strcspn(uri + 1, ">"), uri + 1);
        char *sdp = strstr(text, "\r\n\r\n"), *m = sdp ? strstr(sdp, "m=audio ") : NULL;
        char *at = sdp ? strstr(sdp, "c=IN IP4 ") : NULL, *event;
        if (!m || !at || !c->tag[0]) {
            c->status = 1;
            finish(c, FAILED);
            return;
        }
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at + 9, "\r\n"), at + 9);
        c->remote = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(m + 8))};
        inet_pton(AF_INET, value, &c->remote.sin_addr);
        c->event_type = 101;
        for (event = sdp; (event = strstr(event, "a=rtpmap:")); event += 9)
            if (strstr(event, "telephone-event") &&
                strstr(event, "telephone-event") < event + strcspn(event, "\r\n"))
                c->event_type = atoi(event + 9);
        if (connect(c->rtp, (struct sockaddr *)&c->remote, sizeof c->remote)) die("connect");
        c->state = UP;
        c->answered = now;
        c->due = now + (c->index * 7919 % 20) * 1000;
        c->key = -1;
    }
    request(c, "ACK", 1, "");
}

static void sip_in(void) {
    char text[8192], value[512];
    for (;;) {
        ssize_t n = recv(sip_socket, text, sizeof text - 1, 0);
        if (n <= 0) return;
        text[n] = 0;
        if (!header(text, "\nCall-ID:", value, sizeof value)) continue;
        unsigned run;
        int index;
        if (sscanf(value, "%x-%d-load", &run, &index) != 2 || run != run_id || index < 0 ||
            index >= total)
            continue;
        struct call *c = &calls[index];
        int64_t now = now_us();
        if (!strncmp(text, "SIP/2.0 ", 8)) {
            int status = atoi(text + 8);
            char cseq[64];
            header(text, "\nCSeq:", cseq, sizeof cseq);
            if (strstr(cseq, "INVITE")) {
                if (c->state == INVITED) c->resent = now + 32000000;
                if (status >= 200 && status < 300) answered(c, text, now);
                else if (status >= 300 && c->state == INVITED) c->status = status, finish(c, FAILED);
            } else if (strstr(cseq, "BYE") && c->state == BYE_SENT)
                finish(c, DONE);
            continue;
        }
        if (!strncmp(text, "ACK", 3)) continue;
        /* A request of the bridge: answer with its own headers. */
        char reply[4096], one[512];
        int length = snprintf(reply, sizeof reply, "SIP/2.0 200 OK\r\n");
        static const char *names[] = {"\nVia:", "\nFrom:", "\nTo:", "\nCall-ID:", "\nCSeq:"};
        for (int i = 0; i < 5; i++) {
            header(text, names[i], one, sizeof one);
            length += snprintf(reply + length, sizeof reply - length, "%s %s\r\n", names[i] + 1, one);
        }
        length += snprintf(reply + length, sizeof reply - length, "Content-Length: 0\r\n\r\n");
        say(reply, length);
        if (!strncmp(text, "BYE", 3) && (c->state == UP || c->state == BYE_SENT)) {
            if (c->state == UP) dropped++;
            finish(c, c->state == UP ? FAILED : DONE);
        }
    }
}

static void rtp_in(struct call *c) {
    uint8_t packet[512];
    for (;;) {
        ssize_t n = recv(c->rtp, packet, sizeof packet, 0);
        if (n < 12) return;
        uint16_t sequence = packet[2] << 8 | packet[3];
        if (c->received++ && sequence != c->expect) c->lost += (uint16_t)(sequence - c->expect);
        c->expect = sequence + 1;
        if (!c->last_key || c->admitted || (packet[1] & 127) != 0) continue;
        int loud = 0;
        for (int i = 12; i < n; i++) loud += abs(expand[packet[i]]) > LOUD;
        if (loud >= LOUD_SAMPLES) c->admitted = now_us();
    }
}

static void rtp_out(struct call *c, int64_t now) {
    uint8_t packet[172] = {0x80};
    int size = 172, type = 0, marker = 0;
    uint32_t timestamp = c->timestamp;
    int keys = strlen(c->pin), slot = KEY_ON + KEY_ENDS + KEY_OFF;
    if (c->key < 0 && now - c->answered >= FIRST_KEY_MS * 1000L) c->key = 0, c->step = 0;
    if (c->key >= 0 && c->key < keys && c->step < KEY_ON + KEY_ENDS) {
        static const char order[] = "0123456789*#";
        int end = c->step >= KEY_ON, duration = ((end ? KEY_ON - 1 : c->step) + 1) * 160;
        if (!c->step) c->event_timestamp = c->timestamp, marker = 1;
        if (!c->step && c->key == keys - 1) c->last_key = now;
        type = c->event_type, timestamp = c->event_timestamp, size = 16;
        packet[12] = strchr(order, c->pin[c->key]) - order;
        packet[13] = (end ? 0x80 : 0) | 10;
        packet[14] = duration >> 8, packet[15] = duration;
    } else
        memcpy(packet + 12, sound[c->index & 7], 160);
    if (c->key >= 0 && c->key < keys && ++c->step == slot) c->step = 0, c->key++;
    packet[1] = marker << 7 | type;
    packet[2] = c->sequence >> 8, packet[3] = c->sequence;
    uint32_t words[2] = {htonl(timestamp), htonl(c->ssrc)};
    memcpy(packet + 4, words, 8);
    c->sequence++, c->timestamp += 160;
    if (send(c->rtp, packet, size, 0) < 0) send_errors++;
    else sent_packets++;
}

int main(int count, char **arguments) {
    if (count < 9) {
        fprintf(stderr, "usage: callgen BRIDGE_IP PORT NUMBER PINS CALLS RATE STAY_MS LOCAL_IP [hold]\n");
        return 2;
    }
    snprintf(bridge_ip, sizeof bridge_ip, "%s", arguments[1]);
    bridge = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(arguments[2]))};
    inet_pton(AF_INET, bridge_ip, &bridge.sin_addr);
    snprintf(number, sizeof number, "%s", arguments[3]);
    total = atoi(arguments[5]);
    double rate = atof(arguments[6]);
    stay_ms = atoi(arguments[7]);
    snprintf(local_ip, sizeof local_ip, "%s", arguments[8]);
    held = count > 9 && !strcmp(arguments[9], "hold");
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    static char pins[100000][24];
    int pin_count = 0;
    FILE *file = fopen(arguments[4], "r");
    if (!file) die(arguments[4]);
    while (pin_count < 100000 && fscanf(file, "%23s", pins[pin_count]) == 1) pin_count++;
    fclose(file);
    if (!pin_count) die("no PIN in the file");
    for (int code = 0; code < 256; code++) expand[code] = mulaw(code);
    for (int kind = 0; kind < 8; kind++)
        for (int i = 0, phase; i < 160; i++) {
            /* A triangle of a whole number of periods a packet: no clicks, no libm; -36 dBFS. */
            phase = i * (kind + 4) % 160;
            sound[kind][i] = nearest(((phase < 80 ? phase : 160 - phase) - 40) * 22);
        }
    run_id = (unsigned)now_us() ^ getpid() << 16;
    calls = calloc(total, sizeof *calls);
    sip_socket = udp(local_ip, 0);
    local_port = port_of(sip_socket);
    int size = 8 << 20;
    setsockopt(sip_socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll, EPOLL_CTL_ADD, sip_socket, &event);
    if (held) {
        fcntl(0, F_SETFL, O_NONBLOCK);
    }
    int64_t begun = now_us(), next_check = begun;
    int started = 0, live = 0, peak = 0, over = 0, told = 0;
    while (!over) {
        int64_t now = now_us();
        while (started < total && now >= begun + (int64_t)(started * 1e6 / rate)) {
            struct call *c = &calls[started];
            c->index = started++;
            snprintf(c->pin, sizeof c->pin, "%s", pins[c->index % pin_count]);
            c->ssrc = c->index * 2654435761u + run_id;
            c->sequence = c->index * 31;
            c->timestamp = c->index * 7777;
            open_media(c);
            event.data.ptr = c;
            epoll_ctl(poll, EPOLL_CTL_ADD, c->rtp, &event);
            c->state = INVITED;
            c->invited = now_us();
            c->resent = c->invited + 500000;
            c->bye_at = c->invited + stay_ms * 1000L;
            invite(c);
        }
        int64_t next = now + 5000;
        live = 0, over = started == total;
        for (int i = 0; i < started; i++) {
            struct call *c = &calls[i];
            if (c->state == DONE || c->state == FAILED || c->state == UNUSED) continue;
            over = 0;
            if (c->state == INVITED && now >= c->resent) {
                if (++c->tries > 6) c->status = 408, finish(c, FAILED);
                else retransmits++, c->resent = now + (500000L << c->tries), invite(c);
            }
            if (c->state == BYE_SENT && now >= c->resent) {
                if (++c->tries > 5) finish(c, DONE);
                else retransmits++, c->resent = now + 500000, request(c, "BYE", 2, "");
            }
            if (c->state != UP) continue;
            live++;
            if (now >= c->due) {
                if (now - c->due > late_max_us) late_max_us = now - c->due;
                rtp_out(c, now);
                c->due += 20000;
            }
            if (c->due < next) next = c->due;
            if (!held && now >= c->bye_at) {
                request(c, "BYE", 2, "");
                c->state = BYE_SENT, c->tries = 0, c->resent = now + 500000;
            }
        }
        if (live > peak) peak = live;
        if (held) {
            char line[16];
            if (!told && started == total && now >= next_check) {
                next_check = now + 200000;
                int waiting = 0;
                for (int i = 0; i < total; i++)
                    waiting += calls[i].state == INVITED || (calls[i].state == UP && !calls[i].admitted);
                if (!waiting) told = 1, printf("{\"up\": %d}\n", live), fflush(stdout);
            }
            if (read(0, line, sizeof line) >= 0) {
                held = 0;
                for (int i = 0; i < total; i++) calls[i].bye_at = now;
            }
        }
        struct epoll_event ready[256];
        int64_t wait = next - now_us();
        int n = epoll_wait(poll, ready, 256, wait > 0 ? (wait + 999) / 1000 : 0);
        for (int i = 0; i < n; i++) {
            struct call *c = ready[i].data.ptr;
            if (!c) sip_in();
            else if (c->rtp >= 0) rtp_in(c);
        }
    }
    int up = 0, admitted = 0, failed = 0;
    long received = 0, lost = 0;
    for (int i = 0; i < total; i++) {
        up += calls[i].answered > 0, admitted += calls[i].admitted > 0;
        failed += calls[i].state == FAILED;
        received += calls[i].received, lost += calls[i].lost;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"calls\": %d, \"answered\": %d, \"heard\": %d, \"failed\": %d, \"dropped\": %ld, "
           "\"peak\": %d, \"retransmits\": %ld, \"rtp_sent\": %ld, \"rtp_received\": %ld, "
           "\"rtp_lost\": %ld, \"send_errors\": %ld, \"late_ms_max\": %.1f, \"seconds\": %.3f, "
           "\"cpu_seconds\": %.3f, \"answer_ms\": [",
           total, up, admitted, failed, dropped, peak, retransmits, sent_packets, received, lost,
           send_errors, late_max_us / 1000.0, (now_us() - begun) / 1e6,
           usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
               (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    const char *comma = "";
    for (int i = 0; i < total; i++)
        if (calls[i].answered)
            printf("%s%.2f", comma, (calls[i].answered - calls[i].invited) / 1000.0), comma = ",";
    printf("], \"admit_ms\": [");
    comma = "";
    for (int i = 0; i < total; i++)
        if (calls[i].admitted)
            printf("%s%.2f", comma, (calls[i].admitted - calls[i].last_key) / 1000.0), comma = ",";
    printf("], \"statuses\": {");
    comma = "";
    int seen[1000] = {0};
    for (int i = 0; i < total; i++)
        if (calls[i].status > 0 && calls[i].status < 1000) seen[calls[i].status]++;
    for (int status = 0; status < 1000; status++)
        if (seen[status]) printf("%s\"%d\": %d", comma, status, seen[status]), comma = ", ";
    printf("}}\n");
    return 0;
}
