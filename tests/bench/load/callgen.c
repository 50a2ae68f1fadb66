/*
 * callgen: many telephone calls from one core.
 *
 * Places calls at a steady rate, each with an RTP socket pair of its own and, over TCP, a connection
 * of its own: INVITE, ACK, PCMU packets every 20 ms both ways, a PIN keyed as telephone-events
 * (RFC 4733), BYE.  It measures from outside what a caller feels: INVITE to 200, and the PIN's last
 * key to the first sound after it (the bridge is silent while a PIN is keyed and looked up).
 *
 * usage: callgen BRIDGE_IP PORT NUMBER PINS CALLS RATE STAY_MS LOCAL_IP TRANSPORT FIRST
 *                [ROOMS SOUND]
 *   PINS       file with one PIN a line; call i keys line i modulo their number
 *   STAY_MS    from INVITE to BYE; 0: until standard input ends
 *   TRANSPORT  udp or tcp
 *   FIRST      number of the first call: callers' numbers count on from there
 *   ROOMS      the first so many calls are hosts who say nothing, call i is in the room of host i
 *              modulo ROOMS; 0: none of this
 *   SOUND      file of PCMU: what the others say, PERIOD packets each, in turn
 *
 * With STAY_MS 0 a line {"settled": n} comes when every call has failed, or has heard something
 * after its PIN or waited for it in vain; a line "mark" on standard input answers with the counters
 * so far, and a line "press TIMES KEYS" lets each host press KEYS so many times, as
 * soon as what the others of the room hear is as it was a second ago (ear.h says what a change is),
 * and waits until it has changed for all of them.  KEYS may be "!": the host says something.  The
 * answer has a row per listener:
 *   [press, effect_ms, loud]
 * from the last key's first packet to the first changed one, -1 where none came within a second and
 * -2 where no change could have been seen; loud is 1 where the room was not silent before.
 *
 * At the end it prints the counters and a row per call:
 *   [number, answer_ms, last_key, heard_ms, status, over]
 * times that were not reached are -1; last_key is the wall clock [us]; status is the SIP status of a
 * refusal, 1 for an answer without usable SDP, 0 otherwise; over is 1 where the call ended as this
 * program wished.
 *
 * SIP is read by plain string search: the bridge under test is the only peer, and a message it
 * garbles shows as a lost call.
 */
#include "ear.h"

#include <fcntl.h>
#include <netinet/tcp.h>

enum state { UNUSED, CONNECTING, INVITED, UP, BYE_SENT, DONE, FAILED };

/* Key timing: what a quick finger does, and well above RFC 4733's minimum of 40 ms. */
#define KEY_ON 4    /* packets of 20 ms while a key is down */
#define KEY_ENDS 3  /* packets with the E bit */
#define KEY_OFF 2   /* packets of sound between keys */
#define FIRST_KEY_US 600000 /* from the 200 to the first key: the greeting has begun by then */
#define PATIENCE_US 10000000 /* for a sound after the last key */
#define LOUD 400    /* a sample of this size is sound (prompts peak above 8000) */
#define LOUD_SAMPLES 4
#define LATE_US 10000
#define TEXT 8192
#define ROOM_PAUSE_US 2000000 /* at most so long a host waits for no reason: hosts do not agree */
#define ROOM_PATIENCE_US 15000000 /* for all to be steady; who is not then is left out */
#define EFFECT_US 1000000    /* a change that has not come by then is missing */
#define SAID 25 /* packets of what a host says */

struct call {
    enum state state;
    int number, rtp, rtcp, sip, port, tries, status;
    int64_t invited, resend, answered, last_key, last_key_wall, heard, bye_at, due, last_in;
    uint32_t ssrc, timestamp, event_timestamp, received, missing;
    uint16_t sequence, expect;
    int event_type, key, step, filled, longest_us;
    char tag[64], contact[160], pin[24];
    char *stream; /* over TCP: what has come of a message */
    struct ear *ear; /* of who is in a room */
    const uint8_t *words;
    int spoken, says; /* packets of its sound so far; packets that a silent host still says */
};

