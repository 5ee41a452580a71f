"""The MAC of a FIPS module, told also where OpenSSL refuses to work: in pure Python then, which takes seconds."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator

from .child import why_no_hashes

# OpenSSL's Configure, $config{FIPSKEY}; the same since 3.0. It is published: the MAC finds damage, it is no signature.
_KEY = bytes.fromhex("f4556650ac31d35461610bac4ed81b1a181b2d8a43ea2854cbae22ca74560813")
_BLOCK = 64
_WORD = 0xFFFFFFFF


def module_mac(module: bytes) -> str:
    """HMAC-SHA256 of a module's bytes as OpenSSL writes it: pairs of capital hex digits, separated by colons."""
    sha256 = _sha256()
    key = _KEY.ljust(_BLOCK, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in key) + module)
    return sha256(bytes(byte ^ 0x5C for byte in key) + inner).hex(":").upper()


def _sha256() -> Callable[[bytes], bytes]:
    """OpenSSL's where it works: with FIPS mode asked for and broken, importing hashlib ends in an error, or worse."""
    if why_no_hashes() is not None:
        return sha256_in_python
    try:
        import hashlib

        hashlib.sha256()
    except (RuntimeError, ImportError, AttributeError, ValueError):
        return sha256_in_python
    return lambda data: hashlib.sha256(data).digest()


def _primes() -> Iterator[int]:
    number = 2
    while True:
        if all(number % divisor for divisor in range(2, math.isqrt(number) + 1)):
            yield number
        number += 1


def _cube_root(number: int) -> int:
    """Rounded down."""
    root = 1 << -(-number.bit_length() // 3)
    while True:
        better = (2 * root + number // (root * root)) // 3
        if better >= root:
            return root
        root = better


def _constants() -> tuple[list[int], list[int]]:
    """FIPS 180-4, 4.2.2 and 5.3.3: the fractions of the roots of primes. Cubic ones of 64, square ones of eight."""
    primes = _primes()
    first = [next(primes) for _ in range(64)]
    return [_cube_root(prime << 96) & _WORD for prime in first], [
        math.isqrt(prime << 64) & _WORD for prime in first[:8]
    ]


def sha256_in_python(data: bytes) -> bytes:
    """SHA-256, FIPS 180-4. A few hundred kilobytes a second.

    A rotated word is written as the word beside itself, shifted: what stands above 32 bits is cut off with the sum.
    """
    constants, state = _constants()
    padded = data + b"\x80" + bytes(-(len(data) + 9) % _BLOCK) + struct.pack(">Q", 8 * len(data))
    for block in struct.iter_unpack(">16L", padded):
        words = list(block)
        for i in range(16, 64):
            x, y = words[i - 15], words[i - 2]
            s0 = (x >> 7 | x << 25) ^ (x >> 18 | x << 14) ^ x >> 3
            s1 = (y >> 17 | y << 15) ^ (y >> 19 | y << 13) ^ y >> 10
            words.append(words[i - 16] + (s0 & _WORD) + words[i - 7] + (s1 & _WORD) & _WORD)
        a, b, c, d, e, f, g, h = state
        for word, constant in zip(words, constants, strict=True):
            ee, aa = e | e << 32, a | a << 32
            t = h + ((ee >> 6 ^ ee >> 11 ^ ee >> 25) & _WORD) + (g ^ e & (f ^ g)) + constant + word
            h, g, f, e = g, f, e, d + t & _WORD
            d, c, b, a = c, b, a, t + ((aa >> 2 ^ aa >> 13 ^ aa >> 22) & _WORD) + (a & b | c & (a | b)) & _WORD
        state = [old + new & _WORD for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]
    return struct.pack(">8L", *state)
