//! Plays a scene: a shop, a service, a browser.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use harvestman_shop::Shop;

use crate::service::Service;

/// Plays a scene of `browser/scenes.py` to its end. `.ci/run` provides a Python with Playwright in
/// `HARVESTMAN_TEST_PYTHON`.
pub(crate) fn play(scene: &str, shop: Shop, environment: &[(&str, &str)]) {
    let shop = shop.start(([127, 0, 0, 1], 0).into()).unwrap();
    let mut service = Service::start(environment);
    let python = std::env::var("HARVESTMAN_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard/browser/scenes.py");
    let mut child = Command::new(python)
        .arg("-B")
        .arg(script)
        .arg(scene)
        .env("DASHBOARD_URL", format!("http://{}", service.address))
        .env("SHOP_URL", format!("http://{}", shop.address()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = child.stdin.take().unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        match line.unwrap().as_str() {
            "kill" => service.kill(),
            "start" => service.start_again(),
            other => panic!("`{other}` is no order"),
        }
        answers.write_all(b"done\n").unwrap();
    }
    assert!(child.wait().unwrap().success(), "the scene `{scene}` failed; see above");
}
