#!/bin/sh -eu
# expat: static, hidden symbols. Leaves lib/libexpat.a, include/expat{,_external,_config}.h, lib/pkgconfig/expat.pc.
# Upstream's tarball has a configure script and lib/ at its top; a distribution's is the repository, without the script and
# one folder deeper. The library is a handful of files, so they are compiled by hand, the same way from both.
if [ -d expat/lib ]; then
  cd expat
fi
case $TARGET in
  *-linux-*) # getrandom() itself is younger than glibc 2.17
    ways="random_getrandom random_dev_urandom"
    sources_of_chance="HAVE_SYSCALL_GETRANDOM XML_DEV_URANDOM"
    ;;
  *-darwin*)
    ways=random_arc4random_buf
    sources_of_chance=HAVE_ARC4RANDOM_BUF
    ;;
esac
# What configure would write; CPython's pyexpat reads it too, to know what this expat can do.
{
  for name in $sources_of_chance HAVE_FCNTL_H HAVE_UNISTD_H XML_DTD XML_GE XML_NS; do
    echo "#define $name 1"
  done
  echo '#define BYTEORDER 1234
#define XML_CONTEXT_BYTES 1024'
} > expat_config.h
# Its scanners are loops around a switch. Where clang turns one into a table of numbers, each character waits for the
# load before it: a third of the time that parsing ordinary XML takes (docs/performance.md).
CFLAGS="$CFLAGS -mllvm -switch-to-lookup=false"
objects=
for name in xmlparse xmlrole xmltok $ways; do
  if [ -f "lib/$name.c" ]; then # before 2.8 the ways to get random bytes are in xmlparse.c
    # shellcheck disable=SC2086 # the flags are several words
    "$CC" $CPPFLAGS $CFLAGS -std=c99 -D_GNU_SOURCE -I. -Ilib -c "lib/$name.c" -o "$name.o"
    objects="$objects $name.o"
  fi
done
# shellcheck disable=SC2086
"$AR" rcs libexpat.a $objects

# A program with nothing but expat in it proves that the list of files is whole.
echo '#include "expat.h"
int main(void) { return XML_ParserCreate(0) == 0; }' > whole.c
"$CC" -Ilib whole.c libexpat.a -o whole
case $(uname -s)-$TARGET in
  Linux-*-darwin*) ;; # it links, and that is all that can be seen there
  *) ./whole ;;
esac

install -D -m 644 libexpat.a "$DESTDIR$PREFIX/lib/libexpat.a"
install -D -m 644 lib/expat.h "$DESTDIR$PREFIX/include/expat.h"
install -D -m 644 expat_config.h "$DESTDIR$PREFIX/include/expat_config.h"
install -D -m 644 lib/expat_external.h "$DESTDIR$PREFIX/include/expat_external.h"
mkdir -p "$DESTDIR$PREFIX/lib/pkgconfig"
cat > "$DESTDIR$PREFIX/lib/pkgconfig/expat.pc" <<END
Name: expat
Description: expat XML parser
Version: $VERSION
Libs: -L$PREFIX/lib -lexpat
Cflags: -I$PREFIX/include
END