/* A room whose host presses keys. */
struct room {
    int busy, left, press; /* under way; still to be pressed; which press of all it is */
    int64_t pressed, ready; /* the last key's first packet; when the next may be pressed */
};

/* epoll tells what is ready by the address of one of these two. */
struct watch {
    struct call *call;
    int media;
};

static struct call *calls;
static struct watch *watches;
static int total, poll_fd, sip_socket, over_tcp, stay_ms;
static const char *bridge_ip, *local_ip, *dialled;
static struct sockaddr_in bridge;
static int16_t expand[256];
static uint8_t sound[8][FRAME];
static uint8_t (*words)[FRAME]; /* what is said in rooms: PERIOD packets after PERIOD packets */
static int voices;
static long sent, send_errors, refused, late, retransmits, closed, dropped, hung_up;
static int64_t latest_us;
static unsigned run_id;
static struct room *rooms;
static int room_count, pressing, shifting, presses, told;
static char keys_pressed[24];

/* Area codes with numbers for fiction, 555-0100 to 555-0199: nobody is called by mistake. */
static const int areas[] = {202, 203, 205, 206, 207, 208, 209, 210, 212, 213,
                            214, 215, 216, 217, 218, 219, 224, 225, 228, 229};
#define AREAS (int)(sizeof areas / sizeof *areas)

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
    return (uint8_t)best;
}

static void watch(int fd, struct call *c, int media, uint32_t events) {
    struct watch *w = &watches[2 * (c - calls) + media];
    struct epoll_event event = {.events = events, .data.ptr = w};
    *w = (struct watch){c, media};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) &&
        epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &event))
        die("epoll");
}

static void open_media(struct call *c) {
    static int next = 40000; /* above what the bridge takes, below where Linux looks last */
    for (int tries = 0; tries < 10000; tries++) {
        next = next >= 60000 ? 40000 : next + 2;
        if ((c->rtp = udp(local_ip, next)) < 0) continue;
        if ((c->rtcp = udp(local_ip, next + 1)) >= 0) {
            watch(c->rtp, c, 1, EPOLLIN);
            return;
        }
        close(c->rtp);
    }
    die("no media port");
}

static void finish(struct call *c, enum state how) {
    c->state = how;
    if (c->rtp >= 0) dropped += dropped_by(c->rtp), close(c->rtp), close(c->rtcp);
    if (over_tcp && c->sip >= 0) close(c->sip);
    c->rtp = c->rtcp = c->sip = -1;
}

static void say(struct call *c, const char *text, int length) {
    ssize_t n = over_tcp ? send(c->sip, text, (size_t)length, 0)
                         : sendto(sip_socket, text, (size_t)length, 0, (struct sockaddr *)&bridge,
                                  sizeof bridge);
    if (n != length) send_errors++;
}

static void request(struct call *c, const char *method, int cseq, const char *body) {
    char text[4096], to[256], uri[256];
    const char *transport = over_tcp ? "TCP" : "UDP";
    int dialog = c->tag[0] != 0, bridge_port = ntohs(bridge.sin_port);
    int area = areas[c->number / 100 % AREAS], line = c->number % 100;
    if (dialog) snprintf(uri, sizeof uri, "%s", c->contact);
    else snprintf(uri, sizeof uri, "sip:%s@%s:%d", dialled, bridge_ip, bridge_port);
    snprintf(to, sizeof to, "<sip:%s@%s>%s%s", dialled, bridge_ip, dialog ? ";tag=" : "", c->tag);
    int n = snprintf(text, sizeof text,
        "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s:%d;rport;branch=z9hG4bK%x-%d-%s%d\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:+1%03d55501%02d@%s>;tag=f%d\r\nTo: %s\r\n"
        "Call-ID: %x-%ld-load\r\nCSeq: %d %s\r\nContact: <sip:load@%s:%d%s>\r\n"
        "%sContent-Length: %zu\r\n\r\n%s",
        method, uri, transport, local_ip, c->port, run_id, c->number, method, cseq, area, line,
        local_ip, c->number, to, run_id, (long)(c - calls), cseq, method, local_ip, c->port,
        over_tcp ? ";transport=tcp" : "", *body ? "Content-Type: application/sdp\r\n" : "",
        strlen(body), body);
    if (n >= (int)sizeof text) die("a request too long");
    say(c, text, n);
}

