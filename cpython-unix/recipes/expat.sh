#!/bin/sh -eu
# expat: static, hidden symbols. Leaves lib/libexpat.a, include/expat{,_external}.h, lib/pkgconfig/expat.pc.
# Upstream's tarball has a configure script and lib/ at its top; a distribution's is the repository, without the script and
# one folder deeper. The library is a handful of files, so they are compiled by hand, the same way from both.
if [ -d expat/lib ]; then
  cd expat
fi
case $TARGET in
  *-linux-*) random="-DHAVE_SYSCALL_GETRANDOM -DXML_DEV_URANDOM" ;; # getrandom() itself is younger than glibc 2.17
  *-darwin*) random="-DHAVE_ARC4RANDOM_BUF" ;;
esac
: > expat_config.h
objects=
for file in lib/xmlparse.c lib/xmlrole.c lib/xmltok.c lib/random_*.c; do
  case $file in
    # Each way of getting random bytes refuses to be compiled where it is not wanted.
    lib/random_dev_urandom.c) case $random in *XML_DEV_URANDOM*) ;; *) continue ;; esac ;;
    lib/random_getrandom.c) case $random in *GETRANDOM*) ;; *) continue ;; esac ;;
    lib/random_arc4random_buf.c) case $random in *ARC4RANDOM_BUF*) ;; *) continue ;; esac ;;
    lib/random_*) continue ;;
  esac
  object=${file%.c}.o
  # shellcheck disable=SC2086 # the flags are several words
  "$CC" $CPPFLAGS $CFLAGS -std=c99 -D_GNU_SOURCE -I. -Ilib $random -DBYTEORDER=1234 \
    -DXML_NS -DXML_DTD -DXML_GE=1 -DXML_CONTEXT_BYTES=1024 -DHAVE_UNISTD_H -DHAVE_FCNTL_H -c "$file" -o "$object"
  objects="$objects $object"
done
# shellcheck disable=SC2086
"$AR" rcs libexpat.a $objects
# A program with nothing but expat in it: the list of files above is whole.
echo '#include "expat.h"
int main(void) { return XML_ParserCreate(0) == 0; }' > whole.c
"$CC" -Ilib whole.c libexpat.a -lm -o whole
./whole
install -D -m 644 libexpat.a "$DESTDIR$PREFIX/lib/libexpat.a"
install -D -m 644 lib/expat.h "$DESTDIR$PREFIX/include/expat.h"
install -D -m 644 lib/expat_external.h "$DESTDIR$PREFIX/include/expat_external.h"
# expat.h includes what configure would have written where a program asks for it.
mkdir -p "$DESTDIR$PREFIX/lib/pkgconfig"
cat > "$DESTDIR$PREFIX/lib/pkgconfig/expat.pc" <<END
Name: expat
Description: expat XML parser
Version: $VERSION
Libs: -L$PREFIX/lib -lexpat
Cflags: -I$PREFIX/include
END
