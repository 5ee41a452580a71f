# A CPython of the same release for the building machine, which freezes modules in place of the two more interpreters
# that CPython would link for it. No library, no extension module beyond what that needs; built fast, not to be fast.
# Leaves build-python/bin/python3.X and build-python/lib/python3.X.

case $PYTHON_VERSION in
3.11) printf '%s\n' '*static*' '_typing _typingmodule.c' >Modules/Setup.local ;;
*) printf '%s\n' '*static*' >Modules/Setup.local ;;
esac

CFLAGS=-O1 ./configure --build="$BUILD_TRIPLE" --prefix="$PREFIX/build-python" \
  --without-ensurepip --without-doc-strings ac_cv_prog_PYTHON_FOR_REGEN=python3 OPT='-DNDEBUG -fwrapv'
unset CFLAGS
# `python.exe` where the file system does not tell it from the directory Python.
built=python$(sed -n 's/^BUILDEXE=[[:space:]]*//p' Makefile)
make "$built"

home=$DESTDIR$PREFIX/build-python
mkdir -p "$home/bin" "$home/lib/python$PYTHON_VERSION/lib-dynload"
cp "$built" "$home/bin/python$PYTHON_VERSION"
"$STRIP" "$home/bin/python$PYTHON_VERSION"
find Lib \( -name test -o -name tests -o -name idlelib -o -name lib2to3 -o -name __pycache__ \) -prune -o -name '*.py' -print >library
tar cf library.tar --transform="s,^Lib,lib/python$PYTHON_VERSION," -T library
tar xf library.tar -C "$home"
rm library.tar
touch "$home/lib/python$PYTHON_VERSION/lib-dynload/.empty"

"$home/bin/python$PYTHON_VERSION" -E -s -S -B -c 'import argparse, ast, contextlib, importlib.util, re, typing'
