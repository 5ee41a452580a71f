#!/bin/sh -eu
# xorgproto: the X11 protocol's headers. Leaves include/X11, lib/pkgconfig/*.pc.
# Upstream's tarball has a configure script; a distribution's package of the headers has them ready.
if [ -f configure ]; then
  ./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --without-xmlto --without-fop --without-xsltproc
  make install-data DESTDIR="$DESTDIR" pkgconfigdir="$PREFIX/lib/pkgconfig" pkgconfdir="$PREFIX/lib/pkgconfig"
  rm -rf "$DESTDIR$PREFIX/share"
else
  mkdir -p "$DESTDIR$PREFIX/include" "$DESTDIR$PREFIX/lib/pkgconfig"
  cp -R include/X11 "$DESTDIR$PREFIX/include/X11"
  cp share/pkgconfig/*.pc "$DESTDIR$PREFIX/lib/pkgconfig"
  sed -i "s,^prefix=.*,prefix=$PREFIX," "$DESTDIR$PREFIX"/lib/pkgconfig/*.pc
fi
# They only describe what a server speaks.
for header in X.h Xproto.h Xfuncproto.h keysymdef.h extensions/XKBproto.h; do
  test -s "$DESTDIR$PREFIX/include/X11/$header"
done
