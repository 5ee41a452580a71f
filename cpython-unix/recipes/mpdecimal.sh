#!/bin/sh -eu
# mpdecimal: libmpdec only, static, hidden symbols. Leaves lib/libmpdec.a, include/mpdecimal.h, lib/pkgconfig/libmpdec.pc.
./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --disable-cxx --disable-shared --disable-doc
make
make install DESTDIR="$DESTDIR"
rm -rf "$DESTDIR$PREFIX/share"
