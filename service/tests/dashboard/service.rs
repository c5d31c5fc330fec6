//! Starts the service, kills it, starts it again at the same address.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use tempfile::TempDir;

/// How long a service may take to say where it listens.
const START_TIME: Duration = Duration::from_mins(1);

/// A running service with a directory of its own.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    directory: TempDir,
    environment: Vec<(String, String)>,
    child: Child,
}

impl Service {
    /// Starts a service that may fetch from this machine.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (child, address) = launch(&directory, &environment, any);
        Self { address, directory, environment, child }
    }

    /// Kills it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after it was killed.
    pub(crate) fn start_again(&mut self) {
        (self.child, self.address) = launch(&self.directory, &self.environment, self.address);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(
    directory: &TempDir,
    environment: &[(String, String)],
    listen: SocketAddr,
) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_harvestman"))
        .current_dir(directory.path())
        .args(["serve", "--listen", &listen.to_string(), "--data", "data"])
        .args(["--allow-address", "127.0.0.0/8"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // Read to the end, so that the service never waits for a reader.
            let _ = sender.send(line);
        }
    });
    let address = loop {
        let line = receiver.recv_timeout(START_TIME).expect("the service says where it listens");
        if let Some(address) = address_in(&line) {
            break address;
        }
    };
    (child, address)
}

/// The address in a line such as `listening at http://127.0.0.1:8080`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let rest = line.split_once("http://")?.1;
    rest.split(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').next()?.parse().ok()
}
