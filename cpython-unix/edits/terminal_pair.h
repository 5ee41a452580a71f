/* The two ends of a terminal, as openpty() and forkpty() give them, in the steps of glibc's own.

   Those two are in libutil up to glibc 2.33. What they consist of is in libc. */

#ifndef TERMINAL_PAIR_H
#define TERMINAL_PAIR_H

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* -1, with errno, when there is none to be had. */
static int
open_terminal_pair(int *master, int *slave)
{
    char name[PATH_MAX];
    int error, end = -1, terminal = posix_openpt(O_RDWR);
    if (terminal < 0) {
        return -1;
    }
    if (grantpt(terminal) == 0 && unlockpt(terminal) == 0) {
#ifdef TIOCGPTPEER
        /* By the descriptor, where Linux is 4.13 or newer: the name is another mount's when /dev/pts was mounted anew. */
        end = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY);
#endif
        if (end < 0 && (error = ptsname_r(terminal, name, sizeof(name))) != 0) {
            errno = error;
        }
        else if (end < 0) {
            end = open(name, O_RDWR | O_NOCTTY);
        }
    }
    if (end < 0) {
        error = errno;
        close(terminal);
        errno = error;
        return -1;
    }
    *master = terminal;
    *slave = end;
    return 0;
}

/* The child's standard streams are the one end, and its controlling terminal; the parent gets the other. */
static pid_t
fork_into_terminal(int *master)
{
    int terminal, end, error;
    pid_t child;
    if (open_terminal_pair(&terminal, &end) != 0) {
        return -1;
    }
    child = fork();
    if (child == 0) {
        close(terminal);
        if (setsid() < 0 || ioctl(end, TIOCSCTTY, NULL) != 0) {
            _exit(1);
        }
        for (int stream = 0; stream < 3; stream++) {
            while (dup2(end, stream) < 0 && errno == EBUSY) {
            }
        }
        if (end > 2) {
            close(end);
        }
        return 0;
    }
    error = errno;
    close(end);
    if (child < 0) {
        close(terminal);
        errno = error;
        return -1;
    }
    *master = terminal;
    return child;
}

#else

#define open_terminal_pair(master, slave) openpty(master, slave, NULL, NULL, NULL)
#define fork_into_terminal(master) forkpty(master, NULL, NULL, NULL)

#endif

#endif
