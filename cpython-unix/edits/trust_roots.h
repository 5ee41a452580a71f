/* Where the system keeps the certificates that it trusts.

   OpenSSL's own places come first: a file and a directory below /etc/ssl (Debian, Alpine, Arch, SUSE, macOS). Where those
   hold nothing, the places of other systems are looked at. Where SSL_CERT_FILE or SSL_CERT_DIR is set, nothing is looked
   for: it is all as OpenSSL has it. */

#ifndef TRUST_ROOTS_H
#define TRUST_ROOTS_H

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static const char *const trust_roots_files[] = {
    "/etc/pki/tls/cert.pem",                                /* Red Hat, Fedora, Amazon: up to RHEL 9 and Fedora 42 */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",    /* the same, later ones as well */
    "/etc/ssl/certs/ca-certificates.crt",                   /* images into which only Debian's or Alpine's bundle was put */
    "/etc/ssl/ca-bundle.pem",                               /* SUSE */
    NULL,
};

static const char *const trust_roots_directories[] = {
    "/etc/pki/tls/certs",
    NULL,
};

static int
trust_roots_is(const char *path, mode_t kind)
{
    struct stat found;
    return stat(path, &found) == 0 && (found.st_mode & S_IFMT) == kind;
}

/* Whether a directory has certificates by the names that OpenSSL looks them up by: 8 hexadecimal digits, a dot, a number. */
static int
trust_roots_are_in(const char *directory)
{
    DIR *entries = opendir(directory);
    int found = 0;
    struct dirent *entry;
    while (entries != NULL && !found && (entry = readdir(entries)) != NULL) {
        const char *name = entry->d_name;
        found = strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && isdigit((unsigned char)name[9]);
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return found;
}

/* Whether OpenSSL's own places are to be taken as they are. */
static int
trust_roots_are_settled(void)
{
    return getenv(X509_get_default_cert_file_env()) != NULL || getenv(X509_get_default_cert_dir_env()) != NULL
        || trust_roots_is(X509_get_default_cert_file(), S_IFREG) || trust_roots_are_in(X509_get_default_cert_dir());
}

/* The file of trusted certificates, as X509_get_default_cert_file(): whether there is one is another question. */
static const char *
trust_roots_file(void)
{
    if (!trust_roots_are_settled()) {
        for (const char *const *file = trust_roots_files; *file != NULL; file++) {
            if (trust_roots_is(*file, S_IFREG)) {
                return *file;
            }
        }
    }
    return X509_get_default_cert_file();
}

/* The same for the directory. */
static const char *
trust_roots_directory(void)
{
    if (!trust_roots_are_settled()) {
        for (const char *const *directory = trust_roots_directories; *directory != NULL; directory++) {
            if (trust_roots_is(*directory, S_IFDIR)) {
                return *directory;
            }
        }
    }
    return X509_get_default_cert_dir();
}

/* As SSL_CTX_set_default_verify_paths(), which says 1 even where it found nothing that it could load. */
static int
trust_roots_set_default(SSL_CTX *context)
{
    const char *file = trust_roots_file(), *directory = trust_roots_directory();
    if (!SSL_CTX_set_default_verify_paths(context)) {
        return 0;
    }
    ERR_set_mark();
    if (strcmp(file, X509_get_default_cert_file()) != 0) {
        SSL_CTX_load_verify_file(context, file);
    }
    if (strcmp(directory, X509_get_default_cert_dir()) != 0) {
        SSL_CTX_load_verify_dir(context, directory);
    }
    ERR_pop_to_mark();
    return 1;
}

#endif
