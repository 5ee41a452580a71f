/* The FIPS switch of a relocatable CPython: the first exec slot of _hashlib and of _ssl.

   FIPS mode is asked for by PYTHON_FIPS (anything but "" and "0") or by the file share/ssl/fips-enabled of the tree that
   the interpreter was loaded from. The file is the tree's owner speaking: nothing in the environment takes it back, so
   the tree is found from the address of running code, never from PYTHONHOME, sys.base_prefix or argv[0].

   When asked for, share/ssl/openssl-fips.cnf of that tree is loaded, and then *checked*: OpenSSL reports success for
   configurations that leave the default provider serving everything (a missing section line, a provider that failed its
   self-test). Where a check fails, the import ends in RuntimeError. Not in ImportError: Lib/hashlib.py and Lib/hmac.py
   catch that one, and go on with whatever hashes are built in.

   All of it is done again at each import, in subinterpreters and free-threaded builds as well, without a lock of its own:
   OPENSSL_init_crypto() loads a configuration once a process and lets other threads wait for it, setting the search
   path to the same value twice is harmless, and the checks only read.

   _hashlib and _ssl have to share one libcrypto: a provider remembers the library that loaded it first, and refuses a
   second one in the same process ("init fail"). Built in, or linked to one shared library, they do.

   Both modules get the attribute `fips_provider`: None when off, else (name, version, build info, path of the module).

   Written for CPython 3.10 to 3.14 and OpenSSL 3.x; Linux and macOS. */

#ifndef FIPS_SWITCH_H
#define FIPS_SWITCH_H

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/conf.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/fips_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "code_file.h"

#ifdef __APPLE__
#  define FIPS_MODULE_FILE "fips.dylib"
#else
#  define FIPS_MODULE_FILE "fips.so"
#endif

static int fips_switch_exec(PyObject *module);

/* Where FIPS mode keeps its files, once the tree is known. All malloc()ed, or NULL. */
typedef struct {
    char *code;     /* the file that this code was loaded from */
    char *tree;     /* the tree it belongs to; NULL: not laid out like one */
    char *marker;
    char *config;
    char *modules;
    char *provider;
} fips_places;

/* Set when FIPS mode is on, for good: libcrypto is shared by all interpreters of the process. Weak, so that _hashlib and
   _ssl have one between them where they are linked together (where they are not, neither is libcrypto). */
__attribute__((weak, visibility("hidden"))) int fips_switch_is_on = 0;

static char *
fips_join(const char *directory, const char *rest)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", directory, rest) < 0 ? NULL : path;
}

/* Cuts the last component off, in place; returns it, or NULL when there is none. */
static const char *
fips_cut(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return NULL;
    }
    *slash = '\0';
    return slash + 1;
}

/* <tree>/bin/X, <tree>/lib/X, <tree>/lib/python3.N/lib-dynload/X → <tree>. NULL for any other place (a build directory,
   a program with libpython linked in): there is no tree then whose owner could have spoken. */
static char *
fips_tree_of(const char *code)
{
    char *tree = strdup(code);
    if (tree == NULL || fips_cut(tree) == NULL) {
        free(tree);
        return NULL;
    }
    const char *directory = fips_cut(tree);
    if (directory != NULL && strcmp(directory, "lib-dynload") == 0) {
        fips_cut(tree);
        directory = fips_cut(tree);
    }
    if (directory == NULL || (strcmp(directory, "bin") != 0 && strcmp(directory, "lib") != 0)) {
        free(tree);
        return NULL;
    }
    return tree;
}

