"""CPython's Setup files and inittab: what a module is made of."""

from __future__ import annotations

from workers.package.setup_lines import fill_in, link_words, parse_inittab, parse_setup

STDLIB = """
# what configure wrote
*static*
zlib zlibmodule.c
_sha2 sha2module.c -I$(srcdir)/Modules/_hacl/include Modules/_hacl/libHacl_Hash_SHA2.a
_testcapi _testcapimodule.c \\
    _testcapi/vectorcall.c  # many more
CONST=1
*shared*
_ctypes_test _ctypes/_ctypes_test.c
"""


def test_a_module_has_the_sources_and_the_section_of_its_line() -> None:
    lines = parse_setup([STDLIB])
    assert set(lines) == {"zlib", "_sha2", "_testcapi", "_ctypes_test"}
    assert (lines["zlib"].section, lines["zlib"].sources) == ("static", ("zlibmodule.c",))
    assert lines["_testcapi"].sources == ("_testcapimodule.c", "_testcapi/vectorcall.c")
    assert lines["_ctypes_test"].section == "shared"


def test_the_first_file_that_has_a_module_decides() -> None:
    lines = parse_setup(["*shared*\nzlib mine.c\n*disabled*\n_testcapi _sha2\n", STDLIB])
    assert (lines["zlib"].section, lines["zlib"].sources) == ("shared", ("mine.c",))
    assert lines["_sha2"].section == lines["_testcapi"].section == "disabled"


def test_the_inittab_says_how_each_built_in_module_is_made() -> None:
    text = """
extern PyObject* PyInit__abc(void);
struct _inittab _PyImport_Inittab[] = {
    {"_abc", PyInit__abc},
    /* This module lives in marshal.c */
    {"marshal", PyMarshal_Init},
    {"builtins", NULL},
    {0, 0}
};"""
    assert parse_inittab(text) == {"_abc": "PyInit__abc", "marshal": "PyMarshal_Init", "builtins": "NULL"}


def test_makes_variables_are_filled_in_and_unknown_ones_are_empty() -> None:
    assert fill_in("-l$(A) ${B}$(C)", {"A": "$(D)", "D": "z", "B": "x"}) == "-lz x"


def test_the_libraries_of_a_module_come_from_its_line_and_from_the_makefile() -> None:
    lines = parse_setup([STDLIB, "*static*\n_ssl _ssl.c -lssl -lcrypto $(MORE)\n_x x.c -Xlinker -hidden-lz\n"])
    assert link_words(lines["zlib"], "zlib", {"MODULE_ZLIB_LDFLAGS": "-L/lib -lz $(LIBM)", "LIBM": "-lm"}) == [
        "-lz",
        "-lm",
    ]
    assert link_words(lines["_ssl"], "_ssl", {"MORE": "-l:libatomic.a"}) == ["-lssl", "-lcrypto", "-l:libatomic.a"]
    assert link_words(lines["_x"], "_x", {}) == ["-lz"]
    assert link_words(None, "_scproxy", {"MODULE__SCPROXY_LDFLAGS": "-framework CoreFoundation"}) == [
        "-framework CoreFoundation"
    ]
