#!/bin/sh -eu
# ncurses: wide characters, static, hidden symbols. Leaves lib/lib{ncursesw,panelw}.a, the headers directly in include/,
# lib/pkgconfig/*.pc and the terminal descriptions in share/terminfo.
# The library looks for descriptions where systems have theirs; a shipped copy is found through TERMINFO_DIRS.
descriptions=/usr/share/terminfo

# Its header marks the whole API as exported, whatever -fvisibility says.
sed -i 's/__attribute__((visibility ("default")))//' include/ncurses_dll.h.in
! grep -q visibility include/ncurses_dll.h.in || { echo "ncurses: ncurses_dll.h.in still exports" >&2; exit 1; }

./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" \
  --without-shared --without-debug --without-ada --without-cxx --without-cxx-binding --without-tests --without-manpages \
  --without-gpm --without-dlsym --without-develop --disable-stripping \
  --enable-widec --enable-overwrite --enable-symlinks --enable-pc-files --with-pkg-config-libdir="$PREFIX/lib/pkgconfig" \
  --datadir=/usr/share --with-default-terminfo-dir="$descriptions" \
  --with-terminfo-dirs="/etc/terminfo:/lib/terminfo:$descriptions" \
  cf_cv_ar_flags=-crD # its own choice has a U: keep the time of the build in the archive
make
make install.libs install.includes install.data DESTDIR="$DESTDIR"
mkdir -p "$DESTDIR$PREFIX/share"
mv "$DESTDIR$descriptions" "$DESTDIR$PREFIX/share/terminfo"
rm -rf "${DESTDIR:?}/usr" "$DESTDIR${PREFIX:?}/bin" "$DESTDIR$PREFIX/lib/terminfo"
for name in form menu; do # nothing in CPython uses them
  rm "$DESTDIR$PREFIX/include/$name.h" "$DESTDIR$PREFIX/lib/lib${name}w.a" "$DESTDIR$PREFIX/lib/pkgconfig/${name}w.pc"
done
