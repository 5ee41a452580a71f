# CPython with counters, for training. The same configuration as the final build, so that each function's shape is the
# same and its counts fit; no LTO, since clang counts before it optimises.
# Leaves instrumented/bin/python3.X and instrumented/lib/python3.X, and of a JIT stencils/jit_stencils*.h, its machine code.

. "$DATA/recipes/cpython-configure.sh"

# What runs while it builds is no training.
export LLVM_PROFILE_FILE=/dev/null
case $PYTHON_VERSION in 3.10 | 3.11) shared=oldsharedmods ;; *) shared=sharedmods ;; esac
# `python.exe` where the file system does not tell it from the directory Python.
built=python$(sed -n 's/^BUILDEXE=[[:space:]]*//p' Makefile)
make "$built" pybuilddir.txt $shared CFLAGS_NODIST="$PROFILE_GENERATE" LDFLAGS_NODIST="$PROFILE_GENERATE"

home=$DESTDIR$PREFIX/instrumented
library=$home/lib/python$PYTHON_VERSION$(case $PYTHON_ABI in *t*) echo t ;; esac)
mkdir -p "$home/bin" "$library"
cp "$built" "$home/bin/python$PYTHON_VERSION"
tar cf - -C Lib --exclude=__pycache__ --exclude=./idlelib --exclude=./lib2to3 --exclude=./ensurepip . | tar xf - -C "$library"
cp "$(cat pybuilddir.txt)"/_sysconfigdata_*.py "$library"
mkdir "$library/lib-dynload"
find Modules -name '*.so' -exec cp {} "$library/lib-dynload" \;

if [ "$JIT" = yes ]; then
  mkdir -p "$DESTDIR$PREFIX/stencils"
  cp jit_stencils*.h "$DESTDIR$PREFIX/stencils"
fi

# _tkinter looks for Tcl and Tk where only the final tree has them.
LD_LIBRARY_PATH="$PREFIX/lib:$PREFIX/lib/libcrypt" "$home/bin/python$PYTHON_VERSION" -I -B \
  "$DATA/finish/check_modules.py" --builtin "$MODULES_BUILTIN" --shared "$MODULES_SHARED"
