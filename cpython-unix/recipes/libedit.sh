#!/bin/sh -eu
# libedit: static, hidden symbols, on ncursesw. Leaves lib/libedit.a, include/editline/readline.h, include/histedit.h,
# lib/pkgconfig/libedit.pc. It is what CPython's readline module uses: GNU readline's licence is not Python's.
# configure knows ncurses only under its narrow name.
sed -i 's/-lncurses/-lncursesw/g' configure
grep -q 'lncursesw' configure
# A signal that a Python program gets while it reads a line is for that program, not for its whole process group.
sed -i 's/(void) *kill(0, signo)/(void) raise(signo)/' src/sig.c
grep -q 'raise(signo)' src/sig.c
CPPFLAGS="$CPPFLAGS -I$PREFIX/include" LDFLAGS="$LDFLAGS -L$PREFIX/lib" \
  ./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --disable-shared --disable-examples
make -C src
make -C src install DESTDIR="$DESTDIR"
make install-pkgconfigDATA DESTDIR="$DESTDIR"
rm -f "$DESTDIR$PREFIX/lib/libedit.la"
