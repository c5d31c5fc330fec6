//! Runs the parts of a benchmark in processes of their own: the shop, so that its work is not
//! counted, and each job, so that its peak of memory is its own.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harvestman_shop::Shop;
use rustix::time::{ClockId, clock_gettime};

/// Comes before what a process of a benchmark is to do.
const ROLE: &str = "--role";

/// What this process is to do, if it is not the benchmark itself.
pub(crate) fn role() -> Option<Vec<String>> {
    let mut args = env::args().skip_while(|arg| arg != ROLE);
    args.next()?;
    Some(args.collect())
}

/// A shop in a process of its own, until it is dropped.
pub(crate) struct Origin {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Origin {
    /// Starts this program again with a role in which it calls [`serve`].
    pub(crate) fn start(role: &[&str]) -> Result<Self> {
        let mut process = again(role)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let address = line.trim().parse().context("the shop did not open")?;
        Ok(Self { process, address })
    }

    pub(crate) fn product_url(&self, number: u32) -> String {
        format!("http://{}/products/{number}", self.address)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // It may have ended already, by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves a shop for as long as the benchmark lives.
pub(crate) fn serve(shop: Shop) -> Result<()> {
    let shop = shop.start(([127, 0, 0, 1], 0).into())?;
    println!("{}", shop.address());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Runs this program again with a role, and gives what it prints.
pub(crate) fn isolated(role: &[&str]) -> Result<String> {
    let output = again(role)?.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{role:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn again(role: &[&str]) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(ROLE).args(role);
    Ok(command)
}

/// The time on processors of all threads of this process.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// The most memory that this process has had at a time, in bytes; on Linux.
pub(crate) fn peak_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
