#!/bin/sh -eu
# libffi: static, hidden symbols. Leaves lib/libffi.a, include/ffi*.h, lib/pkgconfig/libffi.pc.
# Before 3.4.5 one file calls a function of another that no header declares, which clang 16 and newer refuse.
grep -q 'open_temp_exec_file (void)' include/ffi_common.h ||
  sed -i 's/^#include <tramp.h>/&\nint open_temp_exec_file (void);/' src/tramp.c
# Before 3.4.7 call frames begin above the label, which Mach-O's assembler refuses from clang 17 on (libffi/libffi#852).
case $TARGET in
  *-darwin*) perl -0pi -e 's/(\tcfi_startproc\n)(CNAME\(\w+\):\n)/$2$1/g' src/aarch64/sysv.S ;;
esac
./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --disable-shared --disable-docs \
  --disable-multi-os-directory
make
make install DESTDIR="$DESTDIR"
rm -f "$DESTDIR$PREFIX/lib/libffi.la"
rm -rf "$DESTDIR$PREFIX/share"
