#!/bin/sh -eu
# sqlite: the library only, static, hidden symbols, with the extensions that people expect from Python's sqlite3.
# Leaves lib/libsqlite3.a, include/sqlite3{,ext}.h, lib/pkgconfig/sqlite3.pc.
# Two tarballs carry a release: upstream's has sqlite3.c ready, a distribution's is the whole tree that makes it first.
# Neither needs tclsh: both bring a small Tcl of their own, which configure compiles.
CFLAGS="$CFLAGS -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_FTS3 -DSQLITE_ENABLE_FTS3_PARENTHESIS \
-DSQLITE_ENABLE_FTS4 -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_GEOPOLY -DSQLITE_ENABLE_RTREE"
set -- --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --disable-shared --disable-readline
if [ ! -f sqlite3.c ]; then
  set -- "$@" --disable-tcl
fi
# CC_FOR_BUILD compiles that small Tcl; autosetup_tclsh=jimsh0 keeps an installed tclsh from being taken instead.
CC_FOR_BUILD="$CC" ./configure "$@"
make libsqlite3.a
make install-lib install-headers install-pc DESTDIR="$DESTDIR"
