#!/bin/sh -eu
# openssl-tests: OpenSSL's own evp_test and acvp_test for the proof, of the provider's release, and the vectors that its
# test suite gives a FIPS module. Not shipped. Leaves openssl-tests/{evp_test,acvp_test}, openssl-tests/vectors/*.txt and
# openssl-tests/version.
#
# libcrypto is in the programs; the module is the one thing that they load. They test with what they find in it, so they
# are configured as it was: without SLH-DSA where it has none.
set -- enable-fips no-shared no-legacy no-docs
if [ "$SLH_DSA" = no ] && grep -q '"slh-dsa"' Configure; then
  set -- "$@" no-slh-dsa
fi
./Configure "$OPENSSL_TARGET" --prefix="$PREFIX" --libdir=lib --openssldir=/etc/ssl "$@"
make build_generated
make test/evp_test test/acvp_test

left=$DESTDIR$PREFIX/openssl-tests
mkdir -p "$left/vectors"
for program in evp_test acvp_test; do
  cp "test/$program" "$left/$program"
  "$STRIP" "$left/$program"
done
printf '%s\n' "$VERSION" > "$left/version"

# The suite names the files that a FIPS module has to pass before those that only the default provider can.
suite=test/recipes/30-test_evp.t
grep -q '^my @defltfiles' "$suite"
sed '/^my @defltfiles/,$d' "$suite" | grep -o 'evp[a-z0-9_]*\.txt' > files
while read -r file; do
  case $SLH_DSA-$file in
    no-*slh_dsa*) ;;
    *) cp "test/recipes/30-test_evp_data/$file" "$left/vectors/$file" ;;
  esac
done < files
