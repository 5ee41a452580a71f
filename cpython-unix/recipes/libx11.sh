#!/bin/sh -eu
# libX11: static, hidden symbols, on libxcb. Leaves lib/libX11.a, include/X11/*.h, lib/pkgconfig/x11.pc.
# Its tables of locales, compose keys and errors are the system's, in the place where systems have them; without any, text
# is plain and errors are numbers.
# The answer about malloc(0) is glibc's; configure would ask it by running a program.
CPPFLAGS="$CPPFLAGS -I$PREFIX/include" CC_FOR_BUILD="${CC_FOR_BUILD:-$CC}" \
  ./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --datadir=/usr/share \
  --disable-shared --enable-static --disable-specs --disable-loadable-xcursor --disable-malloc0returnsnull \
  --without-xmlto --without-fop --without-xsltproc --without-launchd
make -C include
make -C modules
make -C src
make -C include install DESTDIR="$DESTDIR"
make -C src install DESTDIR="$DESTDIR"
make install-pkgconfigDATA DESTDIR="$DESTDIR"
rm -f "$DESTDIR$PREFIX"/lib/*.la "$DESTDIR$PREFIX/lib/libX11-xcb.a" "$DESTDIR$PREFIX/lib/pkgconfig/x11-xcb.pc"
rm -rf "${DESTDIR:?}/usr"
