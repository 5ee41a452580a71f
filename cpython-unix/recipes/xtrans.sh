#!/bin/sh -eu
# xtrans: the code by which libX11 reaches a server, which it compiles into itself. Leaves include/X11/Xtrans,
# lib/pkgconfig/xtrans.pc.
# Upstream's tarball has a configure script; a distribution's package of the files has them ready.
mkdir -p "$DESTDIR$PREFIX/include/X11/Xtrans" "$DESTDIR$PREFIX/lib/pkgconfig"
if [ -d include/X11/Xtrans ]; then
  cp include/X11/Xtrans/* "$DESTDIR$PREFIX/include/X11/Xtrans"
else
  cp Xtrans.c Xtrans.h Xtransint.h Xtranslcl.c Xtranssock.c Xtransutil.c transport.c "$DESTDIR$PREFIX/include/X11/Xtrans"
fi
cat > "$DESTDIR$PREFIX/lib/pkgconfig/xtrans.pc" <<END
Name: XTrans
Description: Abstract network code for X
Version: ${VERSION%%-*}
Cflags: -I$PREFIX/include -D_DEFAULT_SOURCE
END
