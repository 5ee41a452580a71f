#!/bin/sh -eu
# sysroot: headers, start files and libraries to link with for glibc $GLIBC, generated from the ziglang wheel, which
# carries the headers and the symbol lists of every glibc. The libraries are stubs: they say which symbols there are in
# which version, and hold no code. Leaves sysroot/usr/{include,lib}.

sysroot=$DESTDIR$PREFIX/sysroot
lib=$sysroot/usr/lib
build=$PWD/../sysroot
arch=${TARGET%%-*}
case $arch in
  x86_64) family=x86 ;;
  aarch64) family=aarch64 ;;
  *) echo "sysroot: no start files are known for $arch; add them here" >&2; exit 1 ;;
esac
mkdir -p "$lib" "$sysroot/usr/include" "$build"

# The special ones last: they replace what is common to all.
include=$SOURCE/ziglang/lib/libc/include
for directory in any-linux-any "$family-linux-any" generic-glibc "$family-linux-gnu"; do
  cp -R "$include/$directory/." "$sysroot/usr/include/"
done

# zig has glibc's newest headers only. Since 2.42 they number baud rates by themselves, for cfsetospeed and its kin of that
# version; those of before, which are linked here, take the kernel's codes, and with other numbers end in EINVAL.
cat > "$sysroot/usr/include/bits/termios-baud.h" <<'END'
#ifndef _TERMIOS_H
# error "Never include <bits/termios-baud.h> directly; use <termios.h> instead."
#endif
END
code=0
for rate in 0 50 75 110 134 150 200 300 600 1200 1800 2400 4800 9600 19200 38400 \
  57600 115200 230400 460800 500000 576000 921600 1000000 1152000 1500000 2000000 2500000 3000000 3500000 4000000; do
  [ "$rate" != 57600 ] || code=$((010001)) # CBAUDEX, and counted from one
  printf '#define B%s %d\n' "$rate" "$code"
  code=$((code + 1))
done >> "$sysroot/usr/include/bits/termios-baud.h"
cat >> "$sysroot/usr/include/bits/termios-baud.h" <<'END'
#ifdef __USE_MISC
# define EXTA B19200
# define EXTB B38400
#endif
#define __MAX_BAUD B4000000
END

# Linking any program makes zig write the stubs, crt1.o and libc_nonshared.a into its cache.
export ZIG_GLOBAL_CACHE_DIR="$build/cache" ZIG_LOCAL_CACHE_DIR="$build/cache"
echo 'int main(void) { return 0; }' > "$build/empty.c"
(cd "$build" && "$SOURCE/ziglang/zig" build-exe -target "$arch-linux-gnu.$GLIBC" -O ReleaseFast -fstrip \
  -fno-compiler-rt -fno-ubsan-rt empty.c -lc -lm -lpthread -ldl)
for file in libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libresolv.so.2 libld.so.2 \
  crt1.o libc_nonshared.a; do
  found=$(find "$build/cache" -name "$file")
  [ -f "$found" ] || { echo "sysroot: zig left not one $file but: ${found:-none}" >&2; exit 1; }
  cp "$found" "$lib/$file"
done
for file in libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libresolv.so.2; do
  ln -s "$file" "$lib/${file%.so.*}.so"
done
# Names without a directory are looked for beside the script, wherever the sysroot is.
echo 'GROUP ( libc.so.6 libc_nonshared.a AS_NEEDED ( libld.so.2 ) )' > "$lib/libc.so"
cp "$lib/crt1.o" "$lib/Scrt1.o" # zig's is position-independent

# zig links without crti.o and crtn.o, the two halves of _init and _fini; clang wants them.
case $arch in
  x86_64) enter='pushq %rax'; leave='popq %rcx' ;;
  aarch64) enter='stp x29, x30, [sp, -16]!'; leave='ldp x29, x30, [sp], 16' ;;
esac
cat > "$build/crti.s" <<END
.section .note.GNU-stack,"",%progbits
.section .init,"ax",%progbits
.globl _init
.hidden _init
.type _init,%function
_init: $enter
.section .fini,"ax",%progbits
.globl _fini
.hidden _fini
.type _fini,%function
_fini: $enter
END
cat > "$build/crtn.s" <<END
.section .note.GNU-stack,"",%progbits
.section .init,"ax",%progbits
$leave
ret
.section .fini,"ax",%progbits
$leave
ret
END
"$CC" -c "$build/crti.s" -o "$lib/crti.o"
"$CC" -c "$build/crtn.s" -o "$lib/crtn.o"

# The proof: functions whose newest versions are younger than 2.17 must come out in their old ones.
cat > "$build/probe.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <linux/vm_sockets.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>

static __thread double local = 2.0;

static void *work(void *argument)
{
    struct timespec now;
    struct stat status;
    struct termios line = {0};
    local = exp(local) + pow(local, (double)clock_gettime(CLOCK_MONOTONIC, &now));
    memcpy(argument, &local, sizeof local);
    if (stat("/", &status) != 0 || fcntl(0, F_GETFD) == -2 || dlsym(RTLD_DEFAULT, "main") == argument)
        return argument;
    if (cfsetospeed(&line, B9600) != 0 || cfsetospeed(&line, B4000000) != 0 || cfgetospeed(&line) != B4000000)
        return argument;
    return NULL;
}

int main(void)
{
    pthread_t thread;
    double result = 0;
    void *failed = &result;
    if (pthread_create(&thread, NULL, work, &result) != 0 || pthread_join(thread, &failed) != 0 || failed != NULL)
        return 1;
    printf("the probe ran on glibc %s\n", gnu_get_libc_version());
    return result > 8.0 ? 0 : 1;
}
END
"$CC" --sysroot="$sysroot" -O2 "$build/probe.c" -o "$build/probe" -lm -lpthread -ldl
"$CC" --sysroot="$sysroot" -O2 -shared -fPIC "$build/probe.c" -o "$build/probe.so" -lm -lpthread -ldl
for file in probe probe.so; do
  highest=$("$READELF" --version-info "$build/$file" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
  [ "$(printf 'GLIBC_%s\n%s\n' "$GLIBC" "$highest" | sort -V | tail -n 1)" = "GLIBC_$GLIBC" ] ||
    { echo "sysroot: $file wants $highest, more than GLIBC_$GLIBC" >&2; exit 1; }
  echo "$file needs $highest at most"
done
if [ "$(uname -m)" = "$arch" ]; then
  "$build/probe"
fi
