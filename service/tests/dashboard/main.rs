//! The dashboard in a real browser, over the real service: what a user does with it, and what a
//! hostile page may not do to it. The scenes themselves are in `browser/`, in Python, since that is
//! what Playwright speaks; any complaint of the browser fails them.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

mod service;
mod theatre;

use std::time::Duration;

use harvestman_shop::{Faults, Shop};

use crate::theatre::play;

/// A shop whose pages take so many milliseconds.
fn shop(products: u32, latency: u64) -> Shop {
    let shop = Shop::new().with_products(products).with_page_bytes(4_000);
    shop.with_latency(Duration::from_millis(latency))
}

#[test]
fn a_job_is_previewed_checked_submitted_watched_and_downloaded() {
    play("submit", shop(400, 200), &[]);
}

#[test]
fn a_job_is_submitted_and_cancelled_by_keyboard_alone() {
    play("keyboard", shop(900, 400), &[]);
}

#[test]
fn a_cancelled_job_keeps_what_is_done() {
    play("cancel", shop(1_000, 400), &[]);
}

#[test]
fn failures_are_shown_by_code_and_tried_again() {
    let faults = Faults::none().with_not_found(200).with_server_error(100);
    play("retry", shop(200, 0).with_faults(faults), &[]);
}

#[test]
fn nothing_of_a_page_or_a_record_is_run() {
    play("hostile", shop(10, 0), &[]);
}

#[test]
fn a_key_is_asked_for_and_stays_in_its_tab() {
    play("keys", shop(10, 0), &[("HARVESTMAN_API_KEYS", "acme=hd_live_0123456789abcdef")]);
}

#[test]
fn a_file_is_uploaded_and_its_bad_lines_are_named() {
    play("upload", shop(50, 0), &[]);
}

#[test]
fn a_list_in_a_bucket_is_named_and_a_result_delivered() {
    play("bucket", shop(10, 0), &[]);
}

#[test]
fn many_jobs_are_listed_page_by_page_and_filtered() {
    play("many", shop(10, 0), &[]);
}

#[test]
fn a_killed_service_is_waited_for() {
    play("restart", shop(1_000, 100), &[]);
}

#[test]
fn a_job_is_followed_without_an_event_stream() {
    play("polling", shop(400, 200), &[]);
}

#[test]
fn a_webhook_that_failed_is_shown_and_sent_again() {
    play("webhook", shop(10, 0), &[]);
}

#[test]
fn all_pages_are_accessible_in_both_colour_schemes_and_fit_a_phone() {
    let faults = Faults::none().with_not_found(200);
    play("accessible", shop(50, 0).with_faults(faults), &[]);
}

#[test]
fn streams_are_read_however_they_are_cut_and_figures_are_written_well() {
    play("modules", shop(10, 0), &[]);
}

#[test]
fn the_files_come_with_their_headers() {
    play("headers", shop(10, 0), &[]);
}
