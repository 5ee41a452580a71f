#!/bin/sh -eu
# libxcb: the X11 protocol, no extension of it: libX11 uses none through it. Static, hidden symbols. Leaves lib/libxcb.a,
# include/xcb, lib/pkgconfig/xcb.pc.
extensions=
for name in composite damage dbe dpms dri2 dri3 glx present randr record render resource screensaver shape shm sync \
  xevie xfixes xfree86-dri xinerama xinput xkb xprint selinux xtest xv xvmc ge; do
  extensions="$extensions --disable-$name"
done
# shellcheck disable=SC2086 # they are several words
./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --disable-shared --enable-static \
  --disable-devel-docs --without-doxygen $extensions PYTHON=python3
PYTHONDONTWRITEBYTECODE=1 make -C src
make -C src install DESTDIR="$DESTDIR"
make install-pkgconfigDATA DESTDIR="$DESTDIR"
rm -f "$DESTDIR$PREFIX"/lib/*.la "$DESTDIR$PREFIX/lib/pkgconfig"/xcb-*.pc
rm -rf "$DESTDIR$PREFIX/share"