/* The tree that a venv's pyvenv.cfg calls home, for interpreters that were copied into a venv. NULL: no such file. */
static char *
fips_home_of_venv(const char *venv)
{
    char *path = fips_join(venv, "pyvenv.cfg");
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    free(path);
    if (file == NULL) {
        return NULL;
    }
    char *line = NULL, *home = NULL;
    size_t capacity = 0;
    while (home == NULL && getline(&line, &capacity, file) > 0) {
        char *value = strchr(line, '=');
        if (value == NULL || strncmp(line, "home", 4) != 0 || strspn(line + 4, " \t") != (size_t)(value - line) - 4) {
            continue;
        }
        value += 1 + strspn(value + 1, " \t");
        size_t size = strlen(value);
        while (size > 0 && strchr(" \t\r\n", value[size - 1]) != NULL) {
            value[--size] = '\0';
        }
        home = realpath(value, NULL);
        if (home == NULL) {
            break;
        }
    }
    free(line);
    fclose(file);
    if (home != NULL) {
        fips_cut(home);
    }
    return home;
}

static void
fips_forget(fips_places *places)
{
    free(places->code);
    free(places->tree);
    free(places->marker);
    free(places->config);
    free(places->modules);
    free(places->provider);
}

static int
fips_name_files(fips_places *places)
{
    free(places->marker);
    free(places->config);
    free(places->modules);
    free(places->provider);
    places->marker = fips_join(places->tree, "share/ssl/fips-enabled");
    places->config = fips_join(places->tree, "share/ssl/openssl-fips.cnf");
    places->modules = fips_join(places->tree, "share/ssl/ossl-modules");
    places->provider = fips_join(places->tree, "share/ssl/ossl-modules/" FIPS_MODULE_FILE);
    return places->marker && places->config && places->modules && places->provider;
}

/* 1: there, be it a dangling link; 0: not there; -1: can't be told. */
static int
fips_exists(const char *path)
{
    struct stat status;
    if (lstat(path, &status) == 0) {
        return 1;
    }
    return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
}

/* Fills in the places as the code at an address has them. 1: FIPS mode has files there; 0: none; -1: out of memory. */
static int
fips_look_from(uintptr_t address, fips_places *places)
{
    places->code = code_file(address);
    places->tree = places->code != NULL ? fips_tree_of(places->code) : NULL;
    /* A venv's home may be a venv; not without end. */
    for (int depth = 0; places->tree != NULL && depth < 8; depth++) {
        if (!fips_name_files(places)) {
            return -1;
        }
        if (fips_exists(places->marker) != 0 || fips_exists(places->config) != 0) {
            return 1;
        }
        char *home = fips_home_of_venv(places->tree);
        if (home == NULL) {
            break;
        }
        free(places->tree);
        places->tree = home;
    }
    return 0;
}

/* Fills in the places. 0, or -1 when memory ran out.

   First from where the interpreter itself was loaded, the executable or libpython: PYTHONHOME can bring other extension
   modules, but no other interpreter. Then from this module's own file, for programs that have libpython linked in. */
static int
fips_find_places(fips_places *places)
{
    int found = fips_look_from((uintptr_t)&Py_GetVersion, places);
    if (found == 0 && places->code != NULL) {
        fips_places own = {NULL, NULL, NULL, NULL, NULL, NULL};
        found = fips_look_from((uintptr_t)&fips_switch_exec, &own);
        fips_places other = own;
        if (found == 1) {
            other = *places;
            *places = own;
        }
        fips_forget(&other);
    }
    return found < 0 ? -1 : 0;
}

static int
fips_load(const fips_places *places)
{
    OPENSSL_INIT_SETTINGS *settings = OPENSSL_INIT_new();
    int ok = settings != NULL
        && OSSL_PROVIDER_set_default_search_path(NULL, places->modules)
        && OPENSSL_INIT_set_config_filename(settings, places->config);
    if (ok) {
        /* OpenSSL's own default would forgive a missing file and ignore what its sections return. */
        OPENSSL_INIT_set_config_file_flags(settings, 0);
        ok = OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_LOAD_CONFIG, settings);
    }
    OPENSSL_INIT_free(settings);
    return ok;
}

