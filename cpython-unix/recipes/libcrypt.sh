#!/bin/sh -eu
# libcrypt: a stub to link CPython's _crypt with, up to 3.12, and the header. The library itself is the system's, as in
# python-build-standalone, and the only module that needs it does not import where there is none. It comes without a
# source: the seven names are those of glibc 2.17, whose libcrypt zig's list of symbols leaves out.
# Leaves lib/libcrypt.so, lib/libcrypt/libcrypt.so.1 (to import the module with, where the machine has none), include/crypt.h.
case $TARGET in
x86_64-*) version=GLIBC_2.2.5 ;;
aarch64-*) version=GLIBC_2.17 ;;
*) echo "libcrypt: the version of the symbols of glibc for $TARGET is not known; add it here" >&2; exit 1 ;;
esac
{
  for name in crypt crypt_r encrypt encrypt_r fcrypt setkey setkey_r; do
    echo "void $name(void) {}"
  done
} >stub.c
echo "$version { global: crypt; crypt_r; encrypt; encrypt_r; fcrypt; setkey; setkey_r; local: *; };" >stub.map
mkdir -p "$DESTDIR$PREFIX/lib/libcrypt" "$DESTDIR$PREFIX/include"
"$CC" -fno-builtin -fPIC -shared -nostdlib -Wl,-soname,libcrypt.so.1 -Wl,--version-script=stub.map stub.c \
  -o "$DESTDIR$PREFIX/lib/libcrypt.so"
ln -s ../libcrypt.so "$DESTDIR$PREFIX/lib/libcrypt/libcrypt.so.1"
# glibc's own struct crypt_data has its parts in names; all that callers may touch is `initialized`, or the whole of it.
cat >"$DESTDIR$PREFIX/include/crypt.h" <<END
#ifndef CRYPT_H
#define CRYPT_H
#ifdef __cplusplus
extern "C" {
#endif
struct crypt_data {
    char internal[131228];
    int initialized;
};
char *crypt(const char *key, const char *salt);
char *crypt_r(const char *key, const char *salt, struct crypt_data *data);
#ifdef __cplusplus
}
#endif
#endif
END
