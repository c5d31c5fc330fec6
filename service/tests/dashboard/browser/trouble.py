"""Hostile pages, keys, a service that is killed, webhooks that fail."""

import json
import urllib.request

from playwright.sync_api import expect

from gestures import button, chip, download, paste, progress_beyond
from hostile import MARKUP, HostileSite


def hostile(stage):
    with HostileSite() as site:
        page = stage.open("new")
        paste(page, [f"{site.url}/page"])
        page.get_by_role("radio", name="JSON").check()
        schema = {"title": {"selector": "h1", "output": "html"}, "link": {"type": "string", "selector": "a@href"}}
        page.get_by_label("Schema").fill(json.dumps(schema))
        button(page, "Preview").click()
        expect(page.locator("table.found")).to_contain_text(MARKUP)
        page.get_by_text("The whole record").click()
        page.get_by_label("Name", exact=True).fill(MARKUP)
        button(page, "Submit the job").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(MARKUP)
        expect(chip(page)).to_have_text("Completed")
        page.get_by_text("As the API tells it").click()

        urls = [f"{site.url}/page?{MARKUP}", f"{site.url}/missing/{MARKUP}"]
        job = stage.call("POST", "/v1/jobs", {"urls": urls, "defaults": {"retry": {"max": 0}}, "metadata": {"m": MARKUP}})["id"]
        stage.finish(job)
        page.goto(f"{stage.base}/#/jobs/{job}")
        page.get_by_text("One by one").click()
        expect(page.locator("table.failures")).to_contain_text(MARKUP)

        lines = b'"javascript:window.owned=true"\n"data:text/html,<script>window.owned=true</script>"\n'
        job = upload_and_run(stage, lines)
        page.goto(f"{stage.base}/#/jobs/{job}")
        page.get_by_text("One by one").click()
        expect(page.locator("table.failures")).to_contain_text("javascript:")
        assert page.locator("main a[href^='javascript'], main a[href^='data']").count() == 0

        page.goto(f"{stage.base}/#/jobs/{MARKUP}")
        expect(page.get_by_role("alert")).to_contain_text("not_found")
        stage.expects("status of 404")
        page.goto(f"{stage.base}/#/jobs")
        expect(page.locator("table.jobs")).to_contain_text(MARKUP)
        assert page.locator("main img, main script, main iframe").count() == 0


def upload_and_run(stage, lines):
    request = urllib.request.Request(f"{stage.base}/v1/uploads", data=lines, headers={"Content-Type": "application/x-ndjson"})
    with urllib.request.urlopen(request) as answer:
        upload = json.load(answer)["upload_id"]
    job = stage.call("POST", "/v1/jobs", {"input": {"upload_id": upload}})["id"]
    stage.finish(job)
    return job


def keys(stage):
    stage.expects("status of 401")
    page = stage.open()
    given = page.get_by_label("API key")
    given.fill("hd_live_wrong_wrong_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    given.fill("hd_live_0123456789abcdef")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No jobs yet")).to_be_visible()
    stage.key = "hd_live_0123456789abcdef"
    job = stage.submit(5)
    stage.finish(job)
    page.reload()
    expect(page.get_by_role("link", name=job)).to_be_visible()
    page.get_by_role("link", name=job).click()
    body, _ = download(page, page.get_by_role("link", name="Download"))
    assert len(body.splitlines()) == 5
    kept = page.evaluate("[JSON.stringify(localStorage), document.cookie, document.documentElement.outerHTML]")
    assert not any("hd_live" in one for one in kept), "the key is in the tab's memory only"

    button(page, "Forget key").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    button(page, "Back").click()
    expect(page.get_by_role("alert")).to_contain_text("missing_credentials")
    expect(stage.open().get_by_role("dialog")).to_be_visible()


def restart(stage):
    stage.expects("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    job = stage.submit(1_000, concurrency=16)
    page = stage.open(f"jobs/{job}")
    reached = progress_beyond(page, 0)
    stage.kill()
    expect(page.locator(".link")).to_have_text("reconnecting…")
    stage.start()
    assert progress_beyond(page, reached) > reached
    expect(page.locator(".link")).to_have_text("live")
    expect(chip(page)).to_have_text("Completed", timeout=120_000)
    assert stage.call("GET", f"/v1/jobs/{job}")["urls_done"] == 1_000


def polling(stage):
    stage.expects("ERR_FAILED")
    job = stage.submit(400, concurrency=8)
    page = stage.open()
    page.route("**/events", lambda route: route.abort())
    page.get_by_role("link", name=job).click()
    reached = progress_beyond(page, 0)
    progress_beyond(page, reached)
    expect(chip(page)).to_have_text("Completed", timeout=120_000)
    body, _ = download(page, page.get_by_role("link", name="Download"))
    assert len(body.splitlines()) == 400


def webhook(stage):
    with HostileSite() as site:
        job = stage.submit(3, webhook=f"{site.url}/hook")
        stage.finish(job)
        page = stage.open("webhooks")
        row = page.locator("table.deliveries tbody tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("job.completed")
        site.hooks.get(timeout=30)
        button(page, f"Send job.completed of {job} again").click()
        site.hooks.get(timeout=30)
        page.get_by_role("link", name=job).click()
        expect(page.locator("table.deliveries tbody tr")).to_contain_text("job.completed")
