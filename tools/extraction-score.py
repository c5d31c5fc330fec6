#!/usr/bin/env python3
"""Precision and recall of a run's fields against pages whose true values are known.

  tools/extraction-score.py TRUTH RESULTS… [--split dev] [--field NAME] [--wrong N] [--sites] [--calibration]

TRUTH is a JSON file {"fields": {name: {"match": kind}}, "pages": {id: {"site", "split", "expected": {name: truth}}}},
where a truth is {"any": […]} (one of these), {"all": […]} (all of these), {"list": […]}, {"parts": […]} or
{"absent": true}. RESULTS are NDJSON or CSV of `harvestman run`; a record belongs to the page that is named by its
`id`, or by the last part of its `url` without `.html`.

A right value is a true positive; a wrong one a false positive and a false negative; none a false negative; a value
where there is none on the page a false positive. Lists count by their elements.

--sites adds the F1 averaged over sites, in which a site of many pages counts no more than one of a single page.
--calibration needs records with `extract_options: {"meta": true}`: how often a confidence was right, and the same
for confidences learnt on other sites only (five groups of sites, each told by the other four).
--more adds the pages of other corpora to that.
"""

import argparse
import csv
import datetime
import html
import json
import re
import sys
import unicodedata
import zlib
from collections import Counter, defaultdict
from urllib.parse import unquote, urlsplit

FOLDS = 5
SIGNS = {"€": "EUR", "£": "GBP", "₽": "RUB", "₹": "INR", "₺": "TRY", "zł": "PLN", "kč": "CZK", "₴": "UAH", "₪": "ILS",
         "руб": "RUB", "lei": "RON", "kn": "HRK", "chf": "CHF", "ft": "HUF", "лв": "BGN", "грн": "UAH", "тг": "KZT"}
DOLLARS = {"USD", "CAD", "AUD", "NZD", "SGD", "HKD", "MXN", "ARS", "CLP", "COP", "TWD"}
SHARED = {"$": DOLLARS, "¥": {"JPY", "CNY"}, "kr": {"SEK", "NOK", "DKK"}, "rs": {"INR", "PKR"}}
GONE = ("outofstock", "soldout", "discontinued", "unavailable", "notavailable")


def plain(value):
    """Words in lower case without accents of typography, tags and punctuation."""
    text = unicodedata.normalize("NFKC", html.unescape(re.sub(r"<[^>]*>", " ", str(value)))).casefold()
    return " ".join(re.findall(r"\w+", text.replace("’", "").replace("'", "")))


def number(value):
    try:
        return float(str(value).strip())
    except ValueError:
        return None


def day(value):
    found = re.match(r"\s*(\d{4})-(\d{1,2})-(\d{1,2})", str(value))
    try:
        return datetime.date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def minutes(value):
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", str(value).strip())
    if not found:
        return number(value)
    days, hours, mins, secs = (int(part or 0) for part in found.groups())
    return days * 1440 + hours * 60 + mins + secs / 60


def address(value):
    parts = urlsplit(html.unescape(str(value)).strip())
    host = parts.netloc.lower().removeprefix("www.").split(":")[0]
    return ("" if host == "127.0.0.1" else host), unquote(parts.path).rstrip("/"), parts.query


def currencies(value):
    text = str(value).strip().rstrip(".").casefold()
    return SHARED.get(text) or {SIGNS.get(text, text.upper())}


def availability(value):
    text = re.sub("[^a-z]", "", str(value).casefold().rsplit("/", 1)[-1])
    return "gone" if text == "false" or any(word in text for word in GONE) else "there"


def is_day(found, truth):
    one, other = day(found), day(truth)
    if one is None or other is None:
        return plain(found) == plain(truth)
    # Of a moment the day depends on the zone.
    return abs((one - other).days) <= (1 if "T" in str(truth) else 0)


def is_address(found, truth):
    one, other = address(found), address(truth)
    return one[1:] == other[1:] and (one[0] == other[0] or not one[0] or not other[0])


def is_near(read):
    def same(found, truth):
        one, other = read(found), read(truth)
        return one is not None and other is not None and abs(one - other) < 0.005

    return same


