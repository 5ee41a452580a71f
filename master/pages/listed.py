"""The farm's pages, in the menu's order. A new one is a module with a `PAGE`, a template, and its line here."""

from __future__ import annotations

from master.pages import archive, matrix, pins, readiness, trends, workers
from master.pages.page import Page

PAGES: tuple[Page, ...] = (matrix.PAGE, readiness.PAGE, trends.PAGE, workers.PAGE, pins.PAGE, archive.PAGE)
