/*
 * What a leg hears, and when that changes.
 *
 * Those who talk repeat a sound of PERIOD packets for ever, so that what a leg hears repeats too: a
 * packet is as it was a period ago, but for what gain and codec make of it.  A packet is *changed*
 * where it differs from that one by more than half of its energy, or from silence by more than any
 * codec's noise; so a room that falls silent, another mix and a prompt are changes, and one voice of
 * twenty less is none.  What is told is the first of CONFIRM packets of which all but one changed.
 */
#ifndef EAR_H
#define EAR_H

#include "load.h"

#define PERIOD 50   /* packets, a second */
#define KEPT 64     /* packets, by sequence number; more than a period, a power of two */
#define CONFIRM 5
#define STEADY 20   /* packets in a row as they were a period ago: then a change can be seen */
#define QUIET 8     /* RMS of a sample, -72 dBFS: above what silence is coded as */
#define LOUD_RMS 100

struct ear {
    uint8_t heard[KEPT][FRAME];
    uint32_t known[KEPT]; /* sequence number of each and one more, 0 for none */
    int steady, waiting, seen, changed, loud;
    int64_t candidate, at; /* when the first changed packet came, `at` once it is confirmed */
};

/* Wait for a change; answers whether one could be seen. */
static inline int ear_wait(struct ear *ear) {
    ear->candidate = ear->at = 0;
    ear->waiting = ear->steady >= STEADY;
    return ear->waiting;
}

/* Take a packet of FRAME octets, and the table that makes samples of octets. */
static inline void ear_take(struct ear *ear, uint16_t sequence, const uint8_t *octets,
                            const int16_t *expand, int64_t now) {
    int slot = sequence % KEPT, before = (uint16_t)(sequence - PERIOD) % KEPT;
    int64_t energy = 0, apart = 0;
    if (ear->known[before] != (uint32_t)(uint16_t)(sequence - PERIOD) + 1) {
        ear->steady = 0;
    } else {
        for (int i = 0; i < FRAME; i++) {
            int was = expand[ear->heard[before][i]], is = expand[octets[i]];
            energy += was * was, apart += (int64_t)(is - was) * (is - was);
        }
        int changed = apart > energy / 2 + QUIET * QUIET * FRAME;
        ear->steady = changed ? 0 : ear->steady + 1;
        if (ear->waiting && !ear->candidate && changed) {
            ear->candidate = now, ear->seen = ear->changed = 0;
            ear->loud = energy > (int64_t)LOUD_RMS * LOUD_RMS * FRAME;
        }
        if (ear->candidate && ear->waiting) {
            ear->seen++, ear->changed += changed;
            if (ear->seen == CONFIRM) {
                if (ear->changed >= CONFIRM - 1) ear->at = ear->candidate, ear->waiting = 0;
                else ear->candidate = 0;
            }
        }
    }
    memcpy(ear->heard[slot], octets, FRAME);
    ear->known[slot] = (uint32_t)sequence + 1;
}

#endif
