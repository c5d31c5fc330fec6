"""Jobs are made, watched, stopped, tried again and found."""

import csv
import gzip
import io
import json
import re
import tempfile
import urllib.request

from playwright.sync_api import expect

from gestures import button, chip, download, fields, job_of, paste, progress_beyond, shown, tab_to


def submit(stage):
    page = stage.open()
    expect(page.get_by_text("No jobs yet")).to_be_visible()
    expect(page.locator("pre")).to_contain_text(f"curl {stage.base}/v1/jobs")
    page.get_by_role("link", name="Make the first one").click()
    paste(page, [f"{stage.shop}/products/{number}" for number in range(400)])
    expect(page.get_by_text("400 URLs", exact=True)).to_be_visible()
    fields(page, ("name", "string", ""), ("price", "number", ".price"))

    button(page, "Preview").click()
    found = page.locator("table.found tbody tr")
    expect(found).to_have_count(2)
    expect(found.nth(0)).to_contain_text("%")
    expect(found.nth(1)).to_contain_text(re.compile(r"price\s*[\d.]+"))

    page.get_by_label("Name", exact=True).fill("watched")
    page.get_by_label("Pages at a time").fill("8")
    page.get_by_text("Pack the result with gzip").click()
    button(page, "Check").click()
    expect(page.locator(".estimate")).to_contain_text(re.compile(r"URLs\s*400"))
    assert stage.call("GET", "/v1/jobs")["data"] == [], "checking makes no job"

    button(page, "Submit the job").click()
    job = job_of(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("watched")
    reached = progress_beyond(page, 0)
    assert reached < 100
    expect(shown(page, "Rate")).to_contain_text("/s")
    expect(shown(page, "Time left")).not_to_have_text("–")
    assert progress_beyond(page, reached) > reached
    expect(chip(page)).to_have_text("Completed")
    expect(page.locator(".share")).to_have_text("100 %")
    expect(page).to_have_title(re.compile("^watched · Completed"))

    body, name = download(page, page.get_by_role("link", name="Download"))
    assert name.endswith(".ndjson.gz"), name
    records = [json.loads(line) for line in gzip.decompress(body).splitlines()]
    assert len(records) == 400 and all(record["data"]["name"] for record in records)
    part, _ = download(page, page.get_by_role("link", name=re.compile("^part-00000")))
    assert part == body

    page.get_by_text("A link to hand on").click()
    page.get_by_label("Valid for").select_option("1 hour")
    button(page, "Make a link").click()
    link = page.get_by_label("The link").input_value()
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == body, "the link needs no key"

    page.get_by_role("link", name="Jobs", exact=True).first.click()
    row = page.locator("table.jobs tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("400 of 400 · 100 %")
    assert stage.call("GET", f"/v1/jobs/{job}")["status"] == "completed"


def keyboard(stage):
    page = stage.open()
    keys = page.keyboard
    expect(page.get_by_text("No jobs yet")).to_be_visible()
    tab_to(page, "New job", "a")
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("New job")
    tab_to(page, "URLs")
    keys.insert_text("\n".join(f"{stage.shop}/products/{number}" for number in range(900)))
    tab_to(page, "Name of the field")
    keys.type("name")
    keys.press("Enter")
    keys.type("price")
    assert page.evaluate("location.hash") == "#/new", "Enter in a row adds a row"
    tab_to(page, "Type of the field")
    keys.press("Control+A")
    keys.type("number")
    tab_to(page, "Format")
    keys.type("CSV")
    tab_to(page, "Pages at a time")
    keys.press("Control+A")
    keys.type("4")
    tab_to(page, "Submit the job")
    keys.press("Enter")
    job = job_of(page)
    progress_beyond(page, 0)
    tab_to(page, "Cancel…")
    keys.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    tab_to(page, "Cancel the job")
    keys.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(chip(page)).to_have_text("Cancelled")
    state = stage.call("GET", f"/v1/jobs/{job}")
    assert state["output"]["format"] == "csv" and state["concurrency"] == 4
    tab_to(page, "Download", "a")
    with page.expect_download() as started:
        keys.press("Enter")
    rows = list(csv.DictReader(io.StringIO(open(started.value.path(), encoding="utf-8").read())))
    assert len(rows) == state["urls_done"] > 0 and rows[0]["price"]


def cancel(stage):
    job = stage.submit(1_000, concurrency=4, name="long")
    page = stage.open(f"jobs/{job}")
    progress_beyond(page, 0)
    button(page, "Cancel…").click()
    button(page, "Let it run").click()
    assert stage.call("GET", f"/v1/jobs/{job}")["status"] == "running"
    button(page, "Cancel…").click()
    button(page, "Cancel the job").click()
    expect(chip(page)).to_have_text("Cancelled")
    expect(page.get_by_text("It was cancelled.")).to_be_visible()
    expect(button(page, "Cancel…")).to_be_hidden()
    state = stage.call("GET", f"/v1/jobs/{job}")
    assert 0 < state["urls_done"] < 1_000
    expect(shown(page, "Skipped")).to_have_text(f"{state['urls_skipped']:,}")
    body, _ = download(page, page.get_by_role("link", name="Download"))
    assert len(body.splitlines()) == state["urls_done"]


def retry(stage):
    job = stage.submit(200, name="faulty", defaults={"retry": {"max": 0}})
    by_code = stage.finish(job)["by_code"]
    assert set(by_code) == {"target_4xx", "target_5xx"}, by_code
    page = stage.open(f"jobs/{job}")
    bars = page.locator(".codes li")
    expect(bars).to_have_count(2)
    for code, number in by_code.items():
        expect(bars.filter(has_text=code)).to_contain_text(str(number))
    page.get_by_text("One by one").click()
    rows = page.locator("table.failures tbody tr")
    expect(rows).to_have_count(20)
    while button(page, "Load more").is_visible():
        before = rows.count()
        button(page, "Load more").click()
        expect(rows.nth(before)).to_be_visible()
    expect(rows).to_have_count(sum(by_code.values()))
    page.get_by_label("Code", exact=True).select_option("target_5xx")
    expect(rows).to_have_count(min(20, by_code["target_5xx"]))
    expect(rows.filter(has_text="target_5xx")).to_have_count(rows.count())

    button(page, "Retry failures…").click()
    page.get_by_label(re.compile("^target_4xx")).uncheck()
    button(page, "Retry").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("faulty (retry)")
    again = job_of(page)
    state = stage.finish(again)
    assert state["retry_of"] == job and state["urls_total"] == by_code["target_5xx"], state
    expect(page.get_by_role("link", name=job)).to_be_visible()


def upload(stage):
    page = stage.open("new")
    page.get_by_role("radio", name="Upload a file").check()
    lines = [f'{{"url": "{stage.shop}/products/{number}"}}' for number in range(50)]
    with tempfile.NamedTemporaryFile(suffix=".ndjson.gz") as file:
        file.write(gzip.compress("\n".join([*lines, '"ftp://nowhere"', "{"]).encode()))
        file.flush()
        page.get_by_label("File", exact=True).set_input_files(file.name)
        seen = []
        page.route("**/v1/uploads", lambda route: (seen.append(bar.is_visible()), route.continue_()))
        bar = page.get_by_role("progressbar", name="Upload")
        button(page, "Check").click()
        expect(page.locator(".estimate")).to_contain_text(re.compile(r"Cannot be used\s*2"))
        assert seen == [True], "the upload shows how far it is"
        expect(page.get_by_text("2 lines cannot be used")).to_be_visible()
        expect(page.get_by_text("Line 51")).to_be_visible()
        button(page, "Submit the job").click()
        state = stage.finish(job_of(page))
    assert (state["urls_ok"], state["urls_errored"]) == (50, 2), state

    # More than fits into a request, pasted: sent as an upload.
    page.goto(f"{stage.base}/#/new")
    paste(page, [f"{stage.shop}/products/{number % 50}" for number in range(1_001)])
    expect(page.get_by_text("1,001 URLs, sent as an upload")).to_be_visible()
    button(page, "Submit the job").click()
    assert stage.finish(job_of(page))["urls_ok"] == 1_001

    stage.expects("status of 400")
    page.goto(f"{stage.base}/#/new")
    paste(page, [f"{stage.shop}/products/1", "ftp://nowhere"])
    button(page, "Submit the job").click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile("invalid_url · trace trc_"))
    expect(page.get_by_label("URLs", exact=True)).to_be_focused()


def bucket(stage):
    page = stage.open("new")
    page.get_by_role("radio", name="From a bucket").check()
    expect(page.get_by_label("URLs", exact=True)).to_be_hidden()
    address = page.get_by_label("Address of the list")
    address.fill("s3://lists/../secrets")
    role = page.get_by_label("Role for the list")
    role.fill("arn:aws:iam::123456789012:role/reader")
    external_id = stage.call("GET", "/v1/workspace")["external_id"]
    expect(page.get_by_text(f"external id {external_id}")).to_be_visible()
    page.get_by_label("Deliver to a bucket of yours").fill("s3://results/nightly")
    page.get_by_label("Role for the delivery").fill("arn:aws:iam::123456789012:role/writer")
    page.get_by_label("Most seconds").fill("600")

    page.get_by_text("The same with curl").click()
    said = page.locator("details pre").inner_text()
    body = json.loads(said[said.index("-d '") + 4 : said.rindex("'")])
    assert body["input"] == {"s3_uri": "s3://lists/../secrets", "role_arn": "arn:aws:iam::123456789012:role/reader"}, body
    assert body["output"]["s3_uri"] == "s3://results/nightly", body
    assert body["output"]["role_arn"] == "arn:aws:iam::123456789012:role/writer", body
    assert body["deadline_s"] == 600, body

    stage.expects("status of 422")
    button(page, "Submit the job").click()
    expect(page.get_by_role("alert")).to_contain_text("schema_invalid")
    expect(address).to_be_focused()
    address.fill("gs://lists/urls.csv")
    button(page, "Write it again").click()
    expect(page.locator("details pre")).to_contain_text('"gcs_uri": "gs://lists/urls.csv"')


def many(stage):
    for number in range(110):
        stage.submit(1, name=f"job {number}")
    page = stage.open()
    rows = page.locator("table.jobs tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("job 109")
    button(page, "Load more").click()
    expect(rows).to_have_count(100)
    button(page, "Load more").click()
    expect(rows).to_have_count(110)
    expect(button(page, "Load more")).to_be_hidden()
    expect(rows.last).to_contain_text("job 0")
    stage.submit(1, name="newest")
    expect(rows).to_have_count(111)
    expect(rows.first).to_contain_text("newest")
    expect(rows.last).to_contain_text("Completed")

    page.get_by_label("Name").fill("job 7")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    page.get_by_label("Name").fill("")
    page.get_by_label("Status").select_option("failed")
    expect(page.get_by_text("No job is like that.")).to_be_visible()
    page.get_by_role("link", name="Show all jobs").click()
    expect(rows).to_have_count(50)
