"""Looks after this Python's FIPS mode: python3 -m fips_setup status, enable, disable or install.

Part of the archive, not of CPython. Nothing but the standard library, and nothing of it that needs OpenSSL where FIPS
mode may be broken: that is when it is called for.
"""
