//! What is in the results, and who can open them.

use std::fs;

use harvestman_shop::{Fault, Faults, Shop};

use crate::{
    program::{Place, decoded},
    readers::{FORMATS, assert_complete, python, records},
};

const FIELDS: [&str; 4] = ["--extract", "name:string", "--extract", "price:number"];

#[test]
fn every_format_has_every_page_and_opens_elsewhere() {
    let place = Place::new(Shop::new().with_page_bytes(3_000).with_faults(Faults::demo()), 120);
    for name in FORMATS {
        let summary = place.summary(&[&FIELDS[..], &["--output", name]].concat());
        assert_eq!(summary["urls_done"], 120, "{name}: {summary}");
        assert_complete(&place, name, 120);
        assert!(!place.exists(&format!("{name}.job")), "the state goes away with success");
        assert_opens(&place, name);
    }
}

/// Opens a result in pandas and `DuckDB`, and checks that both see numbers as numbers.
fn assert_opens(place: &Place, name: &str) {
    let reader = match name {
        name if name.ends_with(".parquet") => "pandas.read_parquet(f)",
        name if name.contains(".csv") => "pandas.read_csv(f)",
        _ => "pandas.json_normalize(pandas.read_json(f, lines=True).to_dict('records'), sep='.')",
    };
    let script = format!(
        "import sys, pandas, duckdb; f = sys.argv[1]; t = {reader}; \
         c = 'price' if 'price' in t else 'data.price'; \
         n = duckdb.sql(f\"select count(*) from '{{f}}'\").fetchall()[0][0]; \
         print(len(t), n, t[c].dtype, int((t[c] > 0).sum() > 80))"
    );
    // It reads no `.jsonl.…` by name alone, and needs an extension for zstd of CSV.
    assert_eq!(python(&script, &place.path(name)).trim(), "120 120 float64 1", "{name}");
}

/// Nested fields and lists, in each format as it is documented, with the same values.
#[test]
fn nested_fields_and_lists_are_the_same_in_every_format() {
    let place = Place::new(Shop::new(), 60);
    let schema = r#"{
        "name": "string",
        "price": "decimal(10,2)",
        "images": "array of url",
        "offer": {"type": "object", "properties": {"price": "number", "currency": "string"}},
        "offers": [{"price": "number"}],
        "seen": {"selector": "h1", "output": "exists"}
    }"#;
    fs::write(place.path("schema.json"), schema).unwrap();
    for name in ["out.ndjson", "out.csv", "out.parquet"] {
        let schema = place.path("schema.json").display().to_string();
        let summary = place.summary(&["--schema", &schema, "--output", name]);
        assert_eq!(summary["urls_ok"], 60, "{name}: {summary}");
    }
    let script = r#"
import sys, json, csv, os, duckdb, pyarrow as a, pyarrow.parquet as p
d = os.path.dirname(sys.argv[1])
t = p.read_table(sys.argv[1])
assert t.schema.field('images').type == a.list_(a.field('element', a.string())), t.schema
assert t.schema.field('offer').type == a.struct([('price', a.float64()), ('currency', a.string())]), t.schema
assert a.types.is_list(t.schema.field('offers').type), t.schema
assert t.schema.field('price').type == a.decimal128(10, 2), t.schema
assert t.schema.field('seen').type == a.bool_(), t.schema
kinds = dict(duckdb.sql(f"select column_name, column_type from (describe select * from '{sys.argv[1]}')").fetchall())
assert kinds['images'] == 'VARCHAR[]', kinds
assert kinds['offer'] == 'STRUCT(price DOUBLE, currency VARCHAR)', kinds
assert kinds['price'] == 'DECIMAL(10,2)', kinds
assert kinds['offers'] == 'STRUCT(price DOUBLE)[]', kinds
names = ['name', 'images', 'offer', 'offers', 'seen']
rows = {r['index']: {n: r[n] for n in names} for r in t.to_pylist()}
prices = {r['index']: r['price'] for r in t.to_pylist()}
every = {r['index']: r['data'] for r in map(json.loads, open(d + '/out.ndjson'))}
lines = {i: {n: r[n] for n in names} for i, r in every.items()}
assert rows == lines, [(rows[i], lines[i]) for i in rows if rows[i] != lines[i]][:1]
found = 0
for c in csv.DictReader(open(d + '/out.csv', newline='')):
    r, price = lines[int(c['index'])], prices[int(c['index'])]
    assert c['price'] == ('' if price is None else str(price)), c
    assert (None if price is None else float(price)) == every[int(c['index'])]['price'], c
    assert (c['name'] or None) == r['name'] and (json.loads(c['images']) if c['images'] else None) == r['images'], c
    assert (json.loads(c['offers']) if c['offers'] else None) == r['offers'], c
    o = r['offer'] or {'price': None, 'currency': None}
    assert (float(c['offer.price']) if c['offer.price'] else None) == o['price'], c
    assert (c['offer.currency'] or None) == o['currency'], c
    found += r['offers'] is not None
