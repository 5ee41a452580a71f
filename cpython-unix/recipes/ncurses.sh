#!/bin/sh -eu
# ncurses: wide characters, static, hidden symbols. Leaves lib/lib{ncursesw,panelw}.a, the headers directly in include/,
# lib/pkgconfig/*.pc and the terminal descriptions in share/terminfo.
# The library looks for descriptions where systems have theirs. Where a system has none, as small containers do, it knows
# the terminals below by itself; all others are in the shipped copy, for those who set TERMINFO_DIRS.
descriptions=/usr/share/terminfo
terminals='ansi dumb linux vt100 vt102 vt220 xterm xterm-color xterm-256color screen screen-256color tmux tmux-256color
  rxvt rxvt-256color alacritty foot gnome-256color konsole-256color putty-256color vte-256color wezterm'

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

# Compiled by the tic that was just built; a cross build can't run it, and takes the machine's, as ncurses itself does.
tic=$PWD/progs/tic infocmp=$PWD/progs/infocmp
"$tic" -V || tic=tic infocmp=infocmp
for terminal in $terminals; do
  grep -q "^$terminal|" misc/terminfo.src || { echo "ncurses: this release does not describe $terminal" >&2; exit 1; }
done
# shellcheck disable=SC2086
sh -e ncurses/tinfo/MKfallback.sh "$descriptions" "$PWD/misc/terminfo.src" "$tic" "$infocmp" $terminals > fallback.c
mv fallback.c ncurses/fallback.c
make
make install.libs install.includes install.data DESTDIR="$DESTDIR"
mkdir -p "$DESTDIR$PREFIX/share"
mv "$DESTDIR$descriptions" "$DESTDIR$PREFIX/share/terminfo"
rm -rf "${DESTDIR:?}/usr" "$DESTDIR${PREFIX:?}/bin" "$DESTDIR$PREFIX/lib/terminfo"
for name in form menu; do # nothing in CPython uses them
  rm "$DESTDIR$PREFIX/include/$name.h" "$DESTDIR$PREFIX/lib/lib${name}w.a" "$DESTDIR$PREFIX/lib/pkgconfig/${name}w.pc"
done
