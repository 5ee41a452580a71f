#!/bin/sh -eu
# libuuid: of util-linux the one library, static, hidden symbols. Leaves lib/libuuid.a, include/uuid/uuid.h,
# lib/pkgconfig/uuid.pc. Time-based UUIDs keep their clock in /var/lib/libuuid where that can be written, as a system's do.
./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --localstatedir=/var --disable-shared --enable-static \
  --disable-all-programs --enable-libuuid --disable-nls --disable-rpath --disable-asciidoc --disable-poman \
  --without-python --without-systemd --without-udev --without-econf --without-tinfo --without-ncurses --without-ncursesw
make
make install DESTDIR="$DESTDIR"
rm -f "$DESTDIR$PREFIX/lib/libuuid.la"
rm -rf "$DESTDIR$PREFIX/share" "${DESTDIR:?}/var"
