#!/bin/sh -eu
# fips-provider-policy: OpenSSL's FIPS module by the procedure of its Security Policy and nothing else, in the documented
# environment: Debian 11 and its gcc. Leaves ossl-modules/fips.so, fipsmodule.cnf, configdata.txt as fips-provider.sh does,
# and environment.txt: the compiler and C library that it was built with and by.
#
# "Nothing else" is meant: no prefix, no flags, and an environment without any that Configure would read. Its own default
# prefix is /usr/local, which is this build's own here. MAKEFLAGS only says how many jobs there are.
plain() {
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$HOME" MAKEFLAGS="$MAKEFLAGS" "$@"
}
plain ./Configure enable-fips
plain make
plain make install_fips

left=$DESTDIR$PREFIX
module=$(find /usr/local -name fips.so)
config=$(find /usr/local -name fipsmodule.cnf)
install -D -m 755 "$module" "$left/ossl-modules/fips.so"
install -D -m 644 "$config" "$left/fipsmodule.cnf"
perl configdata.pm --dump > "$left/configdata.txt"
{
  cat /etc/debian_version
  gcc --version | head -n 1
  ldd --version | head -n 1
} > "$left/environment.txt"

exported=$(nm -D --defined-only "$left/ossl-modules/fips.so" | cut -d ' ' -f 3)
if [ "$exported" != OSSL_provider_init ]; then
  echo "fips-provider: fips.so exports not OSSL_provider_init alone but: $exported" >&2
  exit 1
fi
perl "$DATA/recipes/fips-module-mac.pl" "$left/ossl-modules/fips.so" "$left/fipsmodule.cnf"
