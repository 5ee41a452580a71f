/* Shared memory by name, as shm_open() and shm_unlink() of glibc give it: files in /dev/shm.

   Those two are in librt up to glibc 2.33. */

#ifndef SHARED_MEMORY_H
#define SHARED_MEMORY_H

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHARED_MEMORY_PLACE "/dev/shm/"

/* The file of a name, or NULL with errno for what is no name. */
static const char *
shared_memory_file(const char *name, char file[sizeof(SHARED_MEMORY_PLACE) + NAME_MAX])
{
    name += strspn(name, "/");
    if (*name == '\0' || strchr(name, '/') != NULL) {
        errno = EINVAL;
        return NULL;
    }
    if (strlen(name) > NAME_MAX) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    sprintf(file, SHARED_MEMORY_PLACE "%s", name);
    return file;
}

static int
open_shared_memory(const char *name, int flags, mode_t mode)
{
    char place[sizeof(SHARED_MEMORY_PLACE) + NAME_MAX];
    const char *file = shared_memory_file(name, place);
    int fd = file == NULL ? -1 : open(file, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0 && errno == EISDIR) {
        errno = EINVAL;
    }
    return fd;
}

static int
unlink_shared_memory(const char *name)
{
    char place[sizeof(SHARED_MEMORY_PLACE) + NAME_MAX];
    const char *file = shared_memory_file(name, place);
    if (file == NULL) {
        errno = errno == EINVAL ? ENOENT : errno; /* as glibc has it */
        return -1;
    }
    if (unlink(file) != 0) {
        errno = errno == EPERM ? EACCES : errno; /* what POSIX has shm_unlink() say */
        return -1;
    }
    return 0;
}

#else

#define open_shared_memory(name, flags, mode) shm_open(name, flags, mode)
#define unlink_shared_memory(name) shm_unlink(name)

#endif

#endif
