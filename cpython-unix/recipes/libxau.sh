#!/bin/sh -eu
# libXau: how an X11 program finds its key to the server. Static, hidden symbols. Leaves lib/libXau.a, include/X11/Xauth.h,
# lib/pkgconfig/xau.pc.
./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --disable-shared --enable-static
make libXau.la
make install-libLTLIBRARIES install-xauincludeHEADERS install-pkgconfigDATA DESTDIR="$DESTDIR"
rm -f "$DESTDIR$PREFIX/lib/libXau.la"
