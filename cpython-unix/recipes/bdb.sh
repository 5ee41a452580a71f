#!/bin/sh -eu
# bdb: Berkeley DB with its dbm interface, which is all that Python's dbm.ndbm uses of it. Static, hidden symbols.
# Leaves lib/libdb.a, include/db.h.
# The library has a function of the name of one of clang's own.
sed -i 's/__atomic_compare_exchange/__db_atomic_compare_exchange/' src/dbinc/atomic.h
cd build_unix
# -std=gnu89: the tests of its configure, of 2013, are not C of today, and would all be answered by no.
CFLAGS="$CFLAGS -std=gnu89 -Wno-deprecated-non-prototype" \
  ../dist/configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --disable-shared --enable-static \
  --enable-dbm --disable-replication --with-mutex=POSIX/pthreads ac_cv_func_pthread_yield=no
make libdb.a
mkdir -p "$DESTDIR$PREFIX/lib"
cp -L libdb.a "$DESTDIR$PREFIX/lib/libdb.a"
install -D -m 644 db.h "$DESTDIR$PREFIX/include/db.h"
