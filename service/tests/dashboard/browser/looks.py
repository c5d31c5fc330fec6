"""What the pages are like, and what they are made of."""

import urllib.error
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from gestures import button


def accessible(stage):
    job = stage.submit(50, webhook=f"{stage.shop}/hook", name="a job with a rather long name, as they are in practice")
    stage.finish(job)
    views = ["jobs", f"jobs/{job}", "new", "webhooks", "jobs?status=failed"]
    for scheme in ("light", "dark"):
        page = stage.open(color_scheme=scheme)
        for view in views:
            page.goto(f"{stage.base}/#/{view}")
            settle(page)
            check(page, f"{view} in {scheme}")
        page.goto(f"{stage.base}/#/jobs/{job}")
        button(page, "Retry failures…").click()
        check(page, f"the dialog in {scheme}")
    phone = stage.open(viewport={"width": 360, "height": 740})
    for view in views:
        phone.goto(f"{stage.base}/#/{view}")
        settle(phone)
        width = phone.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, f"{view} is {width} px wide"


def settle(page):
    """Waits for the view, and opens all that can be opened."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_load_state("networkidle")
    for fold in page.locator("main summary").all():
        if fold.is_visible():
            fold.click()


def check(page, where):
    violations = Axe().run(page).response["violations"]
    told = [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in violations]
    assert not told, f"{where}: " + "; ".join(told)

EVENTS = """
async (chunk) => {
  const { events } = await import("/dashboard/js/events.js");
  const text = ': hello\\n\\nevent: progress\\r\\nid: 7\\r\\ndata: {"a":\\r\\ndata: "ä"}\\r\\n\\r\\nretry: 5\\ndata:x\\n\\nid: 9\\n\\ndata: cut';
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream({ start(controller) {
    for (let at = 0; at < bytes.length; at += chunk) controller.enqueue(bytes.slice(at, at + chunk));
    controller.close();
  } });
  const read = [];
  for await (const event of events(body)) read.push([event.type, event.id ?? null, event.data]);
  return read;
}
"""

FORMATS = """
async () => {
  const f = await import("/dashboard/js/format.js");
  const { Rate } = await import("/dashboard/js/rate.js");
  const rate = new Rate();
  [0, 1, 2, 3, 60].forEach((second) => rate.note(second * 50, second * 1000));
  return [
    f.duration(0.4), f.duration(59.6), f.duration(61), f.duration(600), f.duration(3599), f.duration(2700), f.duration(3660), f.duration(90_000),
    f.percent(1, 1_000_000), f.percent(999_999, 1_000_000), f.percent(1, 3), f.percent(0, 0), f.percent(5, null),
    f.bytes(999), f.bytes(50_000_000_000), f.count(1_000_000), f.rate(0.41), f.rate(402.4), f.counted(1, "URL"), rate.value,
  ];
}
"""


def modules(stage):
    """The modules by themselves: streams cut anywhere, and how figures are written."""
    page = stage.open()
    wanted = [["progress", "7", '{"a":\n"ä"}'], ["message", None, "x"]]
    for chunk in (1, 2, 3, 7, 1_000):
        assert page.evaluate(EVENTS, chunk) == wanted, chunk
    written = page.evaluate(FORMATS)
    assert written == [
        "0 s", "1 min", "1 min 01 s", "10 min", "1 h 00 min", "45 min", "1 h 01 min", "1 d 1 h",
        "< 0.1 %", "> 99.9 %", "33.3 %", "–", "–",
        "999 B", "50.0 GB", "1,000,000", "0.4/s", "402/s", "1 URL", 50,
    ], written


def headers(stage):
    with urllib.request.urlopen(f"{stage.base}/") as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        tag = answer.headers["ETag"]
    known = urllib.request.Request(f"{stage.base}/", headers={"If-None-Match": tag})
    assert status_of(known) == 304
    for path in ("/dashboard/", "/dashboard/../Cargo.toml", "/dashboard/%2e%2e/Cargo.toml", "/dashboard/js", "/dashboard/js/none.js"):
        assert status_of(urllib.request.Request(stage.base + path)) == 404, path


def status_of(request):
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
