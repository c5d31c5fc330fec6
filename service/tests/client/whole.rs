//! The client against the real service.

use std::time::Duration;

use harvestman_shop::Shop;
use serde_json::Value;

use crate::hosted::Hosted;

fn records(ndjson: &[u8]) -> Vec<Value> {
    let lines = ndjson.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[test]
fn a_list_becomes_a_result_in_each_format() {
    let service = Hosted::new(Shop::new());
    service.write_list(40);
    for (format, name) in [("ndjson", "ndjson"), ("csv", "csv"), ("parquet", "parquet")] {
        let submit = format!(
            "jobs submit --url-list urls.csv -e name:string -e price:number --format {format} --watch"
        );
        let said = service.run(&submit, 0);
        let id = said.out.trim();
        assert!(said.err.contains("40 of 40 URLs: 40 ok, 0 errors"), "{said:?}");
        assert!(
            service
                .run(&format!("jobs show {id}"), 0)
                .out
                .contains(&format!("1 {format} file, 40 records"))
        );
        service.run(&format!("jobs download {id}"), 0);
        let result = service.place.read(&format!("{id}.{name}"));
        match format {
            "ndjson" => {
                let records = records(&result);
                assert_eq!(records.len(), 40);
                assert!(records.iter().all(|record| record["data"]["price"].is_number()));
                let piped = service.run(&format!("jobs download {id} -o -"), 0);
                assert!(piped.out.as_bytes() == result);
            }
            "csv" => assert_eq!(csv::Reader::from_reader(&result[..]).records().count(), 40),
            _ => assert!(result.starts_with(b"PAR1") && result.ends_with(b"PAR1")),
        }
    }
    let listed = service.run("jobs list --status completed", 0).out;
    assert_eq!(listed.lines().filter(|line| line.contains("40/40")).count(), 3);
}

#[test]
fn what_has_failed_is_tried_again() {
    let service = Hosted::new(Shop::new());
    let page = service.shop.product_url(1);
    service
        .place
        .write("urls.txt", format!("{page}\n{}/no/such/page\nnonsense\n", service.shop.url()));
    let said = service.run("jobs submit --url-list urls.txt --name first --watch --json", 0);
    let lines = said.lines();
    let ended = &lines.last().unwrap()["data"];
    assert_eq!((&ended["urls_ok"], &ended["urls_errored"]), (&1.into(), &2.into()));
    let id = lines[0]["id"].as_str().unwrap();
    let said = service.run(&format!("jobs retry {id} --code target_4xx --watch"), 0);
    assert!(said.err.contains("0 ok, 1 error") && said.err.contains("target_4xx"), "{said:?}");
    let refused = service.run(&format!("jobs retry {id} --code timeout"), 5);
    assert!(refused.err.contains("nothing_to_retry"), "{refused:?}");
}

#[test]
fn a_job_that_is_cancelled_keeps_what_is_done() {
    let service = Hosted::new(Shop::new().with_latency(Duration::from_millis(100)));
    service.write_list(2_000);
    let id = service.run("jobs submit --url-list urls.csv -c 4", 0).out.trim().to_owned();
    let early = service.run(&format!("jobs download {id}"), 5);
    assert!(early.err.contains("job_not_finished"), "{early:?}");
    while service.shop.requests() < 10 {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let said = service.run(&format!("jobs cancel {id} --watch"), 0);
    assert!(said.err.contains("cancelled (user)") && said.err.contains("skipped"), "{said:?}");
    service.run(&format!("jobs watch {id}"), 4);
    service.run(&format!("jobs download {id} -o part.ndjson"), 0);
    let kept = records(&service.place.read("part.ndjson")).len();
    assert!((1..2_000).contains(&kept), "{kept}");
}

#[test]
fn a_result_of_several_parts_is_a_directory() {
    let service = Hosted::new(Shop::new());
    service.write_list(100);
    let said = service
        .run("jobs submit --url-list urls.csv --set output.max_part_bytes=1048576 --watch", 0);
    let id = said.out.trim();
    let files = service.run(&format!("jobs download {id} --json"), 0).json();
    let files = files["files"].as_array().unwrap();
    assert!(files.len() > 1, "{files:?}");
    let paths = files.iter().map(|file| file["path"].as_str().unwrap());
    let all: usize = paths.map(|path| records(&service.place.read(path)).len()).sum();
    assert_eq!(all, 100);
}

#[test]
fn uploads_are_made_shown_and_erased() {
    let service = Hosted::new(Shop::new());
    service.place.write("urls.ndjson", "\"http://a.test/\"\n{oops\n");
    let said = service.run("uploads create urls.ndjson", 0);
    assert!(said.err.contains("2 URLs, ndjson; 1 of them can't be used"), "{said:?}");
    let id = said.out.trim();
    assert!(service.run(&format!("uploads show {id}"), 0).out.contains("line 2"));
    let dry = service.run(&format!("jobs submit --upload-id {id} --dry-run"), 0);
    assert!(
        dry.out.contains("urls_total         2") && dry.out.contains("invalid            1"),
        "{dry:?}"
    );
    service.run(&format!("uploads delete {id}"), 0);
    assert!(service.run(&format!("uploads show {id}"), 5).err.contains("trace id: trc_"));
}

#[test]
fn one_key_makes_one_job_however_often_the_command_runs() {
    let service = Hosted::new(Shop::new());
    service.write_list(3);
    let submit = "jobs submit --url-list urls.csv --idempotency-key nightly";
    let ids = [service.run(submit, 0).out, service.run(submit, 0).out];
    assert_eq!(ids[0], ids[1]);
    service.write_list(4);
    assert!(service.run(submit, 5).err.contains("idempotency_conflict"));
}

#[test]
fn a_stranger_is_refused() {
    let service = Hosted::new(Shop::new());
    let mut command = service.place.command(&service.url, "jobs list");
    let output = command.env("HARVESTMAN_KEY", "hd_live_another").output().unwrap();
    let said = crate::scripted::Said::expect(output, "list", 5);
    assert!(said.err.contains("unknown_key") && !said.err.contains("hd_live"), "{said:?}");
    assert!(service.place.run(&service.url, "jobs list", 5).err.contains("missing_credentials"));
}
