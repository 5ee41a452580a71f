#!/bin/sh -eu
# fips-provider: OpenSSL's FIPS module alone, from a pristine tree. Leaves ossl-modules/fips.so, whose bytes nobody may
# touch from here on (its own MAC covers them), fipsmodule.cnf with that MAC, and configdata.txt, how it was configured.
#
# This is PROCEDURE=toolchain: our own compiler, glibc floor like the rest; not the CMVP's procedure and never called
# validated. PROCEDURE=policy is fips-provider-policy.sh, in a Debian 11 system.
# SLH_DSA=no leaves SLH-DSA out: its self-tests are most of the 100 ms that loading a 3.5 provider costs.
# CFLAGS has no -fvisibility=hidden for this node: hidden, OSSL_provider_init would not be exported, and a version script
# of OpenSSL's own keeps all others in. For macOS it has none (openssl/openssl#18335), so the linker is told.
if [ "$PROCEDURE" != toolchain ]; then
  echo "fips-provider: this recipe is for PROCEDURE=toolchain, not $PROCEDURE" >&2
  exit 1
fi
set -- enable-fips no-tests
if [ "$SLH_DSA" = no ] && grep -q '"slh-dsa"' Configure; then # releases before 3.5 have none to leave out
  set -- "$@" no-slh-dsa
fi
case $TARGET in
  *-darwin*)
    module=fips.dylib
    export LDFLAGS="$LDFLAGS -Wl,-exported_symbol,_OSSL_provider_init"
    ;;
  *) module=fips.so ;;
esac
./Configure "$OPENSSL_TARGET" --prefix="$PREFIX" --libdir=lib --openssldir=/etc/ssl "$@"
make build_generated
make "providers/$module"
case $TARGET in
  *-darwin*)
    # Apple silicon loads nothing unsigned, and a signature is part of what the MAC covers: it has to be there by now. The
    # linker signed, for nobody ("ad hoc") and without a time, so that the same input gives the same bytes.
    if ! "$OBJDUMP" --macho --private-headers "providers/$module" | grep -q LC_CODE_SIGNATURE; then
      echo "fips-provider: the linker left $module unsigned" >&2
      exit 1
    fi
    ;;
esac
make providers/fipsmodule.cnf

left=$DESTDIR$PREFIX
install -D -m 755 "providers/$module" "$left/ossl-modules/$module"
install -D -m 644 providers/fipsmodule.cnf "$left/fipsmodule.cnf"
perl configdata.pm --dump > "$left/configdata.txt"

case $TARGET in
  *-darwin*) exported=$("$NM" --extern-only --defined-only --format=just-symbols "$left/ossl-modules/$module") ;;
  *) exported=$("$NM" -D --defined-only --format=just-symbols "$left/ossl-modules/$module") ;;
esac
if [ "${exported#_}" != OSSL_provider_init ]; then
  echo "fips-provider: $module exports not OSSL_provider_init alone but: $exported" >&2
  exit 1
fi
perl "$DATA/recipes/fips-module-mac.pl" "$left/ossl-modules/$module" "$left/fipsmodule.cnf"
