#!/bin/sh -eu
# xcb-proto: the X11 protocol in XML, and the Python package that makes libxcb's code of it. Leaves share/xcb,
# share/xcb-python/xcbgen, lib/pkgconfig/xcb-proto.pc.
# Upstream's tarball has both; a distribution has two packages of them.
share=$DESTDIR$PREFIX/share
mkdir -p "$share/xcb" "$share/xcb-python" "$DESTDIR$PREFIX/lib/pkgconfig"
cp "$(dirname "$(find . -name xproto.xml)")"/*.xml "$share/xcb"
cp -R "$(find ../xcbgen -type d -name xcbgen ! -path ../xcbgen)" "$share/xcb-python/xcbgen"
test -f "$share/xcb-python/xcbgen/xtypes.py"
cat > "$DESTDIR$PREFIX/lib/pkgconfig/xcb-proto.pc" <<END
xcbincludedir=$PREFIX/share/xcb
pythondir=$PREFIX/share/xcb-python
Name: XCB Proto
Description: X protocol descriptions for XCB
Version: ${VERSION%%-*}
END