static void invite(struct call *c) {
    char body[512];
    snprintf(body, sizeof body,
        "v=0\r\no=- %d 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
        "m=audio %d RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n",
        c->number, local_ip, local_ip, port_of(c->rtp));
    request(c, "INVITE", 1, body);
}

/* Copy the value of a header (its name with the line break before and the colon behind). */
static int header(const char *text, const char *name, char *value, size_t size) {
    const char *at = strcasestr(text, name);
    *value = 0;
    if (!at) return 0;
    at += strlen(name);
    while (*at == ' ') at++;
    size_t n = strcspn(at, "\r\n");
    if (n >= size) n = size - 1;
    memcpy(value, at, n);
    value[n] = 0;
    return 1;
}

/* Copy what stands between a mark and the first of some ends. */
static void part(const char *at, const char *ends, char *value, size_t size) {
    size_t n = strcspn(at, ends);
    if (n >= size) n = size - 1;
    memcpy(value, at, n);
    value[n] = 0;
}

static void take_answer(struct call *c, const char *text, int64_t now) {
    char value[512], ip[64];
    const char *tag = header(text, "\nTo:", value, sizeof value) ? strstr(value, "tag=") : NULL;
    if (tag) part(tag + 4, "; ", c->tag, sizeof c->tag);
    const char *uri = header(text, "\nContact:", value, sizeof value) ? strchr(value, '<') : NULL;
    if (uri) part(uri + 1, ">", c->contact, sizeof c->contact);
    const char *sdp = strstr(text, "\r\n\r\n"), *audio = sdp ? strstr(sdp, "m=audio ") : NULL;
    const char *host = sdp ? strstr(sdp, "c=IN IP4 ") : NULL;
    if (!audio || !host || !c->tag[0] || !c->contact[0]) {
        c->status = 1;
        finish(c, FAILED);
        return;
    }
    part(host + 9, "\r\n", ip, sizeof ip);
    struct sockaddr_in remote = address(ip, atoi(audio + 8));
    c->event_type = 101;
    for (const char *map = sdp; (map = strstr(map, "a=rtpmap:")); map += 9) {
        const char *event = strstr(map, "telephone-event");
        if (event && event < map + strcspn(map, "\r\n")) c->event_type = atoi(map + 9);
    }
    if (connect(c->rtp, (struct sockaddr *)&remote, sizeof remote)) die("connect");
    c->state = UP;
    c->answered = now;
    c->due = now + c->number * 7919 % 20 * 1000; /* spread over 20 ms */
    c->key = -1;
}

static void reply(struct call *c, const char *text) {
    static const char *const names[] = {"\nVia:", "\nFrom:", "\nTo:", "\nCall-ID:", "\nCSeq:"};
    char out[4096], value[512];
    int n = snprintf(out, sizeof out, "SIP/2.0 200 OK\r\n");
    for (int i = 0; i < 5; i++) {
        header(text, names[i], value, sizeof value);
        n += snprintf(out + n, sizeof out - (size_t)n, "%s %s\r\n", names[i] + 1, value);
    }
    n += snprintf(out + n, sizeof out - (size_t)n, "Content-Length: 0\r\n\r\n");
    say(c, out, n);
}

