"""A browser that complains: of errors in the console, of violations of the policy, of dialogs."""

import contextlib
import faulthandler
import json
import os
import shutil
import sys
import urllib.error
import urllib.request

from playwright.sync_api import expect, sync_playwright

# A scene that hangs tells where, and ends.
faulthandler.dump_traceback_later(240, exit=True)
expect.set_options(timeout=30_000)

# Debian's wrapper starts this one; elsewhere it is what the wrapper's name leads to.
CHROMIUM = "/usr/lib/chromium/chromium"
WATCH = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
window.owned = false;
"""


class Stage:
    """What a scene plays on. Leaving it fails if the browser had something to complain of."""

    def __init__(self, browser):
        self.base = os.environ["DASHBOARD_URL"]
        self.shop = os.environ["SHOP_URL"]
        self.key = None
        self._browser = browser
        self._pages = []
        self._complaints = []
        self._expected = []

    def open(self, view="jobs", **context):
        """A page of its own, in a browser context of its own."""
        context.setdefault("viewport", {"width": 1280, "height": 900})
        page = self._browser.new_context(accept_downloads=True, **context).new_page()
        page.set_default_timeout(30_000)
        page.add_init_script(WATCH)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._complaints.append(f"exception: {error}"))
        page.on("dialog", self._asked)
        page.goto(f"{self.base}/#/{view}")
        self._pages.append(page)
        return page

    def expects(self, *complaints):
        """Errors that belong to the scene, by a part of their text."""
        self._expected += complaints

    def call(self, method, path, body=None):
        """The API, as a program uses it."""
        request = urllib.request.Request(self.base + path, method=method)
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def submit(self, pages, **job):
        """A job over the shop's first pages."""
        urls = [f"{self.shop}/products/{number}" for number in range(pages)]
        job.setdefault("defaults", {"extract": {"name": "string"}})
        return self.call("POST", "/v1/jobs", {"urls": urls, **job})["id"]

    def finish(self, job):
        """Waits for the end of a job."""
        while True:
            state = self.call("GET", f"/v1/jobs/{job}?wait=30")
            if state["status"] in ("completed", "cancelled", "failed"):
                return state

    def kill(self):
        """Has the service killed."""
        self._order("kill")

    def start(self):
        """Has it started again."""
        self._order("start")

    def _order(self, order):
        print(order, flush=True)
        assert sys.stdin.readline() == "done\n"

    def close(self):
        for page in self._pages:
            assert page.evaluate("window.owned") is False, "a script of a page was run"
        unexpected = [one for one in self._complaints if not any(word in one for word in self._expected)]
        assert not unexpected, "\n".join(unexpected)

    def _heard(self, message):
        if message.type in ("error", "warning"):
            self._complaints.append(f"{message.type}: {message.text}")

    def _asked(self, dialog):
        self._complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextlib.contextmanager
def stage():
    path = CHROMIUM if os.path.exists(CHROMIUM) else shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            played = Stage(browser)
            yield played
            played.close()
        finally:
            browser.close()
