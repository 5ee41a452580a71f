#!/bin/sh -eu
# fips-provider: OpenSSL's FIPS module alone, from a pristine tree. Leaves ossl-modules/fips.so, whose bytes nobody may
# touch from here on (its own MAC covers them), fipsmodule.cnf with that MAC, and configdata.txt, how it was configured.
#
# This is PROCEDURE=toolchain: our own compiler, glibc floor like the rest; not the CMVP's procedure and never called
# validated. PROCEDURE=policy is fips-provider-policy.sh, in a Debian 11 system.
# SLH_DSA=no leaves SLH-DSA out: its self-tests are most of the 100 ms that loading a 3.5 provider costs.
# CFLAGS has no -fvisibility=hidden for this node: hidden, OSSL_provider_init would not be exported, and a version script
# of OpenSSL's own keeps all others in.
if [ "$PROCEDURE" != toolchain ]; then
  echo "fips-provider: this recipe is for PROCEDURE=toolchain, not $PROCEDURE" >&2
  exit 1
fi
set -- enable-fips no-tests
if [ "$SLH_DSA" = no ] && grep -q '"slh-dsa"' Configure; then # releases before 3.5 have none to leave out
  set -- "$@" no-slh-dsa
fi
./Configure "$OPENSSL_TARGET" --prefix="$PREFIX" --libdir=lib --openssldir=/etc/ssl "$@"
case $TARGET in
  *-darwin*) module=fips.dylib ;;
  *) module=fips.so ;;
esac
make build_generated
make "providers/$module" providers/fipsmodule.cnf

left=$DESTDIR$PREFIX
install -D -m 755 "providers/$module" "$left/ossl-modules/$module"
install -D -m 644 providers/fipsmodule.cnf "$left/fipsmodule.cnf"
perl configdata.pm --dump > "$left/configdata.txt"

exported=$("$NM" -D --defined-only --format=just-symbols "$left/ossl-modules/$module")
if [ "$exported" != OSSL_provider_init ]; then
  echo "fips-provider: $module exports not OSSL_provider_init alone but: $exported" >&2
  exit 1
fi
perl "$DATA/recipes/fips-module-mac.pl" "$left/ossl-modules/$module" "$left/fipsmodule.cnf"
