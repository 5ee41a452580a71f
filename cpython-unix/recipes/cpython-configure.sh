# shellcheck shell=sh
# Sourced by the recipes that build CPython for a target: Modules/Setup.local, configure, and what only make can be told.

printf '%s\n' "$SETUP_LOCAL" >Modules/Setup.local
case $PYTHON_VERSION in
3.10 | 3.11) ;;
*)
  # The lines as they stand in this release's own Setup.stdlib.in: the first rule for a module wins.
  {
    echo '*shared*'
    for module in $MODULES_SHARED; do
      line=$(sed -n "s/^@MODULE_[A-Z0-9_]*_TRUE@\($module .*\)/\1/p" Modules/Setup.stdlib.in)
      if [ -z "$line" ]; then
        echo "Modules/Setup.stdlib.in of CPython $VERSION has no line for $module, which modules.toml wants shared" >&2
        exit 1
      fi
      echo "$line"
    done
  } >>Modules/Setup.local
  ;;
esac

# shellcheck disable=SC2086
./configure $CONFIGURE

# configure has these now; make would add them a second time from the environment.
unset CFLAGS CPPFLAGS LDFLAGS CFLAGS_NODIST LDFLAGS_NODIST

# GNU make reads this file before Makefile. `override` keeps Makefile's own assignments out.
{
  echo "override LINKCC = \$(CC) $PROGRAM_LINK"
  if [ -n "$INTERPRETER_LINK" ]; then
    echo "python: override LINKCC += $INTERPRETER_LINK"
  fi
  if [ -d "$PREFIX/build-python" ]; then
    echo "override PYTHON_FOR_FREEZE = $PREFIX/build-python/bin/python$PYTHON_VERSION -E -s -S -B"
    # shellcheck disable=SC2016
    echo 'override FREEZE_MODULE_BOOTSTRAP = $(PYTHON_FOR_FREEZE) $(srcdir)/Programs/_freeze_module.py
override FREEZE_MODULE_BOOTSTRAP_DEPS = $(srcdir)/Programs/_freeze_module.py
override FREEZE_MODULE = $(FREEZE_MODULE_BOOTSTRAP)
override FREEZE_MODULE_DEPS = $(FREEZE_MODULE_BOOTSTRAP_DEPS)'
  fi
  # How the interpreter's loop is compiled (docs/performance.md has the figures).
  case $TARGET-$PYTHON_VERSION in
  *-darwin-* | *-3.12 | *-3.13) loop= ;; # macOS asks for a frame pointer everywhere
  *-3.10 | *-3.11)
    # It needs the register: with a frame pointer it loads 60 % more from the stack. From 3.12 on `python -X perf` walks
    # frame pointers through it, and it keeps them.
    loop='-fomit-frame-pointer -momit-leaf-frame-pointer'
    ;;
  *)
    # Each bytecode is a function that ends by jumping to the next one (--with-tail-call-interp): a frame of its own
    # would be made and taken down for each. Nothing else gets the register, so a walk through the frames loses nothing.
    loop='-fomit-frame-pointer -momit-leaf-frame-pointer -mreserve-frame-pointer-reg'
    ;;
  esac
  echo "Python/ceval.o: override PY_CFLAGS_NODIST += $loop"
  echo 'include Makefile'
} >GNUmakefile

# make tries each shared module and takes those away that can't be imported. It looks for libraries here: Tcl and Tk, and
# the stub for machines that have no libcrypt themselves.
ln -s "$PREFIX"/lib/libtcl8.6.* "$PREFIX"/lib/libtk8.6.* .
if [ -d "$PREFIX/lib/libcrypt" ]; then
  ln -s "$PREFIX/lib/libcrypt/libcrypt.so.1" .
fi

export PYTHONHASHSEED=0
