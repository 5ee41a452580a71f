# CPython as it ships. Leaves python/install, the tree that users unpack, and python/build, what it was linked from.

. "$DATA/recipes/cpython-configure.sh"

if [ "$PGO" = yes ]; then
  # What `make profile-opt` would have done itself up to here: the profile lies where it looks, the stamps say so.
  cp "$PREFIX/profile/cpython.profdata" code.profclangd
  touch profile-clean-stamp profile-gen-stamp profile-run-stamp
  if [ "$JIT" = yes ]; then
    # Compiled for the instrumented build already, in a minute of CPU time; Tools/jit/build.py takes them by their digest.
    cp "$PREFIX"/stencils/* .
  fi
  make profile-opt
else
  make build_all
fi

# Archives ship no bytecode; --help is the shortest way to have compileall do nothing.
make install DESTDIR="$DESTDIR/python" COMPILEALL_OPTS=--help

install=$DESTDIR/python/install
name=python$PYTHON_VERSION
case $PYTHON_ABI in *t*) library=$install/lib/${name}t ;; *) library=$install/lib/$name ;; esac
config=config-$PYTHON_VERSION$PYTHON_ABI-$MULTIARCH

cp -R "$DATA/ship/fips_setup" "$library/fips_setup"
# Tcl, Tk and their scripts, where _tkinter and they themselves look for them from their own places.
for part in "$PREFIX"/lib/libtcl8.6.* "$PREFIX"/lib/libtk8.6.* "$PREFIX/lib/tcl8" "$PREFIX/lib/tcl8.6" "$PREFIX/lib/tk8.6"; do
  cp -R "$part" "$install/lib"
done
find "$install" -name __pycache__ -prune -exec rm -r {} +
mkdir -p "$library/lib-dynload"
touch "$library/lib-dynload/.empty"
if [ -n "$PYTHON_ABI" ]; then
  ln -sf "$name$PYTHON_ABI" "$install/bin/$name"
fi
ln -sf "$(readlink "$install/bin/python3")" "$install/bin/python"
ln -sf "$(basename "$library")/$config/lib$name$PYTHON_ABI.a" "$install/lib/lib$name$PYTHON_ABI.a"

wheels() { "$install/bin/$name" -I -B "$DATA/finish/wheels.py" "$@" "$library/site-packages" "$install/bin"; }

# Scripts are recorded once relocate.py has given them the first line that they end up with.
for wheel in $WHEELS; do
  wheels install --wheel "${PREFIX%/deps}/build/$wheel"
done
"$install/bin/$name" -I -B "$DATA/finish/relocate.py" "$install" --build "${PREFIX%/deps}"
wheels record
LD_LIBRARY_PATH="$PREFIX/lib/libcrypt" "$install/bin/$name" -I -B \
  "$DATA/finish/check_modules.py" --builtin "$MODULES_BUILTIN" --shared "$MODULES_SHARED"
if [ "$JIT" = yes ]; then
  "$install/bin/$name" -s -P -B "$DATA/finish/check_jit.py"
  PYTHON_JIT=1 "$install/bin/$name" -s -P -B "$DATA/finish/check_jit.py"
fi

build=$DESTDIR/python/build
mkdir -p "$build"
# One command after the other: of a pipe, the shell would see the last one's failure only.
find Modules Objects Parser Programs Python -name '*.o' >object-files
LC_ALL=C sort -o object-files object-files
tar cf objects.tar -T object-files
tar xf objects.tar -C "$build"
rm objects.tar
for file in Modules/config.c Modules/config.c.in Modules/Setup Modules/Setup.local Modules/Setup.bootstrap \
  Modules/Setup.stdlib Python/frozen.c; do
  if [ -f "$file" ]; then
    cp "$file" "$build/$file"
  fi
done
cp "$library/$config/Makefile" "$build/Modules/Makefile"
cp "$DATA/finish/run_tests.py" "$build/run_tests.py"

case $TARGET in
*-darwin*)
  # A Mach-O binary names the objects that hold its debug information, so it is gathered while they are there: for
  # bin/python3.X in build/dSYM/bin/python3.X.dSYM, where a debugger looks once that lies beside it.
  (cd "$install" && find bin lib -type f \( -name "$name$PYTHON_ABI" -o -name '*.dylib' -o -name '*.so' \)) >binaries
  while read -r binary; do
    "$NM" --debug-syms "$install/$binary" | grep -q ' OSO ' || continue # Tcl and Tk are compiled without any
    dsymutil "$install/$binary" -o "$build/dSYM/$binary.dSYM"
    rm -rf "$build/dSYM/$binary.dSYM/Contents/Resources/Relocations" # for dsymutil itself; it names this place
  done <binaries
  # What __builtin_available needs when the pieces are linked anew.
  mkdir -p "$build/lib"
  cp "$("$CC" -print-libgcc-file-name)" "$build/lib/libclang_rt.osx.a"
  ;;
esac
