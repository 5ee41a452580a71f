/* The file that running code was loaded from: what a relocatable tree is found by, since argv[0], PATH and the environment
   say what the caller likes.

   Written for CPython 3.10 to 3.14; Linux and macOS. */

#ifndef CODE_FILE_H
#define CODE_FILE_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#  include <libproc.h>
#endif
#ifdef __linux__
#  include <sys/auxv.h>
#endif

#ifdef __linux__
/* The file mapped at an address, by the kernel's word. dladdr() would answer argv[0] for the main program. */
static char *
code_mapped_file(uintptr_t address)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) {
        return NULL;
    }
    char *line = NULL, *found = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, maps)) > 0) {
        unsigned long start, end;
        int at = 0;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &start, &end, &at) < 2 || address < start || address >= end) {
            continue;
        }
        if (line[length - 1] == '\n') {
            line[length - 1] = '\0';
        }
        if (at > 0 && line[at] == '/') {
            found = strdup(line + at);
        }
        break;
    }
    free(line);
    fclose(maps);
    if (found == NULL) {
        return NULL;
    }
    /* A line break in a path is shown as \012. */
    for (char *escape; (escape = strstr(found, "\\012")) != NULL;) {
        *escape = '\n';
        memmove(escape + 1, escape + 4, strlen(escape + 4) + 1);
    }
    /* An upgrade may have replaced the file that still runs; its directory is what counts. */
    static const char gone[] = " (deleted)";
    size_t size = strlen(found);
    if (size > sizeof gone && strcmp(found + size - (sizeof gone - 1), gone) == 0 && access(found, F_OK) != 0) {
        found[size - (sizeof gone - 1)] = '\0';
    }
    return found;
}
#elif defined(__APPLE__)
static char *
code_mapped_file(uintptr_t address)
{
    char *found = malloc(PROC_PIDPATHINFO_MAXSIZE + 1);
    if (found == NULL) {
        return NULL;
    }
    int length = proc_regionfilename(getpid(), address, found, PROC_PIDPATHINFO_MAXSIZE);
    if (length <= 0 || found[0] != '/') {
        free(found);
        return NULL;
    }
    found[length] = '\0';
    return found;
}
#endif

/* The real path of the file that the code at an address was loaded from, malloc()ed. NULL: not to be found out. */
static char *
code_file(uintptr_t address)
{
    char *found = code_mapped_file(address);
    if (found != NULL) {
        return found;
    }
    /* No /proc here, or the code was moved to huge pages. */
    Dl_info info;
    if (dladdr((void *)address, &info) == 0) {
        return NULL;
    }
    const char *name = info.dli_fname;
#ifdef __linux__
    Dl_info program;
    if (dladdr((void *)getauxval(AT_PHDR), &program) != 0 && program.dli_fbase == info.dli_fbase) {
        name = (const char *)getauxval(AT_EXECFN);
    }
#endif
    return name != NULL ? realpath(name, NULL) : NULL;
}

#endif
