#!/bin/sh -eu
# tcl: libtcl as a shared library, which Tk and whatever scripts load need, with zlib hidden inside, and its scripts.
# Leaves lib/libtcl8.6.so (macOS: .dylib), lib/libtclstub8.6.a, lib/tcl8.6, lib/tcl8, lib/tclConfig.sh, include/tcl*.h.
cd unix

# The scripts are found from where the library is, at every start and in every interpreter that a script makes.
sed -i -e '1i #define _GNU_SOURCE' -e "s,^static char defaultLibraryDir.*,&\n#include \"$DATA/recipes/tcl-beside.h\"," \
  -e 's,str = defaultLibraryDir;,str = LibraryBesideThis();,' \
  -e 's/^    p = pkgPath;/    Tcl_SetVar2(interp, "tclDefaultLibrary", NULL, LibraryBesideThis(), TCL_GLOBAL_ONLY);\n&/' tclUnixInit.c
[ "$(grep -c 'LibraryBesideThis()\|tcl-beside.h' tclUnixInit.c)" = 3 ] ||
  { echo "tcl: tclUnixInit.c of Tcl $VERSION looks for its scripts in another way" >&2; exit 1; }

case $TARGET in
*-darwin*) hide= ;;
*) hide=-Wl,--exclude-libs,ALL ;;
esac
# Time zones are the system's: what configure would find out about the building machine's.
CPPFLAGS="$CPPFLAGS -I$PREFIX/include" LDFLAGS="$LDFLAGS -L$PREFIX/lib $hide" \
  ./configure --host="$TARGET" --build="$BUILD_TRIPLE" --prefix="$PREFIX" \
  --enable-shared --enable-threads --disable-rpath --disable-symbols --without-tzdata
# A package of the building machine's is nobody's.
set -- TCL_PACKAGE_PATH= DYLIB_INSTALL_DIR=@rpath
make binaries libraries "$@"
make install-binaries install-libraries install-msgs install-headers install-private-headers DESTDIR= \
  INSTALL_ROOT="$DESTDIR" "$@"
rm -rf "$DESTDIR${PREFIX:?}/bin" "$DESTDIR$PREFIX/lib/pkgconfig" "$DESTDIR$PREFIX/lib/tcl8.6/tclAppInit.c"
chmod u+w "$DESTDIR$PREFIX"/lib/libtcl8.6.*