def joined(value):
    return plain(value).replace(" ", "").replace("_", "")


def phone(value):
    return re.sub(r"\D", "", str(value))[-10:]


SAME = {
    "decimal": is_near(number),
    "minutes": is_near(minutes),
    "currency": lambda found, truth: bool(currencies(found) & currencies(truth)),
    "availability": lambda found, truth: availability(found) == availability(truth),
    "id": lambda found, truth: joined(found) == joined(truth) != "",
    "digits": lambda found, truth: phone(found) == phone(truth) != "",
    "lang": lambda found, truth: plain(found).split()[:1] == plain(truth).split()[:1],
    "date": is_day,
    "url": is_address,
}


def is_same(kind, found, truth):
    if kind == "text_or_url" and "/" in str(found) and is_address(found, truth):
        return True
    if kind == "text_or_url" and number(found) is not None and number(found) == number(truth):
        return True
    by_kind = SAME.get(kind)
    return by_kind(found, truth) if by_kind else plain(found) == plain(truth) != ""


def elements(value):
    if isinstance(value, list):
        return value
    text = str(value)
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            pass
    return [part for part in re.split(r"[\n;|]|, ", text) if part.strip()]


def judge(kind, found, truth):
    """(true positives, false positives, false negatives)"""
    is_there = found not in (None, "", [], {})
    if "absent" in truth:
        return (0, int(is_there), 0)
    if "list" in truth:
        wanted = Counter(map(plain, truth["list"]))
        got = Counter(word for word in map(plain, elements(found) if is_there else []) if word)
        right = sum((wanted & got).values())
        return (right, sum(got.values()) - right, sum(wanted.values()) - right)
    if not is_there:
        return (0, 0, 1)
    if "any" in truth:
        one = found[0] if isinstance(found, list) else found
        right = any(is_same(kind, one, value) for value in truth["any"] + truth.get("alt", []))
    else:
        values = [plain(value) for value in truth.get("all") or truth["parts"]]
        got = {plain(part) for part in elements(found)}
        text = plain(" ".join(map(str, found)) if isinstance(found, list) else found)
        right = got == set(values) or (len(got) == 1 and got <= set(values))
        right = right or (all(value in text for value in values) and len(text) <= 2 * sum(map(len, values)) + 20)
    return (1, 0, 0) if right else (0, 1, 1)


def records(path):
    with open(path, encoding="utf8", newline="") as lines:
        if path.endswith(".csv"):
            for row in csv.DictReader(lines):
                yield row, {} if row.get("status") == "error" else row, {}
            return
        for line in lines:
            record = json.loads(line) if line.strip() else {}
            yield record, record.get("data") or {}, record.get("meta") or {}


def page_of(record, pages, by_url):
    name = str(record.get("id") or "")
    url = str(record.get("url") or "")
    last = unquote(urlsplit(url).path.rsplit("/", 1)[-1]).removesuffix(".html")
    return next((page for page in (name, last, by_url.get(url)) if page in pages), None)


def rates(right, wrong, lacking):
    precision = right / (right + wrong) if right + wrong else 1.0
    recall = right / (right + lacking) if right + lacking else 1.0
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def isotonic(points):
    """Shares that never fall, from (confidence, right) pairs: neighbours that would are taken together."""
    alike = defaultdict(list)
    for confidence, right in points:
        alike[confidence].append(right)
    blocks = []
    for confidence, rights in sorted(alike.items()):
        blocks.append([sum(rights), len(rights), confidence])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] > blocks[-1][0] * blocks[-2][1]:
            total, count, top = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + count, top]
    return [(top, total / count) for total, count, top in blocks]


def learnt(steps, confidence):
    return next((share for top, share in steps if confidence <= top), steps[-1][1] if steps else 0.0)


def error(pairs):
    """How far confidences are from the share that is right, on average over ten bins by their size."""
    bins = defaultdict(list)
    for confidence, right in pairs:
        bins[min(int(confidence * 10), 9)].append((confidence, right))
    gap = sum(abs(sum(c for c, _ in part) - sum(r for _, r in part)) for part in bins.values())
    return gap / max(len(pairs), 1)