print(len(rows), found > 10)
"#;
    assert_eq!(python(script, &place.path("out.parquet")).trim(), "60 True");
}

#[test]
fn what_was_found_is_what_the_shop_sells() {
    let place = Place::new(Shop::new(), 200);
    let summary = place.summary(&[&FIELDS[..], &["--output", "out.ndjson"]].concat());
    assert_eq!(summary["urls_ok"], 200);
    let records = records(&fs::read(place.path("out.ndjson")).unwrap());
    let mut right = 0;
    for record in &records {
        let product = Shop::product(record["index"].as_u64().unwrap() as u32);
        let price = record["data"]["price"].as_f64();
        let is_right = record["data"]["name"] == product.name.as_str()
            && price.is_some_and(|price| (price - product.price).abs() < 0.001);
        right += usize::from(is_right);
    }
    assert!(right >= 190, "{right} of 200 pages read right");
}

#[test]
fn failures_are_records_with_their_code() {
    let place = Place::new(Shop::new().with_page_bytes(2_000).with_faults(Faults::demo()), 400);
    let args = ["--output", "out.ndjson", "--extract", "name:string", "--retries", "2"];
    place.run(&args, 0);
    for record in records(&fs::read(place.path("out.ndjson")).unwrap()) {
        let product = record["index"].as_u64().unwrap() as u32;
        let expected = match place.shop.shop().fault(product) {
            Fault::NotFound => "target_4xx",
            Fault::ServerError => "target_5xx",
            Fault::Truncated => "truncated",
            Fault::NotHtml => "decode_error",
            _ => "",
        };
        assert_eq!(record["code"].as_str().unwrap_or_default(), expected, "{record}");
    }
}

#[test]
fn a_list_in_any_form_gives_the_same_urls() {
    let place = Place::new(Shop::new().with_page_bytes(2_000), 10);
    let urls: Vec<_> = (0..10).map(|page| place.shop.product_url(page)).collect();
    fs::write(place.path("list.txt"), urls.join("\r\n")).unwrap();
    fs::write(place.path("list.csv"), format!("url,id\n{},7\n", urls.join(",7\n"))).unwrap();
    let packed = decoded("gzip", &["-c"], &place.path("list.csv"));
    fs::write(place.path("list.csv.gz"), packed).unwrap();
    for list in ["list.txt", "list.csv", "list.csv.gz"] {
        let allowed = place.shop.address().to_string();
        let args = ["run", list, "-o", "out.ndjson", "--allow-address", &allowed];
        assert!(place.bare(&args).output().unwrap().status.success(), "{list}");
        let mut found: Vec<_> = records(&fs::read(place.path("out.ndjson")).unwrap());
        found.sort_by_key(|record| record["index"].as_u64());
        let found: Vec<_> = found.iter().map(|record| record["url"].as_str().unwrap()).collect();
        assert_eq!(found, urls, "{list}");
    }
}

#[test]
fn a_large_result_is_cut_into_parts() {
    let place = Place::new(Shop::new().with_page_bytes(2_000), 2_000);
    let args = ["--output", "out.csv", "--max-part-bytes", "10000"];
    let summary = place.summary(&[&FIELDS[..], &args].concat());
    let parts = summary["parts"].as_array().unwrap();
    assert!(parts.len() > 2, "{summary}");
    let rows: u64 = parts.iter().map(|part| part["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows, 2_000);
    for part in parts {
        assert!(place.path(part["location"].as_str().unwrap()).is_file(), "{part}");
    }
}
