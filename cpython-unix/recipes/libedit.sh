#!/bin/sh -eu
# libedit: static, hidden symbols, on ncursesw. Leaves lib/libedit.a, include/editline/readline.h, include/histedit.h,
# lib/pkgconfig/libedit.pc. It is what CPython's readline module uses: GNU readline's licence is not Python's.
# configure knows ncurses only under its narrow name.
sed -i 's/-lncurses/-lncursesw/g' configure
grep -q 'lncursesw' configure
# A signal that a Python program gets while it reads a line is for that program, not for its whole process group.
sed -i 's/(void) *kill(0, signo)/(void) raise(signo)/' src/sig.c
grep -q 'raise(signo)' src/sig.c
# A history file that was cut to a length keeps its first line: without that it can't be read again (gnats.netbsd.org/60322).
sed -i -e '/^static const char _history_tmp_template/i\
static off_t first_entry(FILE *file)\
{\
	static const char cookie[] = "_HiStOrY_V2_\\n";\
	char head[sizeof(cookie) - 1];\
	rewind(file);\
	return fread(head, sizeof(head), 1, file) == 1 \&\& !memcmp(head, cookie, sizeof(head)) ? (off_t)sizeof(head) : 0;\
}\
' -e '/^history_truncate_file/,/^}/s/fseeko(fp, (off_t)0, SEEK_SET)/fseeko(fp, first_entry(tp), SEEK_SET)/' src/readline.c
grep -q 'fseeko(fp, first_entry(tp), SEEK_SET)' src/readline.c
grep -q '^static off_t first_entry' src/readline.c
grep -q '"_HiStOrY_V2_.n";' src/history.c # what it looks for is what is written
CPPFLAGS="$CPPFLAGS -I$PREFIX/include" LDFLAGS="$LDFLAGS -L$PREFIX/lib" \
  ./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --disable-shared --disable-examples
make -C src
make -C src install DESTDIR="$DESTDIR"
make install-pkgconfigDATA DESTDIR="$DESTDIR"
rm -f "$DESTDIR$PREFIX/lib/libedit.la"
