//! The browser's processes: started in a group of their own, and all of them ended together.

use std::{
    fs,
    io::pipe,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use harvestman_engine::{Error, Result};
use rustix::process::{
    Pid, Signal, WaitOptions, getpgid, kill_process, kill_process_group, waitpgid, waitpid,
};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::{Receiver, Sender},
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
};

/// What the profiles' directories are called.
const PROFILE_PREFIX: &str = "harvestman-browser-";
/// The file in a profile that is locked while its browser runs.
const LOCK: &str = "in-use";
/// How much of what the browser complains about is kept, in bytes.
const MAX_COMPLAINT: usize = 2_000;
/// How long a browser may take to end by itself.
const END_TIME: Duration = Duration::from_secs(3);

/// What every browser is started with. All of its traffic has to go through the proxy of a page's
/// context; outside of one there is a proxy where nobody listens.
const FLAGS: &[&str] = &[
    "--headless",
    "--remote-debugging-pipe",
    // Nothing is connected to but proxies: no name is resolved, no address is exempt (without
    // `<-loopback>` loopback and link-local addresses would be), no UDP goes out.
    "--proxy-server=socks5://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--dns-prefetch-disable",
    "--no-pings",
    // Nothing is done but what a page asks for.
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-features=AutofillServerCommunication,CertificateTransparencyComponentUpdater,\
     DialMediaRouteProvider,GlobalMediaControls,InterestFeedContentSuggestions,MediaRouter,\
     OptimizationHints,Translate,ProcessPerSiteUpToMainFrameThreshold",
    "--disable-gpu",
    "--disable-notifications",
    "--disable-sync",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
    "--password-store=basic",
    "--use-mock-keychain",
    // Pages are never in front of anybody.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-hang-monitor",
    "--disable-renderer-backgrounding",
    // Containers often have 64 MB of shared memory only.
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
];

/// A running browser. Dropping it ends all of its processes.
///
/// It is told what to do over a pipe, and ends by itself when that closes: so none is left behind by
/// a host that was killed.
#[derive(Debug)]
pub(super) struct Process {
    child: Mutex<Child>,
    group: Pid,
    /// Helpers that have left the group: those who write crash reports.
    strays: OnceLock<Vec<Pid>>,
    complaint: Arc<Mutex<String>>,
    /// Ends when nobody can complain any more.
    listening: Mutex<Option<JoinHandle<()>>>,
    _lock: fs::File,
    profile: TempDir,
}

/// The ends of the pipes that we hold.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) to_browser: Sender,
    pub(super) from_browser: Receiver,
}

