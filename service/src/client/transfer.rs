//! One file is fetched, over as many connections as it takes.

use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::{Response, StatusCode, header};
use tokio::time::timeout;
use url::Url;

use super::{
    api::{Api, Failed, accepted},
    failure::Failure,
    partial::Partial,
    retry::Tries,
};

/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(60);

/// Fetches what is at a signed link; what is there already is not fetched again. Tries that got a bit
/// further don't count.
pub(crate) async fn fetch(
    api: &Api,
    url: &Url,
    partial: &mut Partial,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut tries = Tries::default();
    bar.inc(partial.length());
    loop {
        let before = partial.length();
        match attempt(api, url, partial, bar).await {
            Ok(()) => return Ok(()),
            Err(failed) => {
                if partial.length() > before {
                    tries.reset();
                }
                failed.wait(&mut tries).await?;
            }
        }
    }
}

async fn attempt(
    api: &Api,
    url: &Url,
    partial: &mut Partial,
    bar: &ProgressBar,
) -> Result<(), Failed> {
    let mut request = api.link(url);
    if let Some(version) = partial.version() {
        let range = format!("bytes={}-", partial.length());
        request = request.header(header::RANGE, range).header(header::IF_RANGE, version);
    }
    let sent = timeout(SILENCE, request.send()).await.map_err(|_| silent())?;
    let is_behind_the_end =
        sent.as_ref().is_ok_and(|response| response.status() == StatusCode::RANGE_NOT_SATISFIABLE);
    if is_behind_the_end {
        return all_is_there_or_anew(partial, &sent?, bar).await;
    }
    let response = accepted(sent).await?;
    if !goes_on(&response, partial.length()) {
        anew(partial, &response, bar).await?;
    }
    receive(response, partial, bar).await
}

/// Whether the answer is the rest of what is there.
fn goes_on(response: &Response, length: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let begins = range.is_some_and(|range| range.starts_with(&format!("bytes {length}-")));
    response.status() == StatusCode::PARTIAL_CONTENT && begins
}

async fn anew(partial: &mut Partial, response: &Response, bar: &ProgressBar) -> Result<(), Failed> {
    if response.status() == StatusCode::PARTIAL_CONTENT {
        let message = "the service sends another range than was asked for";
        return Err(Failed::lasting(Failure::Damaged(message.to_owned())));
    }
    bar.set_position(bar.position().saturating_sub(partial.length()));
    let etag = response.headers().get(header::ETAG).cloned();
    partial.restart(etag).await.map_err(Failed::lasting)
}

/// An earlier run may have ended between the last byte and the name.
async fn all_is_there_or_anew(
    partial: &mut Partial,
    response: &Response,
    bar: &ProgressBar,
) -> Result<(), Failed> {
    let size = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    if size == Some(&format!("bytes */{}", partial.length())) {
        return Ok(());
    }
    bar.set_position(bar.position().saturating_sub(partial.length()));
    partial.restart(None).await.map_err(Failed::lasting)?;
    Err(Failed::passing("there is more than there should be; fetching it anew".to_owned()))
}

async fn receive(
    mut response: Response,
    partial: &mut Partial,
    bar: &ProgressBar,
) -> Result<(), Failed> {
    while let Some(chunk) = timeout(SILENCE, response.chunk()).await.map_err(|_| silent())?? {
        partial.append(&chunk).await.map_err(Failed::lasting)?;
        bar.inc(chunk.len() as u64);
    }
    Ok(())
}

fn silent() -> Failed {
    Failed::passing(format!("nothing came for {} s", SILENCE.as_secs()))
}
