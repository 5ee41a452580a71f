"""CPython's nodes of a cell: what is configured how, which modules are built in, which node needs which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from workers.model import DATA, Cell, Version
from workers.modules import load_modules, modules_of, setup_local
from workers.nodes import NodeSpec, tool_environment
from workers.sandbox import DEPS

_CONFIGURE = "recipes/cpython-configure.sh"  # what the instrumented and the final build have in common
_CHECK = "finish/check_modules.py"
FINISH = (
    _CONFIGURE, _CHECK, "finish/check_jit.py", "finish/relocate.py", "finish/run_tests.py", "finish/wheels.py",
)  # fmt: skip

# Of a profile's environment: what emulated its training.
EMULATOR = "EMULATOR"

# The nodes whose libraries CPython links: static but Tcl and Tk. macOS has some of them in its SDK.
LIBRARIES = ("bzip2", "xz", "libffi", "sqlite", "expat", "mpdecimal", "openssl", "tcl", "tk")
# Of X11 it is the headers, which Tk's header names.
LINUX_LIBRARIES = ("zlib", "ncurses", "libedit", "libuuid", "bdb", "xorgproto", "libx11")

# _tkinter, shared, finds Tcl and Tk two folders up, in lib, wherever the tree is. RPATH, which unlike RUNPATH comes
# before LD_LIBRARY_PATH. The quotes are for make's shell, the dollars for make.
_TCLTK = {
    "linux": "-ltk8.6 -ltcl8.6 -Wl,-rpath,'$$ORIGIN/../..' -Wl,--disable-new-dtags",
    "macos": "-ltk8.6 -ltcl8.6 -Wl,-rpath,@loader_path/../..",
}

# What configure would otherwise ask pkg-config, or the building machine, about: variable prefix → libraries.
# System libraries that a static one needs stand behind it.
_PACKAGES = {
    "ZLIB": "-lz",
    "BZIP2": "-lbz2",
    "LIBLZMA": "-llzma -lpthread",
    "LIBFFI": "-lffi",
    "LIBSQLITE3": "-lsqlite3 -lm -ldl -lpthread",
    "LIBMPDEC": "-lmpdec -lm",
}
_LINUX_PACKAGES = {
    "CURSES": "-lncursesw",
    "PANEL": "-lpanelw",
    "LIBEDIT": "-ledit -lncursesw",
    "LIBUUID": "-luuid",
}

# macOS has these itself.
_MACOS_PACKAGES = {
    "CURSES": "-lncurses",
    "PANEL": "-lpanel -lncurses",
    "LIBEDIT": "-ledit",
}

# Answers that configure gets by asking the running kernel or network, which say nothing about where archives will run.
_ANSWERS = (
    "ac_cv_file__dev_ptmx=yes",
    "ac_cv_file__dev_ptc=no",
    "ac_cv_buggy_getaddrinfo=no",
    "ac_cv_working_tzset=yes",
    "ac_cv_posix_semaphores_enabled=yes",
    "ac_cv_broken_sem_getvalue=no",
    "ac_cv_prog_PYTHON_FOR_REGEN=python3",
)

# What would lie in the SDK or beside it and is not to be taken from there: Apple's libffi, anyone's libintl.
_MACOS_ANSWERS = ("ac_cv_lib_ffi_ffi_call=no", "ac_cv_lib_intl_textdomain=no")

# The programs alone are not position-independent; -no-pie anywhere else breaks the modules.
_PROGRAM_LINK = {
    "linux": "-no-pie",
    "macos": "-Wl,-rpath,@executable_path/../lib",
}

# libpython is in the interpreter, which goes by its name: an extension module that was wrongly linked to it gets the
# interpreter itself, before the loader looks into any folder, and no second libpython into the process. A library path
# would do half of that, and have each start look for libc and all others in it first (docs/performance.md). As make
# reads it.
_INTERPRETER_LINK = {
    "linux": "-Wl,-soname,$(INSTSONAME)",
    "macos": "",
}

# The files of the static libraries among the nodes, where those have to be named.
_ARCHIVES = {
    "bzip2": ("libbz2.a",),
    "xz": ("liblzma.a",),
    "libffi": ("libffi.a",),
    "sqlite": ("libsqlite3.a",),
    "expat": ("libexpat.a",),
    "mpdecimal": ("libmpdec.a",),
    "openssl": ("libssl.a", "libcrypto.a"),
    "zstd": ("libzstd.a",),
}

# Functions that the floor's glibc does not have, so that configure would not find them. Edits to CPython's source get
# them from the kernel, or from a newer glibc where there is one (glibc-syscalls.toml, sem-clockwait.toml).
_BEYOND_THE_FLOOR = ("ac_cv_func_memfd_create=yes", "ac_cv_func_copy_file_range=yes", "ac_cv_func_sem_clockwait=yes")

# Edits bring what the header has (bluetooth.toml): none of BlueZ's is in the sysroot.
_WITHOUT_HEADERS = ("ac_cv_header_bluetooth_bluetooth_h=yes",)

# Edits have these without libutil and librt, and CPython login_tty (glibc-libraries.toml): neither is to be linked.
_WITHOUT_LIBRARIES = (
    "ac_cv_func_openpty=yes", "ac_cv_func_forkpty=yes", "ac_cv_search_login_tty=no",
    "ac_cv_func_shm_open=yes", "ac_cv_func_shm_unlink=yes", "ac_cv_search_shm_open=no",
)  # fmt: skip


def cpython_nodes(cell: Cell, emulator: str = "") -> list[NodeSpec]:
    """The nodes that make a cell's CPython out of the target's libraries, each after what it needs; the last is it.

    A build Python freezes modules for all variants: what CPython would link for that itself does not link when its test
    modules are built in, and with LTO would cost as much as the interpreter. 3.10 has no use for one.
    With PGO there are the instrumented build and the profile besides.

    emulator: what runs the instrumented CPython where the machine does not itself, in words. Part of the profile's key,
    and so of its CPython's: a profile that was trained otherwise does not go for one of the real processor.
    """
    helper = build_python(cell) if cell.version.number >= (3, 11) else None
    helpers = () if helper is None else (helper,)
    name = f"cpython-{cell.version.minor}-{cell.variant.slug}"
    final = NodeSpec(
        name=name,
        stage="cpython",
        recipe="cpython.sh",
        sources=(cell.version.source, *wheels(cell.version)),
        needs=(*_library_needs(cell), *(node.name for node in helpers)),
        environment={**build_environment(cell), "WHEELS": " ".join(wheels(cell.version))},
        data=(*FINISH, *shipped_files()),
        edits=cell.version.minor + ("t" if cell.variant.freethreaded else ""),
    )
    if not cell.variant.pgo:
        return [*helpers, final]
    instrumented = replace(
        final,
        name=f"{name}-instrument",
        recipe="cpython-instrument.sh",
        sources=(cell.version.source,),
        environment={**build_environment(cell), **instrument_environment(cell)},
        data=(_CONFIGURE, _CHECK),
    )
    profile = NodeSpec(
        name=f"{name}-profile",
        stage="cpython",
        recipe="cpython-profile.sh",
        needs=(instrumented.name,),
        environment={
            **tool_environment(cell.target),
            "PYTHON_VERSION": cell.version.minor,
            **({EMULATOR: emulator} if emulator else {}),
        },
        data=training_files(),
    )
    optimised = replace(
        final,
        needs=(*final.needs, profile.name),
        environment={**final.environment, **optimise_environment(cell)},
    )
    return [*helpers, instrumented, profile, optimised]


def build_python(cell: Cell) -> NodeSpec:
    """A small interpreter of the same release for the building machine, the same for all variants."""
    return NodeSpec(
        name=f"cpython-{cell.version.minor}-build",
        stage="cpython",
        recipe="cpython-build.sh",
        sources=(cell.version.source,),
        needs=("sysroot",) if cell.target.os == "linux" else (),
        environment={**tool_environment(cell.target), "PYTHON_VERSION": cell.version.minor},
    )


def wheels(version: Version) -> tuple[str, ...]:
    """The sources that are installed into site-packages. From 3.12 on venvs have no setuptools any more."""
    return ("pip",) if version.number >= (3, 12) else ("pip", "setuptools")


def build_environment(cell: Cell) -> dict[str, str]:
    """What the recipes of the instrumented and the final build are told."""
    modules = modules_of(cell.version, cell.target, load_modules())
    return {
        **tool_environment(cell.target),
        **compiler_flags(cell),
        **package_variables(cell),
        "PYTHON_VERSION": cell.version.minor,
        "PYTHON_ABI": cell.abi_suffix,
        "MULTIARCH": cell.target.multiarch,
        "CONFIGURE": " ".join(configure_arguments(cell)),
        "PROGRAM_LINK": _PROGRAM_LINK[cell.target.os],
        "INTERPRETER_LINK": _INTERPRETER_LINK[cell.target.os],
        "SETUP_LOCAL": setup_local(cell.version, modules),
        "MODULES_BUILTIN": " ".join(modules.builtin),
        "MODULES_SHARED": " ".join(modules.shared),
        "LTO": "yes" if cell.variant.lto else "no",
        "PGO": "yes" if cell.variant.pgo else "no",
        "JIT": "yes" if has_jit(cell) else "no",
    }


def instrument_environment(cell: Cell) -> dict[str, str]:
    """What differs in the instrumented build.

    Counters in LLVM's intermediate code, after the first round of inlining: each place where Py_DECREF and its like are
    inlined gets counts of its own, and indirect calls count whom they called, so that LTO can call the usual one
    directly. clang's -fprofile-instr-generate, which CPython's Makefile uses, does neither (docs/performance.md).
    No LTO here: both builds run the same passes before they count, so the profile fits, and the link takes seconds.
    Atomic counters where threads run at the same time; plain ones lose counts there (rust-lang/rust#158217).
    """
    # LLVM's one counter a call site runs out before the training is over.
    generate = "-fprofile-generate -mllvm -vp-counters-per-site=8"
    if cell.variant.freethreaded:
        generate += " -fprofile-update=atomic"
    arguments = [argument for argument in configure_arguments(cell) if not argument.startswith("--with-lto")]
    return {"CONFIGURE": " ".join(arguments), "PROFILE_GENERATE": generate, "LTO": "no"}


def optimise_environment(cell: Cell) -> dict[str, str]:
    """What differs in the build that uses the profile.

    The linker keeps functions that the training never reached apart from those that it did, and puts those that a start
    runs first among each (ELF only), so that a start touches fewer pages (docs/performance.md has the figures).
    """
    link = compiler_flags(cell)["LDFLAGS_NODIST"]
    if cell.target.os == "linux":
        link += f" -Wl,-z,keep-text-section-prefix -Wl,--symbol-ordering-file={DEPS}/profile/starts.order"
        link += " -Wl,--no-warn-symbol-ordering"  # of what was inlined everywhere, and of other files' functions
    return {"LDFLAGS_NODIST": link}


def has_jit(cell: Cell) -> bool:
    """Whether the JIT is built in, off unless PYTHON_JIT=1 stands in the environment.

    In what users run, as python-build-standalone has it. Without the GIL it never starts: 3.13 lets it be built for
    nothing, 3.14 refuses to (python/cpython#133171).
    """
    return cell.variant.pgo and not cell.variant.freethreaded and cell.version.number >= (3, 13)


def configure_arguments(cell: Cell) -> list[str]:
    """The arguments of CPython's configure. None holds a space."""
    version, variant, target = cell.version.number, cell.variant, cell.target
    arguments = [
        f"--build={target.triple}",
        f"--host={target.triple}",
        "--prefix=/install",
        "--enable-shared",
        "--without-ensurepip",
        f"--with-openssl={DEPS}",
        "--with-system-expat",
        "--with-system-libmpdec",
        "--enable-loadable-sqlite-extensions",
        # No hash of CPython's own that hashlib could fall back on, around the FIPS provider.
        "--with-builtin-hashlib-hashes=blake2",
        *_ANSWERS,
    ]
    if target.os == "linux":
        arguments += ["--with-readline=editline", "--with-dbmliborder=bdb"]
        arguments += [*_BEYOND_THE_FLOOR, *_WITHOUT_HEADERS, *_WITHOUT_LIBRARIES]
    else:
        arguments += ["--with-readline=editline", "--with-dbmliborder=ndbm", *_MACOS_ANSWERS]
    if version <= (3, 10):
        # Its configure would put libcrypt among what the interpreter links; _crypt's line in Setup.local names it.
        arguments += ["ac_cv_search_crypt=no", "ac_cv_search_crypt_r=no", "ac_cv_func_crypt_r=yes"]
    if version >= (3, 12):
        arguments.append("MODULE_BUILDTYPE=static")
    if version >= (3, 13):
        arguments.append("--with-mimalloc")
    if version >= (3, 14):
        # glibc has it since 2.25, and the headers of the sysroot declare it for every release.
        arguments.append("ac_cv_func_explicit_bzero=no")
        if not variant.debug:
            arguments.append("--with-tail-call-interp")
    if variant.freethreaded:
        arguments.append("--disable-gil")
    if variant.debug:
        arguments.append("--with-pydebug")
    if has_jit(cell):
        arguments.append("--enable-experimental-jit=yes-off")
    if variant.pgo:
        arguments.append("--enable-optimizations")
    if variant.lto:
        # Not "yes", which is ThinLTO: full LTO measured 1.3 % faster on Linux (python-build-standalone #1276).
        arguments.append("--with-lto=full")
    return arguments


def compiler_flags(cell: Cell) -> dict[str, str]:
    """CFLAGS and its kin. Those with NODIST stay out of sysconfig, so out of other people's extension modules.

    Never -no-pie or -fno-pie in any of them: no extension module would link, and make would go on without them. The
    recipe gives it to the linking of the interpreter alone.
    """
    target = cell.target
    include = f"{DEPS}/include"
    flags = [flag for flag in target.cflags if not (cell.variant.debug and "_FORTIFY_SOURCE" in flag)]
    own = [] if cell.variant.debug or target.os == "macos" else ["-fno-semantic-interposition"]
    if target.os == "macos":
        # A function that not every macOS from the floor on has, called without asking first, ends the build.
        own.append("-Werror=unguarded-availability-new")
    if not cell.variant.lto and not cell.variant.debug:
        # Lines for backtraces and no more: a third of the bytes. What users run keeps configure's own -g, for gdb.
        own.append("-g1")
    link = ["-Wl,--exclude-libs,ALL"] if target.os == "linux" else _macos_link(cell)
    if cell.variant.lto:
        # LTO generates code when it links, at the level that the link is told: lld's own is 2, whatever each file said.
        link.append("-O3")
    return {
        "CFLAGS": " ".join(flags),
        "CPPFLAGS": f"-I{include} -I{include}/ncursesw -I{include}/uuid",
        "LDFLAGS": " ".join([*target.ldflags, f"-L{DEPS}/lib"]),
        "CFLAGS_NODIST": " ".join(own),
        "LDFLAGS_NODIST": " ".join(link),
    }


def _macos_link(cell: Cell) -> list[str]:
    """What --exclude-libs is elsewhere: nothing of a static library is exported. And room in the header for a longer
    library path (bytes, hexadecimal), which users change with install_name_tool.
    """
    nodes = [name for name in _library_needs(cell) if name != "sysroot"]
    archives = [f"{DEPS}/lib/{archive}" for name in nodes for archive in _ARCHIVES.get(name, ())]
    return ["-Wl,-headerpad,40", *(f"-Wl,-load_hidden,{archive}" for archive in archives)]


def package_variables(cell: Cell) -> Mapping[str, str]:
    """`<PREFIX>_CFLAGS` and `<PREFIX>_LIBS` for each library, which keep configure from asking pkg-config."""
    include = f"-I{DEPS}/include"
    cflags = {
        "CURSES": f"{include} {include}/ncursesw",
        "PANEL": f"{include} {include}/ncursesw",
        "LIBUUID": f"{include} {include}/uuid",
        "LIBMPDEC": f"{include} -DCONFIG_64=1",
    }
    packages = {**_PACKAGES, "TCLTK": _TCLTK[cell.target.os]}
    if cell.target.os == "linux":
        packages |= _LINUX_PACKAGES
    else:
        packages |= _MACOS_PACKAGES
    if cell.version.number >= (3, 14):
        packages["LIBZSTD"] = "-lzstd -lpthread"
    variables = {}
    for name, libraries in packages.items():
        variables[f"{name}_CFLAGS"] = cflags.get(name, include)
        variables[f"{name}_LIBS"] = libraries
    return variables


def training_files() -> tuple[str, ...]:
    """The training programs, as paths below cpython-unix."""
    return tuple(sorted(f"training/{path.name}" for path in (DATA / "training").iterdir() if path.is_file()))


def shipped_files() -> tuple[str, ...]:
    """What goes into the archive's standard library as it is, as paths below cpython-unix."""
    return tuple(sorted(f"ship/{path.relative_to(DATA / 'ship').as_posix()}" for path in (DATA / "ship").rglob("*.py")))


def _library_needs(cell: Cell) -> tuple[str, ...]:
    linux = cell.target.os == "linux"
    return (
        *(("sysroot", *LINUX_LIBRARIES) if linux else ()),
        *LIBRARIES,
        *(("zstd",) if cell.version.number >= (3, 14) else ()),
        *(("libcrypt",) if linux and cell.version.number <= (3, 12) else ()),
    )
