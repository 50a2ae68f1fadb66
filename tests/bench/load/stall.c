/*
 * stall: how long the machine itself stood still, core by core.
 *
 * A thread on each core, above everything else that a measurement runs, sleeps a millisecond at a
 * time and notes how much too late it wakes: time that the hypervisor or the kernel took from all.
 * Where no real-time priority is granted the load of the machine is in it as well.
 *
 * usage: stall SECONDS
 *
 * Prints {"realtime": ..., "cores": ...}.  A line "m" answers with the longest delay since the last
 * one, in milliseconds: of each core, and of all; the end of the input, or SECONDS, ends it.
 */
#include "load.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define SLEEP_US 1000
#define PRIORITY 50
#define MOST_CORES 256

static _Atomic int64_t longest_us[MOST_CORES];
static int cores[MOST_CORES], count;
static _Atomic int realtime = 1;

static void *watch(void *argument) {
    int index = (int)(intptr_t)argument;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cores[index], &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set)) return NULL;
    struct sched_param priority = {.sched_priority = PRIORITY};
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority)) realtime = 0;
    for (;;) {
        int64_t due = now_us() + SLEEP_US;
        struct timespec until = {due / 1000000, due % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
        int64_t late = now_us() - due;
        if (late > longest_us[index]) longest_us[index] = late;
    }
}

static void tell(void) {
    int64_t most = 0;
    printf("{\"core_ms\": [");
    for (int i = 0; i < count; i++) {
        int64_t late = atomic_exchange(&longest_us[i], 0);
        if (late > most) most = late;
        printf("%s%.1f", i ? ", " : "", (double)late / 1e3);
    }
    printf("], \"stall_ms\": %.1f}\n", (double)most / 1e3);
    fflush(stdout);
}

int main(int arguments, char **argument) {
    begin("stall");
    if (arguments != 2) {
        fprintf(stderr, "usage: stall SECONDS\n");
        return 2;
    }
    int64_t end = now_us() + (int64_t)number_of(argument[1], 1, 7200) * 1000000;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) die("sched_getaffinity");
    for (int core = 0; core < MOST_CORES; core++)
        if (CPU_ISSET(core, &set)) cores[count++] = core;
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, watch, (void *)(intptr_t)i)) die("thread");
    }
    usleep(50000);
    for (int i = 0; i < count; i++) longest_us[i] = 0;
    printf("{\"realtime\": %s, \"cores\": %d}\n", realtime ? "true" : "false", count);
    fflush(stdout);
    char line[64];
    while (now_us() < end && fgets(line, sizeof line, stdin)) tell();
    return 0;
}