def show_calibration(sure):
    print(f"\nconfidence, {len(sure)} values\n{'shown':>10}{'values':>8}{'right':>8}")
    bins = defaultdict(list)
    for _, confidence, right in sure:
        bins[min(int(confidence * 20), 19)].append((confidence, right))
    for _, part in sorted(bins.items()):
        mean = sum(confidence for confidence, _ in part) / len(part)
        print(f"{mean:10.2f}{len(part):8}{sum(right for _, right in part) / len(part):8.2f}")
    elsewhere = []
    for fold in range(FOLDS):
        steps = isotonic([(c, r) for site, c, r in sure if zlib.crc32(site.encode()) % FOLDS != fold])
        own = [(c, r) for site, c, r in sure if zlib.crc32(site.encode()) % FOLDS == fold]
        elsewhere += [(learnt(steps, confidence), right) for confidence, right in own]
    shown = error([(confidence, right) for _, confidence, right in sure])
    print(f"off by {shown:.3f} on average as shown; {error(elsewhere):.3f} if learnt on other sites only")


def read(truth, results, args):
    """The pages, which of them have records, and each field with its truth, its value and what that counts."""
    with open(truth, encoding="utf8") as file:
        truth = json.load(file)
    pages = {name: page for name, page in truth["pages"].items() if args.split in (None, page.get("split"))}
    by_url = {page["url"]: name for name, page in pages.items() if "url" in page}
    found = {}
    for path in results:
        for record, data, meta in records(path):
            page = page_of(record, pages, by_url)
            if page is not None:
                found[page] = (data, meta)
    judged = []
    for name, page in pages.items():
        data, meta = found.get(name, ({}, {}))
        for field, value in page["expected"].items():
            if args.field in (None, field):
                result = judge(truth["fields"][field]["match"], data.get(field), value)
                confidence = meta.get(field, {}).get("confidence")
                judged.append((field, name, page.get("site", name), value, data.get(field), confidence, result))
    return pages, found, judged


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth")
    parser.add_argument("results", nargs="+")
    parser.add_argument("--split", help="only pages of this part, e.g. dev")
    parser.add_argument("--field", help="only this field")
    parser.add_argument("--wrong", type=int, default=0, metavar="N", help="show so many wrong values a field")
    parser.add_argument("--sites", action="store_true")
    parser.add_argument("--calibration", action="store_true")
    parser.add_argument("--more", nargs=2, action="append", default=[], metavar=("TRUTH", "RESULTS"),
                        help="further pages for --calibration")
    args = parser.parse_args()
    pages, found, judged = read(args.truth, args.results, args)
    counts, by_site, wrong, sure = defaultdict(list), defaultdict(lambda: defaultdict(list)), defaultdict(list), []
    for field, name, site, value, got, confidence, result in judged:
        counts[field].append(result)
        by_site[field][site].append(result)
        if result[1] or result[2]:
            wrong[field].append(f"  {field}  {name}: {str(value)[:120]}, found {str(got)[:120]}")
    for more in args.more:
        judged += read(more[0], more[1:], args)[2]
    for field, name, site, value, got, confidence, result in judged:
        if confidence is not None and "list" not in value:
            sure.append((site, confidence, result[0]))
    total = lambda judged: [sum(part) for part in zip(*judged)]
    print(f"{len(pages)} pages, {len(found)} records")
    print(f"{'field':24}{'precision':>10}{'recall':>8}{'F1':>7}{'values':>8}" + ("  F1 by site" if args.sites else ""))
    for field, judged in sorted(counts.items(), key=lambda pair: -len(pair[1])):
        precision, recall, score = rates(*total(judged))
        sites = [rates(*total(part))[2] for part in by_site[field].values()]
        by_sites = f"{sum(sites) / len(sites):12.3f}" if args.sites else ""
        print(f"{field:24}{precision:10.3f}{recall:8.3f}{score:7.3f}{len(judged):8}{by_sites}")
    for lines in wrong.values():
        print(*lines[: args.wrong], sep="\n", end="\n" if args.wrong else "")
    if args.calibration:
        show_calibration(sure)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
