//! Starts the program, and a shop for it to scrape.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use harvestman_shop::{RunningShop, Shop};
use serde_json::Value;
use tempfile::TempDir;

/// A shop and a directory with a list of its pages.
pub(crate) struct Place {
    pub(crate) shop: RunningShop,
    directory: TempDir,
}

impl Place {
    /// A place with a list of `pages` in `urls.ndjson`.
    pub(crate) fn new(shop: Shop, pages: u32) -> Self {
        let shop = shop.with_products(pages).start(([127, 0, 0, 1], 0).into()).unwrap();
        let directory = TempDir::new().unwrap();
        let place = Self { shop, directory };
        place.write_list(pages);
        place
    }

    pub(crate) fn write_list(&self, pages: u32) {
        let mut list = fs::File::create(self.path("urls.ndjson")).unwrap();
        for page in 0..pages {
            writeln!(list, "{{\"url\":\"{}\"}}", self.shop.product_url(page)).unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// `harvestman run urls.ndjson` with the shop's address allowed, and these arguments.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(&["run", "urls.ndjson"]);
        command.args(["--allow-address", &self.shop.address().to_string()]).args(args);
        command
    }

    /// `harvestman` with these arguments only.
    pub(crate) fn bare(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harvestman"));
        command.current_dir(self.directory.path()).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end and expects this exit code.
    pub(crate) fn run(&self, args: &[&str], code: i32) -> Output {
        let output = self.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        output
    }

    /// Runs to its success and gives the summary for programs.
    pub(crate) fn summary(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat(), 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until the program has fetched at least `requests` more pages.
    pub(crate) fn wait_for_requests(&self, requests: u64, child: &mut Child) {
        let goal = self.shop.requests() + requests;
        while self.shop.requests() < goal {
            assert!(child.try_wait().unwrap().is_none(), "the program has ended early");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap();
}

/// What a tool writes to its standard output.
pub(crate) fn decoded(tool: &str, args: &[&str], file: &Path) -> Vec<u8> {
    let output = Command::new(tool).args(args).arg(file).output().unwrap();
    assert!(output.status.success(), "{tool} {}: {}", file.display(), stderr(&output));
    output.stdout
}
