#!/bin/sh -eu
# bzip2: libbz2 only, static, hidden symbols. Leaves lib/libbz2.a, include/bzlib.h, lib/pkgconfig/bzip2.pc.
# It has neither a configure script nor a .pc file; CPython's configure looks for one from 3.12 on.
make libbz2.a CC="$CC" AR="$AR" RANLIB="$RANLIB" CFLAGS="$CFLAGS -D_FILE_OFFSET_BITS=64"
install -D -m 644 libbz2.a "$DESTDIR$PREFIX/lib/libbz2.a"
install -D -m 644 bzlib.h "$DESTDIR$PREFIX/include/bzlib.h"
mkdir -p "$DESTDIR$PREFIX/lib/pkgconfig"
cat > "$DESTDIR$PREFIX/lib/pkgconfig/bzip2.pc" <<END
Name: bzip2
Description: Lossless, block-sorting data compression
Version: $VERSION
Libs: -L$PREFIX/lib -lbz2
Cflags: -I$PREFIX/include
END
