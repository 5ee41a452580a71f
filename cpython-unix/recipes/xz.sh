#!/bin/sh -eu
# xz: liblzma only, static, hidden symbols. Leaves lib/liblzma.a, include/lzma*, lib/pkgconfig/liblzma.pc.
# gl_cv_cc_visibility=no: else its API is marked as exported, whatever -fvisibility says.
./configure --host="$TARGET" --prefix="$PREFIX" --disable-shared --disable-nls \
  --disable-xz --disable-xzdec --disable-lzmadec --disable-lzmainfo --disable-scripts --disable-doc \
  gl_cv_cc_visibility=no
make
make install DESTDIR="$DESTDIR"
rm -f "$DESTDIR$PREFIX/lib/liblzma.la"
