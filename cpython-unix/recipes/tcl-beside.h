/* Where Tcl's scripts are: beside the library that this is compiled into, wherever that was unpacked and whoever loads it.
 * The place that was compiled in is left for a library that can't be found, such as one in a file system of its own. */

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
LibraryBesideThis(void)
{
    static char result[3 * PATH_MAX];
    char file[PATH_MAX];
    char *name;
    Dl_info here;
    Tcl_DString utf;

    if (dladdr((const void *) defaultLibraryDir, &here) == 0 || here.dli_fname == NULL
	    || realpath(here.dli_fname, file) == NULL || (name = strrchr(file, '/')) == NULL) {
	return defaultLibraryDir;
    }
    *name = '\0';
    Tcl_ExternalToUtfDString(NULL, file, -1, &utf);
    snprintf(result, sizeof(result), "%s/tcl%s", Tcl_DStringValue(&utf), TCL_VERSION);
    Tcl_DStringFree(&utf);
    return result;
}
