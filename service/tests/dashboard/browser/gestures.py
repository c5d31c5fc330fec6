"""What a user does with a page, and what is to be seen there."""

import re

from playwright.sync_api import expect

JOB = re.compile(r"#/jobs/job_[0-9A-F]+$")


def job_of(page):
    """The id of the job whose page is shown."""
    expect(page).to_have_url(JOB)
    return page.url.rsplit("/", 1)[1]


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def chip(page):
    return page.locator(".heading .chip")


def paste(page, urls):
    page.get_by_label("URLs", exact=True).fill("\n".join(urls))


def fields(page, *wanted):
    """Fills the rows with (name, type, selector)."""
    for at, (name, kind, selector) in enumerate(wanted):
        if at > 0:
            button(page, "Add a field").click()
        page.get_by_label("Name of the field").nth(at).fill(name)
        page.get_by_label("Type of the field").nth(at).fill(kind)
        page.get_by_label("CSS selector of the field").nth(at).fill(selector)


def shown(page, name):
    """The figure of this name on a job's page."""
    return page.locator(".figures div", has=page.locator(f"dt:text-is('{name}')")).locator("dd")


def progress_beyond(page, least):
    """Waits until the bar shows more than `least` percent, and tells how much."""
    reached = page.wait_for_function(
        "(least) => { const bar = document.querySelector('article [role=progressbar]');"
        " const now = Number(bar?.getAttribute('aria-valuenow')); return now > least && now; }", arg=least)
    return reached.json_value()


def download(page, link):
    with page.expect_download() as started:
        link.click()
    with open(started.value.path(), "rb") as file:
        return file.read(), started.value.suggested_filename


def tab_to(page, name, role=None):
    """Presses Tab until what has this name is focused, and visibly so."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "() => { const e = document.activeElement; const label = e.labels?.[0]?.textContent;"
            " const style = getComputedStyle(e); return { name: e.getAttribute('aria-label') ?? label ?? e.textContent,"
            " tag: e.localName, seen: style.outlineStyle !== 'none' || e.type === 'radio' }; }")
        if focused["name"].strip() == name and role in (None, focused["tag"]):
            assert focused["seen"], f"the focus on {name} is not visible"
            return
    raise AssertionError(f"{name} cannot be reached by Tab")
