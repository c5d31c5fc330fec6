//! Where the browser is.

use std::{
    env,
    path::{Path, PathBuf},
};

use harvestman_engine::{Error, Result};

/// Where distributions put it. A program comes before the script that starts it, so that the process
/// that is ended is the browser. First the headless shell, a browser without what only people need: it
/// opens a page for a quarter of the work, and whoever has it has installed it for that.
const PLACES: [&str; 6] = [
    "/usr/lib/chromium/chromium-headless-shell",
    "/usr/lib/chromium/chromium",
    "/usr/lib64/chromium-browser/chromium-browser",
    "/opt/google/chrome/chrome",
    "/usr/lib/chromium-browser/chromium-browser",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/// What it is called elsewhere.
const NAMES: [&str; 6] = [
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "chrome",
];

/// The program at `configured`, or the first that is found.
pub(super) fn locate(configured: Option<&Path>) -> Result<PathBuf> {
    let found = match configured {
        Some(path) => Some(path.to_owned()).filter(|path| path.is_file()),
        None => find(),
    };
    found.ok_or_else(|| {
        let what = configured.map_or("the browser".into(), |path| path.display().to_string());
        let message = "there is no Chromium; install it (Debian: apt-get install \
                       chromium-headless-shell, or chromium) or configure where it is (--browser \
                       PATH)";
        Error::invalid(what, message)
    })
}

/// The browser of this machine, if there is one.
pub(super) fn find() -> Option<PathBuf> {
    let places = PLACES.iter().map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path).collect();
    let named =
        NAMES.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
    places.chain(named).find(|path| path.is_file())
}
