//! `harvestman jobs download`: the result of a job as files of this machine.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use indicatif::{HumanBytes, HumanCount, ProgressBar};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::{
    Outcome,
    api::{Api, random_key},
    bar,
    cli::DownloadArgs,
    failure::Failure,
    job::{Part, Seen},
    partial::{Partial, is_there},
    show::Output,
    transfer::fetch,
    watch,
};

/// What a result in several parts is found by.
const MANIFEST: &str = "manifest.json";
/// The most parts that a manifest may name.
const MAX_PARTS: usize = 100_000;

#[derive(Debug, Deserialize)]
struct Link {
    download_url: Url,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    parts: Vec<Part>,
}

/// A file that was fetched.
#[derive(Debug, Serialize)]
struct Fetched {
    path: PathBuf,
    rows: u64,
    bytes: u64,
    sha256: String,
}

/// Where the files go.
enum Target {
    Stdout,
    File(PathBuf),
    Directory(PathBuf),
}

pub(crate) async fn download(
    api: &Api,
    args: &DownloadArgs,
    output: &Output,
) -> Result<Outcome, Failure> {
    if args.wait {
        // Its events would mix with the result.
        watch::follow(api, &args.id, &output.without_events()).await?;
    }
    let seen = Seen::get(api, &args.id).await?;
    let link =
        api.post(&["v1", "jobs", &args.id, "download-url"], &json!({}), &random_key()).await?;
    let Link { download_url } = link.read()?;
    if !matches!(download_url.scheme(), "http" | "https") {
        let message = format!("the result was delivered to {download_url}; fetch it from there");
        return Err(Failure::Unusable(message));
    }
    let is_manifest = file_name(&download_url) == Some(MANIFEST);
    let parts = if is_manifest {
        let manifest: Manifest = api.answer(|| api.link(&download_url)).await?.read()?;
        manifest.parts
    } else {
        let part = seen.job.output.parts.first().cloned().unwrap_or_default();
        vec![Part { url: Some(download_url.to_string()), ..part }]
    };
    if parts.len() > MAX_PARTS {
        return Err(Failure::Damaged(format!("the result has more than {MAX_PARTS} parts")));
    }
    let target = target(args, is_manifest, &seen.job.output.format).await?;
    let files = fetch_all(api, args, &parts, &target, output).await?;
    report(&args.id, &files, &target, output);
    Ok(if args.wait { seen.job.outcome() } else { Outcome::Done })
}

async fn target(args: &DownloadArgs, is_several: bool, format: &str) -> Result<Target, Failure> {
    let is_stdout = args.output.as_deref().is_some_and(|path| path.as_os_str() == OsStr::new("-"));
    match (&args.output, is_several) {
        (Some(_), true) if is_stdout && format != "ndjson" => {
            let message = format!("several parts of {format} are no single file; pass a directory");
            Err(Failure::Unusable(message))
        }
        (Some(_), _) if is_stdout => Ok(Target::Stdout),
        (Some(path), false) if !path.is_dir() => Ok(Target::File(path.clone())),
        (output, is_several) => {
            let own = if is_several { PathBuf::from(&args.id) } else { PathBuf::new() };
            let directory = output.clone().unwrap_or(own);
            let made = tokio::fs::create_dir_all(&directory).await;
            made.map_err(|error| Failure::file("make", &directory, &error))?;
            Ok(Target::Directory(directory))
        }
    }
}

async fn fetch_all(
    api: &Api,
    args: &DownloadArgs,
    parts: &[Part],
    target: &Target,
    output: &Output,
) -> Result<Vec<Fetched>, Failure> {
    let total = parts.iter().map(|part| part.bytes).sum();
    let bar = bar::of_bytes(output.bar(), total, String::new());
    let mut files = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let url = part.url.as_deref().and_then(|url| url.parse::<Url>().ok());
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url =
            url.ok_or_else(|| Failure::Damaged(format!("part {number} has no usable link")))?;
        let path = match target {
            Target::Stdout => None,
            Target::File(path) => Some(path.clone()),
            Target::Directory(directory) if parts.len() == 1 => {
                Some(directory.join(name_of_single(&args.id, &url)))
            }
            Target::Directory(directory) => Some(directory.join(name_of_part(number, &url))),
        };
        files.push(fetch_part(api, part, &url, path, &bar).await?);
    }
    bar.finish_and_clear();
    Ok(files)
}

async fn fetch_part(
    api: &Api,
    part: &Part,
    url: &Url,
    path: Option<PathBuf>,
    bar: &ProgressBar,
) -> Result<Fetched, Failure> {
    let promised = part.sha256.as_deref();
    if let (Some(path), Some(sha256)) = (&path, promised)
        && is_there(path, part.bytes, sha256).await
    {
        bar.inc(part.bytes);
        return Ok(Fetched {
            path: path.clone(),
            rows: part.rows,
            bytes: part.bytes,
            sha256: sha256.to_owned(),
        });
    }
    let mut partial = match &path {
        Some(path) => Partial::of_file(path).await?,
        None => Partial::to_stdout(),
    };
    fetch(api, url, &mut partial, bar).await?;
    let bytes = partial.length();
    let sha256 = partial.finish(promised).await?;
    Ok(Fetched { path: path.unwrap_or_else(|| "-".into()), rows: part.rows, bytes, sha256 })
}

fn report(id: &str, files: &[Fetched], target: &Target, output: &Output) {
    for file in files {
        output.note(format_args!(
            "{}: {} records, {}",
            file.path.display(),
            HumanCount(file.rows),
            HumanBytes(file.bytes)
        ));
    }
    if !matches!(target, Target::Stdout) {
        output.event(&json!({"job_id": id, "files": files}));
    }
}

/// The last segment of a link's path, if a file can have that name.
fn file_name(url: &Url) -> Option<&str> {
    let name = url.path_segments()?.next_back()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let fits = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.bytes().all(is_plain);
    fits.then_some(name)
}

/// E.g. `job_3F2D1A77B0E1.ndjson.gz`.
fn name_of_single(id: &str, url: &Url) -> String {
    let suffix = file_name(url).and_then(|name| name.split_once('.')).map(|(_, suffix)| suffix);
    Path::new(id).with_added_extension(suffix.unwrap_or("out")).display().to_string()
}

fn name_of_part(number: usize, url: &Url) -> String {
    file_name(url).map_or_else(|| format!("part-{number:05}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_out_of_the_directory() {
        for (link, part, single) in [
            (
                "http://a.test/v1/exports/job_1/part-00003.csv.gz?sig=x",
                "part-00003.csv.gz",
                "job_1.csv.gz",
            ),
            ("http://a.test/..%2f..%2fetc%2fpasswd", "part-00007", "job_1.out"),
            ("http://a.test/.bashrc", "part-00007", "job_1.out"),
            ("http://a.test/a/..", "part-00007", "job_1.out"),
            ("http://a.test/", "part-00007", "job_1.out"),
            ("http://a.test/a%00b", "part-00007", "job_1.out"),
        ] {
            let url = link.parse().unwrap();
            assert_eq!(
                (name_of_part(7, &url).as_str(), name_of_single("job_1", &url).as_str()),
                (part, single)
            );
        }
    }
}
