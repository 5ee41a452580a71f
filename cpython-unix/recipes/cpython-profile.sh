# Trains the instrumented CPython and merges what it counted. Leaves profile/cpython.profdata, profile/starts.order, the
# functions that a start runs, and passes stencils/ on.
#
# Two runs are to give the same bytes: one thread, no address randomisation (pointers are hashed), a fixed hash seed, and
# bytecode caches that a first, uncounted pass has filled.

python=$PREFIX/instrumented/bin/python$PYTHON_VERSION
export PYTHONHASHSEED=0 PYTHONPYCACHEPREFIX="$PWD/pyc" PYTHONNOUSERSITE=1

fixed=
if setarch -R true 2>/dev/null; then
  fixed='setarch -R'
else
  echo 'This machine does not let address randomisation be switched off: the profile differs slightly from run to run.'
fi

# What runs once in a process would pass for code that never runs; programs start more often than they compute for long.
starts() {
  for arguments in '-c pass' '-S -c pass' "$DATA/training/small_program.py"; do
    # shellcheck disable=SC2086
    $fixed "$python" -s "$@" $arguments
  done
}

export LLVM_PROFILE_FILE=/dev/null
$fixed "$python" -s "$DATA/training/train.py" --import-only
starts

mkdir raw starts
export LLVM_PROFILE_FILE="$PWD/raw/%m.profraw"
$fixed "$python" -s -B "$DATA/training/train.py"
for _ in $(seq 30); do
  starts -B
done >/dev/null
export LLVM_PROFILE_FILE="$PWD/starts/%m.profraw"
starts -B >/dev/null
export LLVM_PROFILE_FILE=/dev/null

mkdir -p "$DESTDIR$PREFIX/profile"
# A static function is counted as `file;name`.
llvm-profdata merge -o starts.profdata starts/*.profraw
llvm-profdata show --covered starts.profdata | sed 's/.*;//' | LC_ALL=C sort -u >"$DESTDIR$PREFIX/profile/starts.order"
test -s "$DESTDIR$PREFIX/profile/starts.order"
llvm-profdata merge -o "$DESTDIR$PREFIX/profile/cpython.profdata" raw/*.profraw
llvm-profdata show "$DESTDIR$PREFIX/profile/cpython.profdata"
sha256sum "$DESTDIR$PREFIX/profile/cpython.profdata"

if [ -d "$PREFIX/stencils" ]; then
  cp -R "$PREFIX/stencils" "$DESTDIR$PREFIX/stencils"
fi
