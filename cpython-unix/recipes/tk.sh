#!/bin/sh -eu
# tk: libtk as a shared library with the X11 libraries hidden inside, so that it needs none of the system's, and its
# scripts, which Tcl finds beside its own. Text is drawn by the X server: no Xft, as in python-build-standalone.
# Leaves lib/libtk8.6.so (macOS: .dylib, on Aqua), lib/libtkstub8.6.a, lib/tk8.6, lib/tkConfig.sh, include/tk*.h.
cd unix
case $TARGET in
*-darwin*)
  set -- --enable-aqua=yes --without-x
  hide=
  ;;
*)
  set -- --with-x --x-includes="$PREFIX/include" --x-libraries="$PREFIX/lib" --disable-xft --disable-xss
  hide=-Wl,--exclude-libs,ALL
  ;;
esac
CPPFLAGS="$CPPFLAGS -I$PREFIX/include" LDFLAGS="$LDFLAGS -L$PREFIX/lib $hide" \
  ./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" --with-tcl="$PREFIX/lib" \
  --enable-shared --enable-threads --disable-rpath --disable-symbols "$@"
set -- DYLIB_INSTALL_DIR=@rpath
case $TARGET in
# What libX11.a needs, since it is static.
*-linux-*) set -- "$@" X11_LIB_SWITCHES="-L$PREFIX/lib -lX11 -lxcb -lXau" ;;
esac
make binaries libraries "$@"
make install-binaries install-libraries install-headers DESTDIR= INSTALL_ROOT="$DESTDIR" "$@"
rm -rf "$DESTDIR${PREFIX:?}/bin" "$DESTDIR$PREFIX/lib/pkgconfig" "$DESTDIR$PREFIX/lib/tk8.6/tkAppInit.c"
chmod u+w "$DESTDIR$PREFIX"/lib/libtk8.6.*