static void take_message(const char *text) {
    char value[512], method[64];
    unsigned run;
    long index;
    if (!header(text, "\nCall-ID:", value, sizeof value) ||
        sscanf(value, "%x-%ld-load", &run, &index) != 2 || run != run_id || index < 0 ||
        index >= total)
        return;
    struct call *c = &calls[index];
    int64_t now = now_us();
    if (strncmp(text, "SIP/2.0 ", 8)) {
        if (!strncmp(text, "ACK", 3) || (over_tcp && c->sip < 0)) return;
        reply(c, text);
        if (!strncmp(text, "BYE", 3) && (c->state == UP || c->state == BYE_SENT)) {
            if (c->state == UP) hung_up++;
            finish(c, c->state == UP ? FAILED : DONE);
        }
        return;
    }
    int status = atoi(text + 8);
    header(text, "\nCSeq:", method, sizeof method);
    if (strstr(method, "INVITE")) {
        if (c->state == INVITED) c->resend = now + 32000000;
        if (status >= 200 && status < 300) {
            if (c->state == INVITED) take_answer(c, text, now);
            /* Again for an answer that came again: the first ACK was lost. */
            if (c->state == UP || (c->state == BYE_SENT && !over_tcp)) request(c, "ACK", 1, "");
        } else if (status >= 300 && c->state == INVITED) {
            c->status = status;
            if (header(text, "\nTo:", value, sizeof value) && strstr(value, "tag="))
                part(strstr(value, "tag=") + 4, "; ", c->tag, sizeof c->tag);
            snprintf(c->contact, sizeof c->contact, "sip:%s@%s:%d", dialled, bridge_ip,
                     ntohs(bridge.sin_port));
            request(c, "ACK", 1, "");
            finish(c, FAILED);
        }
    } else if (strstr(method, "BYE") && c->state == BYE_SENT) {
        finish(c, DONE);
    }
}

static void sip_in_udp(void) {
    char text[TEXT];
    for (int i = 0; i < 256; i++) {
        ssize_t n = recv(sip_socket, text, sizeof text - 1, 0);
        if (n <= 0) return;
        text[n] = 0;
        take_message(text);
    }
}

