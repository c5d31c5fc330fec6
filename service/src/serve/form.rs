//! A list that is sent as the field `file` of a form.

use std::io;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use harvestman::{engine::UploadOptions, spec::InputFormat};

use super::{
    error::{ApiError, ErrorCode},
    routes::uploads::{Sent, format_of},
};

/// The field that holds the list.
const FIELD: &str = "file";

/// Finds the field in a form and says how its list is written: by its own media type, else by the
/// file's name, else by its first line.
pub(crate) async fn open(
    content_type: &str,
    body: BoxStream<'static, io::Result<Bytes>>,
    options: UploadOptions,
) -> Result<Sent, ApiError> {
    let invalid = |message: &str| ApiError::new(ErrorCode::InvalidRequest, message);
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| invalid("Content-Type: a form needs a boundary"))?;
    let mut form = multer::Multipart::new(body, boundary);
    let field = form.next_field().await.map_err(|_| invalid("the body is no form"))?;
    let field = field.filter(|field| field.name() == Some(FIELD));
    let field = field.ok_or_else(|| invalid("the form must begin with the field `file`"))?;
    let by_type = field.content_type().and_then(|media| format_of(media.essence_str()));
    let format = by_type.filter(|format| *format != InputFormat::Text);
    let format = format.or_else(|| field.file_name().and_then(by_name));
    let options = match format {
        Some(format) => options.with_format(format),
        None => options,
    };
    // The form is kept until its field is read.
    let body = field.map_err(io::Error::other).chain(rest(form));
    Ok(Sent { options, body: body.boxed() })
}

fn by_name(name: &str) -> Option<InputFormat> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "ndjson" | "jsonl" => Some(InputFormat::Ndjson),
        "csv" => Some(InputFormat::Csv),
        "txt" => Some(InputFormat::Text),
        _ => None,
    }
}

/// Nothing may follow the list: it would be lost without a word.
fn rest(
    mut form: multer::Multipart<'static>,
) -> impl futures::Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::once(async move {
        match form.next_field().await {
            Ok(None) => Ok(Bytes::new()),
            Ok(Some(_)) => Err(io::Error::other("the form has more fields than `file`")),
            Err(error) => Err(io::Error::other(error)),
        }
    })
}
