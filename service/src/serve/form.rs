//! A list that is sent as the field `file` of a form.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use harvestman::{engine::UploadOptions, spec::InputFormat};

use super::{
    body::{Fate, Incoming},
    error::{ApiError, ErrorCode},
    routes::uploads::{Sent, format_of},
};

/// The field that holds the list.
const FIELD: &str = "file";
/// How many bytes of a form may come in a row without any of its list: what is read at a time, and
/// the longest headers.
const MAX_UNREAD_BYTES: usize = 1024 * 1024;

/// Finds the field in a form and says how its list is written: by its own media type, else by the
/// file's name, else by its first line.
pub(crate) async fn open(
    content_type: &str,
    body: Incoming,
    options: UploadOptions,
) -> Result<Sent, ApiError> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| invalid("Content-Type: a form needs a boundary"))?;
    let Incoming { pieces, fate } = body;
    let unread = Arc::new(AtomicUsize::new(0));
    let mut form = multer::Multipart::new(bounded(pieces, Arc::clone(&unread)), boundary);
    let broken = |_| fate.get().unwrap_or_else(|| invalid("the body is no form"));
    let field = loop {
        let field = form.next_field().await.map_err(&broken)?;
        let field = field.ok_or_else(|| invalid("the form has no field `file`"))?;
        if field.name() == Some(FIELD) {
            break field;
        }
    };
    let by_type = field.content_type().and_then(|media| format_of(media.essence_str()));
    let format = by_type.filter(|format| *format != InputFormat::Text);
    let format = format.or_else(|| field.file_name().and_then(by_name));
    let options = match format {
        Some(format) => options.with_format(format),
        None => options,
    };
    let sealing = fate.clone();
    let data = field.map(move |piece| {
        unread.store(0, Ordering::Relaxed);
        piece.map_err(|_| sealing.seal(invalid("the form is damaged")))
    });
    // The form is kept until its field is read.
    let pieces = data.chain(rest(form, fate.clone())).boxed();
    Ok(Sent { options, body: Incoming { pieces, fate } })
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}

/// Ends a form whose boundaries and headers take more than they may: they are kept until they are
/// whole, while the field's own data passes.
fn bounded(
    pieces: BoxStream<'static, io::Result<Bytes>>,
    unread: Arc<AtomicUsize>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    pieces.map(move |piece| {
        let piece = piece?;
        let unread = unread.fetch_add(piece.len(), Ordering::Relaxed) + piece.len();
        if unread > MAX_UNREAD_BYTES {
            return Err(io::Error::other("the form's headers are too long"));
        }
        Ok(piece)
    })
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
    fate: Fate,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::once(async move {
        match form.next_field().await {
            Ok(None) => Ok(Bytes::new()),
            Ok(Some(_)) => Err(fate.seal(invalid("the form has more fields than `file`"))),
            Err(_) => Err(fate.seal(invalid("the form is damaged"))),
        }
    })
}
