#!/bin/sh -eu
# openssl: what CPython links: libcrypto and libssl, static, hidden symbols, no FIPS provider in them. Leaves
# lib/lib{crypto,ssl}.a, include/openssl, lib/pkgconfig/*.pc, and bin/openssl, a static one for the proof, not shipped.

# Red Hat's openssl.cnf, which /etc/ssl leads to on its systems, has an option that only its own OpenSSL knows; any other
# then refuses the whole file, and `import ssl` fails. python-build-standalone #1013.
perl -0pi -e 's/(\} else \{\s+ERR_raise_data\(ERR_LIB_EVP, EVP_R_UNKNOWN_OPTION)/} else if (strcmp(oval->name, "rh-allow-sha1-signatures") == 0) {\n            continue;\n        $1/' \
  crypto/evp/evp_cnf.c
grep -q 'rh-allow-sha1-signatures' crypto/evp/evp_cnf.c

# /etc/ssl: where most systems have their certificates and configuration.
./Configure "$OPENSSL_TARGET" --prefix="$PREFIX" --libdir=lib --openssldir=/etc/ssl \
  no-shared no-legacy no-tests no-docs
# Compiled in as the place of modules when nothing else says: a system's own, and not a path of this build.
set -- MODULESDIR=/usr/lib/ossl-modules ENGINESDIR=/usr/lib/engines-3
make build_generated "$@"
make libcrypto.a libssl.a "$@"
# The assembler's functions know no -fvisibility; shown, they would stand in the way of another libcrypto's in a process.
"$READELF" -sW libcrypto.a | awk '$5 == "GLOBAL" && $6 == "DEFAULT" && $7 != "UND" { print $8 }' | sort -u > shown
"$OBJCOPY" --set-symbols-visibility=shown=hidden libcrypto.a
make apps/openssl "$@"
make install_dev "$@" DESTDIR="$DESTDIR"
install -D -m 755 apps/openssl "$DESTDIR$PREFIX/bin/openssl"

# The assembler is what makes it fast: without it SHA-256 is 4 to 5 times slower, and nothing else tells.
grep -q 'OPENSSL_CPUID_OBJ' Makefile
