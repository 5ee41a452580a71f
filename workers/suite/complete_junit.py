"""Runs regrtest so that its JUnit XML names every failure. Executed by the interpreter under test, 3.10 to 3.14.

Left to itself the XML has a nameless testcase where a subtest failed, and nothing at all for what setUpClass,
setUpModule and their counterparts raise (`addSubTest` is not overridden, `addError` without `startTest` returns early).
The result object knows them all: what the XML lacks is added from there. Nothing else of regrtest is changed.
"""

from __future__ import annotations

import importlib
import runpy
from typing import Any


def _result_class() -> Any:
    for name in ("test.libregrtest.testresult", "test.support.testresult"):  # from 3.12 on, and before
        try:
            return importlib.import_module(name).RegressionTestResult
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise SystemExit("this CPython's test package has no RegressionTestResult")


def _name(test: Any) -> str:
    """The test's id; of a subtest, that of its test: subtests' own texts hold addresses and paths."""
    test = getattr(test, "test_case", test)
    return str(test.id() if hasattr(test, "id") else test)


def _complete(result_class: Any) -> None:
    original = result_class.get_xml_element

    def get_xml_element(self: Any) -> Any:
        from xml.etree import ElementTree as ET

        suite = original(self)
        for case in [case for case in suite if case.get("name") is None]:
            suite.remove(case)
        named = {
            case.get("name") for case in suite if case.find("error") is not None or case.find("failure") is not None
        }
        for tag, broken in (("error", self.errors), ("failure", self.failures)):
            for test, text in broken:
                name = _name(test)
                if name in named:
                    continue
                named.add(name)
                case = ET.SubElement(suite, "testcase", name=name, status="run", result="completed", time="0")
                ET.SubElement(case, tag).text = text.encode("ascii", "backslashreplace").decode().translate(_CONTROL)
        return suite

    result_class.get_xml_element = get_xml_element


# What XML 1.0 has no way to write.
_CONTROL = {number: "?" for number in range(32) if chr(number) not in "\t\n\r"}

_complete(_result_class())
runpy.run_module("test", run_name="__main__", alter_sys=True)
