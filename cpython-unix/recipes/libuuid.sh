#!/bin/sh -eu
# libuuid: of util-linux the one library, static, hidden symbols. Leaves lib/libuuid.a, include/uuid/uuid.h,
# lib/pkgconfig/uuid.pc.
./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --disable-shared --enable-static \
  --disable-all-programs --enable-libuuid --disable-nls --disable-rpath --disable-asciidoc --disable-poman \
  --without-python --without-systemd --without-udev --without-econf --without-tinfo --without-ncurses --without-ncursesw
make
make install DESTDIR="$DESTDIR"
rm -f "$DESTDIR$PREFIX/lib/libuuid.la"
rm -rf "$DESTDIR$PREFIX/share"
