"""Chromium for the tests of pages, a plugin: a page that says something or asks for
something fails its test.
"""

import shutil
from contextlib import contextmanager

import pytest


def require_chromium(*, module: bool = False) -> str:
    """Return the path of the distribution's Chromium; skip the test, or the whole
    module, if there is none.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip(
            "needs the distribution's Chromium: apt-get install chromium",
            allow_module_level=module,
        )
    return path


@pytest.fixture(scope="module")
def browser():
    """The distribution's Chromium; one for the module, since its driver keeps an event
    loop that other tests must not meet.
    """
    chromium = require_chromium()
    from playwright import sync_api as playwright

    arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
    ]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()


@contextmanager
def opening(browser):
    """Yield ``open_file(file, width=1280, scheme="light")``; at the end nothing was
    said on the console, and nothing asked for.
    """
    said, asked, contexts = [], [], []

    def opened(file, width=1280, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.resolve().as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert [
        url for url in asked if not url.startswith(("file:", "data:", "blob:"))
    ] == []
    assert sum(url.startswith("file:") for url in asked) == len(contexts)


@pytest.fixture
def open_file(browser):
    """Return the function of `opening`."""
    with opening(browser) as opened:
        yield opened