impl Process {
    pub(super) fn start(executable: &Path, sandbox: bool) -> Result<(Self, Pipes)> {
        let (profile, lock) = profile()?;
        let failed = |error: std::io::Error| Error::io("start", executable)(error);
        let (commands, to_browser) = pipe().map_err(failed)?;
        let (from_browser, answers) = pipe().map_err(failed)?;
        let mut command = Command::new(executable);
        command
            .args(FLAGS)
            .args((!sandbox).then_some("--no-sandbox"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env_clear()
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        // Chromium reads from 3 and writes to 4.
        let mappings = vec![
            FdMapping { parent_fd: commands.into(), child_fd: 3 },
            FdMapping { parent_fd: answers.into(), child_fd: 4 },
        ];
        command.fd_mappings(mappings).map_err(|error| Error::part("browser", error))?;
        let mut child = command.spawn().map_err(failed)?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let group = id.ok_or_else(|| Error::part("browser", "it ended before it began"))?;
        let complaint = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take();
        let listening = stderr.map(|stderr| tokio::spawn(listen(stderr, Arc::clone(&complaint))));
        let pipes = Pipes {
            to_browser: Sender::from_owned_fd(to_browser.into()).map_err(failed)?,
            from_browser: Receiver::from_owned_fd(from_browser.into()).map_err(failed)?,
        };
        let child = Mutex::new(child);
        let listening = Mutex::new(listening);
        let strays = OnceLock::new();
        let process = Self { child, group, strays, complaint, listening, _lock: lock, profile };
        Ok((process, pipes))
    }

    /// The last that the browser has said about what is wrong.
    pub(super) fn complaint(&self) -> String {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let said = complaint.trim();
        if said.contains("--no-sandbox is not supported") {
            return "the sandbox of Chromium can't be used by root; run as another user, or switch \
                    it off (--no-sandbox)"
                .to_owned();
        }
        harvestman_engine::excerpt(said.as_bytes(), MAX_COMPLAINT)
    }

    /// Looks for helpers that have left the group; to be called when the browser runs. Slow: it reads
    /// all of /proc.
    pub(super) fn find_strays(&self) {
        self.strays.get_or_init(|| {
            let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
            let ids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
            ids.filter_map(Pid::from_raw).filter(|id| self.is_stray(*id)).collect()
        });
    }

    /// Whether a process works for this browser's profile in a group of its own.
    fn is_stray(&self, id: Pid) -> bool {
        let command = fs::read(format!("/proc/{}/cmdline", id.as_raw_nonzero()));
        let profile = self.profile.path().as_os_str().as_encoded_bytes();
        command.is_ok_and(|command| memchr::memmem::find(&command, profile).is_some())
            && getpgid(Some(id)).is_ok_and(|group| group != self.group)
    }

    fn strays(&self) -> impl Iterator<Item = Pid> {
        self.strays.get().into_iter().flatten().copied()
    }

    /// Ends all processes at once.
    pub(super) fn kill(&self) {
        // These fail if they have ended.
        let _ = kill_process_group(self.group, Signal::KILL);
        for stray in self.strays().filter(|id| self.is_stray(*id)) {
            let _ = kill_process(stray, Signal::KILL);
        }
    }

    /// Waits until the browser has ended by itself, kills what is left, and takes its exit status,
    /// so that no zombie stays.
    pub(super) async fn end(&self) {
        let deadline = tokio::time::Instant::now() + END_TIME;
        while self.status().is_none() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill();
        while self.status().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.reap_orphans().await;
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listening) = listening {
            let _ = tokio::time::timeout(END_TIME, listening).await;
        }
    }

    /// The browser's helpers lose their parent with it. Where they become children of this process, as
    /// of the first one of a container, they are ours to reap.
    async fn reap_orphans(&self) {
        let deadline = tokio::time::Instant::now() + END_TIME;
        let is_over = || tokio::time::Instant::now() >= deadline;
        // An error means that there are none (any more).
        while let Ok(reaped) = waitpgid(self.group, WaitOptions::NOHANG)
            && !is_over()
        {
            if reaped.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        for stray in self.strays() {
            while matches!(waitpid(Some(stray), WaitOptions::NOHANG), Ok(None)) && !is_over() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn status(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that somebody else has taken it.
        child.try_wait().unwrap_or(Some(ExitStatus::default()))
    }

    /// The memory that the processes have for themselves, in bytes; slow: it reads all of /proc.
    pub(super) fn memory(&self) -> u64 {
        let group = self.group.as_raw_nonzero().get();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes.filter_map(|process| own_memory(&process.path(), group)).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // Reaps the browser if it is gone by now; else Tokio does, later.
        let _ = self.status();
    }
}

/// The memory of a process that it shares with nobody, if it belongs to the group.
fn own_memory(process: &Path, group: i32) -> Option<u64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // The name, in parentheses, may hold anything; behind it are state, parent, group.
    let (_, fields) = stat.rsplit_once(')')?;
    if fields.split_ascii_whitespace().nth(2)?.parse() != Ok(group) {
        return None;
    }
    let memory = fs::read_to_string(process.join("statm")).ok()?;
    let mut pages = memory.split(' ').skip(1).map(|pages| pages.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
}

/// A fresh profile; those that a killed host has left are removed.
fn profile() -> Result<(TempDir, fs::File)> {
    let parent = std::env::temp_dir();
    sweep(&parent);
    let failed = |error| Error::io("make a profile in", &parent)(error);
    let profile = tempfile::Builder::new().prefix(PROFILE_PREFIX).tempdir().map_err(failed)?;
    let lock = fs::File::create(profile.path().join(LOCK)).map_err(failed)?;
    lock.lock().map_err(failed)?;
    Ok((profile, lock))
}

fn sweep(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(PROFILE_PREFIX)
    };
    for profile in entries.map(|entry| entry.path()).filter(is_ours) {
        // Without a lock it is just being made, with a locked one it is in use.
        let Ok(lock) = fs::File::open(profile.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(&profile);
        }
    }
}

/// Keeps the end of what the browser complains about.
async fn listen(mut stderr: ChildStderr, complaint: Arc<Mutex<String>>) {
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let mut kept = complaint.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let from = kept.len().saturating_sub(MAX_COMPLAINT);
        let from = (from..=kept.len()).find(|from| kept.is_char_boundary(*from)).unwrap_or(0);
        kept.drain(..from);
    }
}