static void connected(struct call *c) {
    struct sockaddr_in here;
    socklen_t size = sizeof here;
    int error = 0, on = 1;
    socklen_t error_size = sizeof error;
    getsockopt(c->sip, SOL_SOCKET, SO_ERROR, &error, &error_size);
    if (error || getsockname(c->sip, (struct sockaddr *)&here, &size)) {
        closed++;
        finish(c, FAILED);
        return;
    }
    setsockopt(c->sip, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->port = ntohs(here.sin_port);
    c->state = INVITED;
    c->invited = now_us();
    c->resend = c->invited + 32000000;
    watch(c->sip, c, 0, EPOLLIN);
    invite(c);
}

static void sip_in_tcp(struct call *c) {
    if (c->state == CONNECTING) {
        connected(c);
        return;
    }
    ssize_t n = recv(c->sip, c->stream + c->filled, (size_t)(TEXT - 1 - c->filled), 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { /* while a call is up, or before it was answered */
        closed++;
        finish(c, FAILED);
        return;
    }
    c->filled += (int)n;
    for (;;) {
        char value[64], kept;
        c->stream[c->filled] = 0;
        char *end = strstr(c->stream, "\r\n\r\n");
        if (!end) return;
        header(c->stream, "\nContent-Length:", value, sizeof value);
        long size = end + 4 - c->stream + atoi(value);
        if (size >= TEXT) die("a message too long");
        if (size > c->filled) return;
        kept = c->stream[size];
        c->stream[size] = 0;
        take_message(c->stream);
        c->stream[size] = kept;
        if (c->sip < 0) return;
        c->filled -= (int)size;
        memmove(c->stream, c->stream + size, (size_t)c->filled);
    }
}

static void rtp_in(struct call *c) {
    uint8_t packet[MAX_PACKET];
    int64_t now = now_us();
    for (int i = 0; i < 64; i++) {
        ssize_t n = recv(c->rtp, packet, sizeof packet, 0);
        if (n < 0 && errno == ECONNREFUSED) refused++;
        if (n < HEADER) return;
        uint16_t sequence = (uint16_t)(packet[2] << 8 | packet[3]);
        if (c->received++) {
            int16_t ahead = (int16_t)(sequence - c->expect);
            if (ahead > 0) c->missing += (uint32_t)ahead;
            if (now - c->last_in > c->longest_us) c->longest_us = (int)(now - c->last_in);
        }
        c->expect = (uint16_t)(sequence + 1);
        c->last_in = now;
        if (c->ear && (packet[1] & 127) == 0 && n == PACKET)
            ear_take(c->ear, sequence, packet + HEADER, expand, now);
        if (!c->last_key || c->heard || (packet[1] & 127) != 0) continue;
        int loud = 0;
        for (int k = HEADER; k < n; k++) loud += abs(expand[packet[k]]) > LOUD;
        if (loud >= LOUD_SAMPLES) c->heard = now;
    }
}

static void counters(int live, int peak, int64_t begun);

/* The command of a room's host is complete: wait for what the others hear of it. */
static void await(struct call *host) {
    if (host - calls >= room_count || !rooms[host - calls].busy) return;
    rooms[host - calls].pressed = now_us();
    for (long i = host - calls + room_count; i < total; i += room_count)
        if (calls[i].state == UP) ear_wait(calls[i].ear);
}

/* Whether a change could be seen by all who are in a room, who wait for none. */
static int steady(int room) {
    for (int i = room + room_count; i < total; i += room_count)
        if (calls[i].state == UP && calls[i].ear->steady < STEADY) return 0;
    return 1;
}

/* Tell what came of a room's command, once it is known; answers whether it is. */
static int effect(int room, int64_t now) {
    struct room *r = &rooms[room];
    if (!r->pressed) return 0;
    for (int i = room + room_count; i < total; i += room_count)
        if (calls[i].state == UP && calls[i].ear->waiting && now - r->pressed < EFFECT_US) return 0;
    for (int i = room + room_count; i < total; i += room_count) {
        struct ear *ear = calls[i].ear;
        double ms = ear->at ? (double)(ear->at - r->pressed) / 1e3 : ear->waiting ? -1 : -2;
        if (calls[i].state != UP) continue;
        printf("%s[%d,%.2f,%d]", told++ ? "," : "", r->press, ms, ear->loud);
        ear->waiting = 0, ear->at = ear->candidate = 0;
    }
    return 1;
}

/* Let hosts press keys, each when the room is ready for it. */
static void go_on(int64_t now) {
    int busy = 0;
    for (int i = 0; i < room_count; i++) {
        struct room *r = &rooms[i];
        if (r->busy && effect(i, now)) r->busy = 0, r->ready = now + rand() % ROOM_PAUSE_US;
        if (!r->busy && r->left && now >= r->ready && calls[i].state == UP &&
            (steady(i) || now - r->ready > ROOM_PATIENCE_US)) {
            /* A host's packets fall differently between two ticks of the bridge each time. */
            if (shifting) calls[i].due += rand() % TICK_US;
            *r = (struct room){.busy = 1, .left = r->left - 1, .press = presses++};
            if (*keys_pressed == '!') {
                calls[i].says = SAID;
            } else {
                snprintf(calls[i].pin, sizeof calls[i].pin, "%s", keys_pressed);
                calls[i].key = calls[i].step = 0;
            }
        }
        busy += r->busy + r->left;
    }
    if (!busy) {
        pressing = 0;
        printf("]}\n"), fflush(stdout);
    }
}

static void take_line(const char *line, int live, int peak, int64_t begun) {
    int times;
    if (*line == 'm') {
        counters(live, peak, begun), printf("}\n"), fflush(stdout);
    } else if (sscanf(line, "press %d %20[0-9*#!]", &times, keys_pressed) == 2) {
        pressing = 1, shifting = times > 1 && *keys_pressed != '!', presses = told = 0;
        for (int i = 0; i < room_count; i++)
            rooms[i] = (struct room){.left = times, .ready = now_us() + rand() % ROOM_PAUSE_US};
        printf("{\"rows\": [");
    }
}

static void rtp_out(struct call *c, int64_t now) {
    static const char order[] = "0123456789*#";
    uint8_t packet[PACKET];
    int size = PACKET, type = 0, marker = 0, keys = (int)strlen(c->pin);
    uint32_t timestamp = c->timestamp;
    if (c->key < 0 && now - c->answered >= FIRST_KEY_US) c->key = 0, c->step = 0;
    int keying = c->key >= 0 && c->key < keys;
    if (keying && c->step < KEY_ON + KEY_ENDS) {
        int end = c->step >= KEY_ON, duration = ((end ? KEY_ON - 1 : c->step) + 1) * FRAME;
        if (!c->step) {
            c->event_timestamp = c->timestamp, marker = 1;
            if (c->key == keys - 1) {
                struct timespec wall;
                clock_gettime(CLOCK_REALTIME, &wall);
                c->last_key = now_us();
                c->last_key_wall = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000;
                await(c);
            }
        }
        type = c->event_type, timestamp = c->event_timestamp, size = HEADER + 4;
        const char *key = strchr(order, c->pin[c->key]);
        packet[HEADER] = (uint8_t)(key ? key - order : 0);
        packet[HEADER + 1] = (uint8_t)((end ? 0x80 : 0) | 10);
        packet[HEADER + 2] = (uint8_t)(duration >> 8);
        packet[HEADER + 3] = (uint8_t)duration;
    } else if (c->says) {
        if (c->says-- == SAID) await(c);
        memcpy(packet + HEADER, words[(c->spoken++) % PERIOD], FRAME);
    } else if (c->words) {
        memcpy(packet + HEADER, c->words + c->spoken++ % PERIOD * FRAME, FRAME);
    } else if (c->ear) {
        memset(packet + HEADER, 0xff, FRAME);
    } else {
        memcpy(packet + HEADER, sound[c->number & 7], FRAME);
    }
    if (keying && ++c->step == KEY_ON + KEY_ENDS + KEY_OFF) c->step = 0, c->key++;
    put_header(packet, marker, type, c->sequence, timestamp, c->ssrc);
    c->sequence++, c->timestamp += FRAME;
    if (send(c->rtp, packet, (size_t)size, 0) == size) sent++;
    else if (errno == ECONNREFUSED) refused++;
    else send_errors++;
}

static void start(struct call *c, int first, char pins[][24], int pin_count) {
    long index = c - calls;
    c->number = first + (int)index;
    c->sip = -1;
    snprintf(c->pin, sizeof c->pin, "%s", pins[index % pin_count]);
    if (room_count) {
        c->ear = calloc(1, sizeof *c->ear);
        if (!c->ear) die("memory");
        if (index >= room_count) c->words = words[index % voices * PERIOD];
    }
    c->ssrc = (uint32_t)index * 2654435761u + run_id;
    c->sequence = (uint16_t)(index * 31);
    c->timestamp = (uint32_t)index * 7777u;
    open_media(c);
    c->invited = now_us();
    c->bye_at = c->invited + stay_ms * 1000L;
    c->resend = c->invited + (over_tcp ? 32000000 : 500000);
    if (!over_tcp) {
        c->port = port_of(sip_socket);
        c->state = INVITED;
        invite(c);
        return;
    }
    c->stream = malloc(TEXT);
    c->sip = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (!c->stream || c->sip < 0) die("socket");
    c->state = CONNECTING;
    if (connect(c->sip, (struct sockaddr *)&bridge, sizeof bridge) && errno != EINPROGRESS)
        die("connect");
    watch(c->sip, c, 0, EPOLLIN | EPOLLOUT);
}

/* What is due of a call; answers when the next thing is. */
static int64_t serve(struct call *c, int64_t now) {
    if ((c->state == INVITED || c->state == CONNECTING) && now >= c->resend) {
        if (over_tcp || ++c->tries > 6) {
            c->status = 408;
            finish(c, FAILED);
        } else {
            retransmits++, c->resend = now + (500000L << c->tries), invite(c);
        }
    }
    if (c->state == BYE_SENT && now >= c->resend) {
        if (over_tcp || ++c->tries > 6) finish(c, FAILED);
        else retransmits++, c->resend = now + (500000L << c->tries), request(c, "BYE", 2, "");
    }
    if (c->state != UP) return INT64_MAX;
    while (now >= c->due) {
        if (now - c->due > LATE_US) late++;
        if (now - c->due > latest_us) latest_us = now - c->due;
        rtp_out(c, now);
        c->due += TICK_US;
    }
    if (stay_ms && now >= c->bye_at) {
        c->state = BYE_SENT, c->tries = 0, c->resend = now + (over_tcp ? 8000000 : 500000);
        request(c, "BYE", 2, "");
    }
    return c->due;
}

static void counters(int live, int peak, int64_t begun) {
    long received = 0, missing = 0, drops = dropped;
    int answered = 0, heard = 0, failed = 0, longest = 0;
    for (int i = 0; i < total; i++) {
        struct call *c = &calls[i];
        answered += c->answered > 0, heard += c->heard > 0, failed += c->state == FAILED;
        received += c->received, missing += c->missing;
        if (c->state == UP) drops += dropped_by(c->rtp);
        if (c->longest_us > longest) longest = c->longest_us;
        c->longest_us = 0;
    }
    printf("{\"calls\": %d, \"answered\": %d, \"heard\": %d, \"failed\": %d, \"live\": %d, "
           "\"peak\": %d, \"closed\": %ld, \"hung_up\": %ld, \"retransmits\": %ld, "
           "\"rtp_sent\": %ld, \"rtp_received\": %ld, \"rtp_missing\": %ld, "
           "\"longest_gap_ms\": %.1f, \"late\": %ld, \"latest_ms\": %.1f, \"send_errors\": %ld, "
           "\"refused\": %ld, \"dropped\": %ld, \"seconds\": %.3f, \"cpu_seconds\": %.3f",
           total, answered, heard, failed, live, peak, closed, hung_up, retransmits, sent,
           received, missing, longest / 1e3, late, (double)latest_us / 1e3, send_errors, refused,
           drops, (double)(now_us() - begun) / 1e6, cpu_seconds());
    latest_us = 0;
}

static void rows(void) {
    printf(", \"rows\": [");
    for (int i = 0; i < total; i++) {
        struct call *c = &calls[i];
        printf("%s[%d,%.2f,%lld,%.2f,%d,%d]", i ? "," : "", c->number,
               c->answered ? (double)(c->answered - c->invited) / 1e3 : -1.0,
               c->last_key ? (long long)c->last_key_wall : -1LL,
               c->heard ? (double)(c->heard - c->last_key) / 1e3 : -1.0, c->status,
               c->state == DONE);
    }
    printf("]}\n");
}

static int unsettled(int64_t now) {
    for (int i = 0; i < total; i++) {
        struct call *c = &calls[i];
        if (c->state < UP) return 1;
        if (c->state == UP && !c->heard && !(c->last_key && now - c->last_key > PATIENCE_US))
            return 1;
    }
    return 0;
}

static int read_pins(const char *path, char pins[][24], int most) {
    FILE *file = fopen(path, "r");
    int n = 0;
    if (!file) die(path);
    while (n < most && fscanf(file, "%23s", pins[n]) == 1) n++;
    fclose(file);
    errno = 0;
    if (!n) die("no PIN in the file");
    return n;
}

static void read_words(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file || fseek(file, 0, SEEK_END)) die(path);
    long size = ftell(file);
    voices = (int)(size / FRAME / PERIOD);
    words = malloc((size_t)size);
    rewind(file);
    errno = 0;
    if (!voices || !words || fread(words, FRAME, (size_t)(voices * PERIOD), file) !=
                                 (size_t)(voices * PERIOD))
        die("no sound in the file");
    fclose(file);
}

static void prepare_sound(void) {
    for (int code = 0; code < 256; code++) expand[code] = (int16_t)mulaw(code);
    for (int kind = 0; kind < 8; kind++)
        for (int i = 0; i < FRAME; i++) {
            /* A triangle of a whole number of periods a packet: no clicks, no libm; -36 dBFS. */
            int phase = i * (kind + 4) % FRAME;
            sound[kind][i] = nearest(((phase < 80 ? phase : FRAME - phase) - 40) * 22);
        }
}

int main(int arguments, char **argument) {
    static char pins[10000][24];
    begin("callgen");
    if (arguments != 11 && arguments != 13) {
        fprintf(stderr, "usage: callgen BRIDGE_IP PORT NUMBER PINS CALLS RATE STAY_MS LOCAL_IP "
                        "udp|tcp FIRST [ROOMS SOUND]\n");
        return 2;
    }
    bridge_ip = argument[1];
    bridge = address(bridge_ip, number_of(argument[2], 1, 65535));
    dialled = argument[3];
    int pin_count = read_pins(argument[4], pins, 10000);
    total = number_of(argument[5], 1, 10000);
    int rate = number_of(argument[6], 1, 10000);
    stay_ms = number_of(argument[7], 0, 3600000);
    local_ip = argument[8];
    over_tcp = !strcmp(argument[9], "tcp");
    int first = number_of(argument[10], 0, 100000);
    prepare_sound();
    if (arguments == 13) {
        room_count = number_of(argument[11], 1, total);
        read_words(argument[12]);
        rooms = calloc((size_t)room_count, sizeof *rooms);
        if (!rooms) die("memory");
    }
    run_id = ((unsigned)now_us() ^ (unsigned)getpid() << 16) | 1;
    calls = calloc((size_t)total, sizeof *calls);
    watches = calloc((size_t)total * 2, sizeof *watches);
    poll_fd = epoll_create1(0);
    sip_socket = udp(local_ip, 0);
    if (!calls || !watches || poll_fd < 0 || sip_socket < 0) die("memory");
    int size = 8 << 20, own = !stay_ms, holding = own, told = 0;
    setsockopt(sip_socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, sip_socket, &event)) die("epoll");
    setpriority(PRIO_PROCESS, 0, -10); /* where allowed: its own lateness is not the bridge's */
    if (own && fcntl(0, F_SETFL, O_NONBLOCK)) die("standard input");
    int64_t begun = now_us(), next = begun, next_check = begun, next_rooms = begun;
    int started = 0, live = 0, peak = 0, over = 0;
    while (!over) {
        int64_t now = now_us();
        while (started < total && now >= begun + (int64_t)started * 1000000 / rate)
            start(&calls[started++], first, pins, pin_count);
        if (now >= next) {
            next = now + 5000;
            live = 0, over = started == total;
            for (int i = 0; i < started; i++) {
                struct call *c = &calls[i];
                if (c->state == DONE || c->state == FAILED) continue;
                over = 0;
                int64_t due = serve(c, now);
                if (due < next) next = due;
                live += c->state == UP;
            }
            if (live > peak) peak = live;
        }
        if (own && now >= next_check) {
            char line[64];
            next_check = now + 100000;
            if (!told && started == total && !unsettled(now)) {
                printf("{\"settled\": %d}\n", live), fflush(stdout);
                told = 1;
            }
            ssize_t n = holding ? read(0, line, sizeof line - 1) : -1;
            if (n > 0) line[n] = 0, take_line(line, live, peak, begun);
            if (!n) { /* hang up as they came, not all in one moment */
                holding = 0, stay_ms = 1;
                for (int i = 0; i < total; i++)
                    calls[i].bye_at = now + (int64_t)i * 1000000 / rate;
            }
        }
        if (holding) over = 0;
        if (pressing && now >= next_rooms) next_rooms = now + TICK_US, go_on(now);
        struct epoll_event ready[256];
        int64_t wait = next - now_us();
        int n = epoll_wait(poll_fd, ready, 256, wait > 0 ? (int)((wait + 999) / 1000) : 0);
        for (int i = 0; i < n; i++) {
            struct watch *w = ready[i].data.ptr;
            if (!w) sip_in_udp();
            else if (w->media && w->call->rtp >= 0) rtp_in(w->call);
            else if (!w->media && w->call->sip >= 0) sip_in_tcp(w->call);
        }
    }
    counters(live, peak, begun);
    rows();
    return 0;
}
