#!/bin/sh -eu
# zlib: static, hidden symbols. Leaves lib/libz.a, include/{zlib,zconf}.h, lib/pkgconfig/zlib.pc.
# Its configure knows no --host and takes the compiler from the environment.
./configure --static --prefix="$PREFIX"
make libz.a
make install DESTDIR="$DESTDIR"
rm -r "$DESTDIR$PREFIX/share"