static int
fips_is_file(const char *path, const char *other)
{
    struct stat one, two;
    return strcmp(path, other) == 0
        || (stat(path, &one) == 0 && stat(other, &two) == 0 && one.st_dev == two.st_dev && one.st_ino == two.st_ino);
}

/* Says why FIPS mode does not hold, or fills in `facts` (a new tuple) and returns NULL. */
static const char *
fips_problem(const fips_places *places, PyObject **facts)
{
    const char *problem = NULL;
    char *name = NULL, *version = NULL, *build = NULL;
    int status = 0;
    OSSL_PARAM ask[] = {
        OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_NAME, &name, 0),
        OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_VERSION, &version, 0),
        OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_BUILDINFO, &build, 0),
        OSSL_PARAM_construct_int(OSSL_PROV_PARAM_STATUS, &status),
        OSSL_PARAM_construct_end(),
    };
    Dl_info info;
    EVP_MD *approved = EVP_MD_fetch(NULL, "SHA2-256", "fips=yes");
    EVP_MD *usual = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    EVP_MD *md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    const OSSL_PROVIDER *provider = approved != NULL ? EVP_MD_get0_provider(approved) : NULL;

    if (provider == NULL || strcmp(OSSL_PROVIDER_get0_name(provider), "fips") != 0) {
        problem = "no provider named fips serves SHA-256";
    }
    else if (usual == NULL || EVP_MD_get0_provider(usual) != provider) {
        problem = "SHA-256 comes from another provider by default";
    }
    else if (EVP_default_properties_is_fips_enabled(NULL) != 1) {
        problem = "the default properties don't say fips=yes";
    }
    else if (md5 != NULL) {
        problem = "MD5 is still served by default";
    }
    else if (!OSSL_PROVIDER_get_params(provider, ask) || status != 1) {
        problem = "the provider is not in a working state";
    }
    else if (name == NULL || version == NULL || build == NULL) {
        problem = "the provider does not say what it is";
    }
    else if (dladdr(OSSL_PROVIDER_get0_dispatch(provider), &info) == 0 || info.dli_fname == NULL
             || !fips_is_file(info.dli_fname, places->provider)) {
        problem = "the provider was not loaded from this tree";
    }
    else {
        PyObject *path = PyUnicode_DecodeFSDefault(places->provider);
        *facts = path != NULL ? Py_BuildValue("(sssN)", name, version, build, path) : NULL;
    }
    EVP_MD_free(approved);
    EVP_MD_free(usual);
    EVP_MD_free(md5);
    return problem;
}

/* Loading a configuration, OpenSSL drops the errors of a provider that it could not activate. So the provider is loaded
   once more, on its own in a context of its own, for what it says then. 1 when it loads there. */
static int
fips_load_alone(const fips_places *places)
{
    OSSL_LIB_CTX *context = OSSL_LIB_CTX_new();
    CONF *config = context != NULL ? NCONF_new_ex(context, NULL) : NULL;
    OSSL_PROVIDER *provider = NULL;
    if (config != NULL && NCONF_load(config, places->config, NULL) > 0
        && OSSL_PROVIDER_set_default_search_path(context, places->modules))
    {
        char *mac = NCONF_get_string(config, "fips_sect", OSSL_PROV_FIPS_PARAM_MODULE_MAC);
        OSSL_PARAM with[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_PROV_FIPS_PARAM_MODULE_MAC, mac != NULL ? mac : "", 0),
            OSSL_PARAM_construct_end(),
        };
        ERR_clear_error();
        provider = OSSL_PROVIDER_load_ex(context, "fips", with);
    }
    int loads = provider != NULL && OSSL_PROVIDER_unload(provider);
    NCONF_free(config);
    OSSL_LIB_CTX_free(context);
    return loads;
}

