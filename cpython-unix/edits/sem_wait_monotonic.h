/* Waiting for a semaphore until a moment of the monotonic clock.

   glibc has sem_clockwait() since 2.30; the one that is linked against is older. So the reference is weak, and has no
   version: the loader fills it in where there is such a function, and leaves it NULL where there is none. */

#ifndef SEM_WAIT_MONOTONIC_H
#define SEM_WAIT_MONOTONIC_H

#include <semaphore.h>
#include <time.h>

extern int sem_clockwait(sem_t *, clockid_t, const struct timespec *) __attribute__((weak));

/* As sem_clockwait() with CLOCK_MONOTONIC. Without that function, until the same moment by the wall clock, which is what
   CPython does on such systems: who sets the clock meanwhile makes the wait longer or shorter. */
static inline int
sem_wait_monotonic(sem_t *semaphore, const struct timespec *deadline)
{
    struct timespec now, until;
    if (sem_clockwait != NULL) {
        return sem_clockwait(semaphore, CLOCK_MONOTONIC, deadline);
    }
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0 || clock_gettime(CLOCK_REALTIME, &until) != 0) {
        return -1;
    }
    until.tv_sec += deadline->tv_sec - now.tv_sec;
    until.tv_nsec += deadline->tv_nsec - now.tv_nsec;
    if (until.tv_nsec < 0) {
        until.tv_sec -= 1;
        until.tv_nsec += 1000000000;
    }
    else if (until.tv_nsec >= 1000000000) {
        until.tv_sec += 1;
        until.tv_nsec -= 1000000000;
    }
    return sem_timedwait(semaphore, &until);
}

#endif
