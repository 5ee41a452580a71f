#!/bin/sh -eu
# ncurses: wide characters, static, hidden symbols. Leaves lib/lib{ncursesw,panelw}.a, the headers directly in include/,
# lib/pkgconfig/*.pc and the terminal descriptions in share/terminfo.
# The library looks for descriptions where systems have theirs; a shipped copy is found through TERMINFO_DIRS.
descriptions=/usr/share/terminfo
./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" \
  --without-shared --without-debug --without-ada --without-cxx --without-cxx-binding --without-tests --without-manpages \
  --without-gpm --without-dlsym --without-develop --disable-stripping \
  --enable-widec --enable-overwrite --enable-symlinks --enable-pc-files --with-pkg-config-libdir="$PREFIX/lib/pkgconfig" \
  --datadir=/usr/share --with-default-terminfo-dir="$descriptions" \
  --with-terminfo-dirs="/etc/terminfo:/lib/terminfo:$descriptions"
make
make install DESTDIR="$DESTDIR"
mkdir -p "$DESTDIR$PREFIX/share"
mv "$DESTDIR$descriptions" "$DESTDIR$PREFIX/share/terminfo"
rm -rf "${DESTDIR:?}/usr" "$DESTDIR${PREFIX:?}/bin" "$DESTDIR$PREFIX/lib/terminfo"
rm -f "$DESTDIR$PREFIX"/lib/lib*form* "$DESTDIR$PREFIX"/lib/lib*menu* "$DESTDIR$PREFIX"/lib/pkgconfig/*form* \
  "$DESTDIR$PREFIX"/lib/pkgconfig/*menu*