/* All that OpenSSL has to say, emptied out of its queue, as one new string; NULL with an exception set. */
static PyObject *
fips_openssl_errors(void)
{
    PyObject *text = PyUnicode_FromString("");
    const char *data;
    int flags;
    unsigned long code;
    while (text != NULL && (code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        const char *reason = ERR_reason_error_string(code);
        int more = (flags & ERR_TXT_STRING) && data != NULL && *data != '\0';
        PyObject *longer = PyUnicode_FromFormat(
            "%U; %s%s%s", text, reason != NULL ? reason : "unknown error", more ? ": " : "", more ? data : "");
        Py_SETREF(text, longer);
    }
    ERR_clear_error();
    return text;
}

static int
fips_refuse(const fips_places *places, const char *asked_by, const char *problem)
{
    PyObject *errors = fips_openssl_errors();
    const char *file = places->config != NULL ? places->config : places->code;
    PyObject *path = errors != NULL ? PyUnicode_DecodeFSDefault(file != NULL ? file : "unknown") : NULL;
    if (path != NULL) {
        PyErr_Format(PyExc_RuntimeError, "FIPS mode was asked for by %s, but %s (%s: %U%U)", asked_by, problem,
                     places->config != NULL ? "configuration" : "running code", path, errors);
    }
    Py_XDECREF(path);
    Py_XDECREF(errors);
    return -1;
}

/* Turns FIPS mode on where it is asked for. 0 and the facts (None when off), or -1 with an exception set. */
static int
fips_switch(fips_places *places, PyObject **facts)
{
    const char *variable = getenv("PYTHON_FIPS");
    int asked = variable != NULL && *variable != '\0' && strcmp(variable, "0") != 0;
    const char *asked_by = asked ? "PYTHON_FIPS" : "an earlier import";

    if (fips_find_places(places) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    int marked = places->marker != NULL ? fips_exists(places->marker) : 0;
    if (marked < 0 || places->code == NULL) {
        PyObject *what = PyUnicode_DecodeFSDefault(marked < 0 ? places->marker : "the file of the running code");
        if (what != NULL) {
            PyErr_Format(PyExc_RuntimeError, "whether FIPS mode is on can't be told: %U: %s", what, strerror(errno));
            Py_DECREF(what);
        }
        return -1;
    }
    if (marked) {
        asked_by = "share/ssl/fips-enabled";
    }
    if (!asked && !marked && !__atomic_load_n(&fips_switch_is_on, __ATOMIC_ACQUIRE)) {
        *facts = Py_NewRef(Py_None);
        return 0;
    }
    if (places->tree == NULL) {
        return fips_refuse(places, asked_by, "the running code is not in a tree that has share/ssl/openssl-fips.cnf");
    }
    ERR_clear_error();
    if (!fips_load(places)) {
        return fips_refuse(places, asked_by, "its configuration could not be loaded");
    }
    const char *problem = fips_problem(places, facts);
    /* Fetching what was rightly refused left errors behind. */
    ERR_clear_error();
    if (problem != NULL) {
        if (fips_load_alone(places)) {
            /* A configuration is loaded once a process. Objects made from the other one may be in use: there is no way
               back from them. */
            ERR_clear_error();
            ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL,
                           "the provider itself loads; the configuration is wrong, or OpenSSL had been set up with "
                           "another one before (FIPS mode has to be asked for before the first use of OpenSSL)");
        }
        return fips_refuse(places, asked_by, problem);
    }
    if (*facts == NULL) {
        return -1;
    }
    __atomic_store_n(&fips_switch_is_on, 1, __ATOMIC_RELEASE);
    return 0;
}

static int
fips_switch_exec(PyObject *module)
{
    fips_places places = {NULL, NULL, NULL, NULL, NULL, NULL};
    PyObject *facts = NULL;
    int result = fips_switch(&places, &facts);
    fips_forget(&places);
    if (result == 0) {
        result = PyModule_AddObjectRef(module, "fips_provider", facts);
    }
    Py_XDECREF(facts);
    return result;
}

#endif
