#!/bin/sh -eu
# zstd: libzstd only, static, with threads, hidden symbols. Leaves lib/libzstd.a, include/z{std,std_errors,dict}.h,
# lib/pkgconfig/libzstd.pc. The three macros would else mark its API as exported.
export CPPFLAGS="$CPPFLAGS -DZSTDLIB_VISIBLE= -DZSTDERRORLIB_VISIBLE= -DZDICTLIB_VISIBLE="
# clang unrolls the loops that copy matches, most of which are a few bytes long: to unpack took a quarter more time.
export CFLAGS="$CFLAGS -fno-unroll-loops"
cd lib
make libzstd.a CPPFLAGS_STATICLIB=-DZSTD_MULTITHREAD
make install-static install-includes install-pc MT=1 PREFIX="$PREFIX" DESTDIR="$DESTDIR" \
  CPPFLAGS_STATICLIB=-DZSTD_MULTITHREAD
