//! The listing of a bucket. A key is any text. The paths of the store's client have no empty segment, no segment `.` or
//! `..`, and no control character. One other key would make the client reject the whole listing.
//!
//! Therefore such keys are taken out of the responses before the client reads them. A key with empty segments can still
//! be read. Any other of these keys is listed as unread.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService, ReqwestConnector,
};
use object_store::path::{Path, PathPart};
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use url::Url;

use crate::intake::sources::listing::{Found, FoundAt, Listing, Pattern};
use crate::intake::unread::{Unread, innermost};
use crate::model::unread_input::UnreadReason;
use crate::storage::open_store_through;

/// The number of repetitions of a request, and the time after which a request is not repeated. The pauses between the
/// repetitions double from 100 ms.
const RETRIES: usize = 6;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// The problem of a key that no request can contain.
const UNUSABLE: &str = "the key starts with a slash, has a segment `.` or `..`, or a control character, which no \
                        request can contain; copy the object to another key";

/// A bucket that contains usage.
#[derive(Debug)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    odd_keys: OddKeys,
}

impl Bucket {
    pub(super) fn open(url: &Url) -> Result<Self, object_store::Error> {
        let odd_keys = OddKeys::default();
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        // The client rejects a URL whose path has empty segments.
        let mut plain = url.clone();
        let segments = url.path().split('/').filter(|segment| !segment.is_empty());
        plain.set_path(&segments.collect::<Vec<_>>().join("/"));
        let (store, path) = open_store_through(&plain, odd_keys.clone(), retry)?;
        let (key, plain) = (percent_decoded(url.path().trim_matches('/')), percent_decoded(plain.path()));
        // The URL of some stores begins with the name of the bucket.
        let key = key.get(plain.trim_matches('/').len().saturating_sub(path.as_ref().len())..);
        let prefix = key.filter(|key| key.contains("//")).and_then(path_of_key).unwrap_or(path);
        Ok(Self { store, prefix, odd_keys })
    }

    /// The objects below the prefix that match a pattern.
    pub(super) async fn list(&self, pattern: &Pattern) -> Result<Listing, Unread> {
        let start = if self.prefix.is_root() { String::new() } else { format!("{}/", self.prefix) };
        let Listing { mut found, mut unread } = Listing::default();
        let mut listed = self.store.list(Some(&self.prefix));
        while let Some(object) = listed.try_next().await.map_err(|error| unread_of(&error))? {
            let Some(below) = object.location.as_ref().strip_prefix(&start) else { continue };
            if pattern.is_match(below) {
                found.push(Found {
                    below: below.to_owned(),
                    size: object.size,
                    modified_at: object.last_modified.timestamp_micros(),
                    at: FoundAt::Remote(object.location.into()),
                });
            }
        }
        for (key, OddKey { size, modified_at }) in self.odd_keys.take() {
            // Consoles mark a directory by an empty object whose key ends with a slash.
            let is_marker = key.ends_with('/') && size == 0;
            let Some(below) = key.strip_prefix(&start).filter(|below| !is_marker && pattern.is_match(below)) else {
                continue;
            };
            let below = below.to_owned();
            match path_of_key(&key) {
                Some(_) => found.push(Found { below, size, modified_at, at: FoundAt::Remote(key) }),
                None => {
                    unread.push((below, Unread::new(UnreadReason::UnusableName, UNUSABLE)));
                }
            }
        }
        Ok(Listing { found, unread })
    }

    /// The object at the path of the URL.
    pub(super) async fn object(&self) -> Result<Found, Unread> {
        let object = self.store.head(&self.prefix).await.map_err(|error| unread_of(&error))?;
        Ok(Found {
            below: String::new(),
            size: object.size,
            modified_at: object.last_modified.timestamp_micros(),
            at: FoundAt::Remote(object.location.into()),
        })
    }

    /// The content of an object.
    pub(super) async fn content(&self, key: &str) -> Result<bytes::Bytes, Unread> {
        let path = path_of_key(key).ok_or_else(|| Unread::new(UnreadReason::UnusableName, UNUSABLE))?;
        let object = self.store.get(&path).await.map_err(|error| unread_of(&error))?;
        object.bytes().await.map_err(|error| unread_of(&error))
    }
}

fn unread_of(error: &object_store::Error) -> Unread {
    let detail = one_line(&innermost(error));
    // The error of a listing has no variant for these answers.
    let has_status = |status: u16| detail.contains(&format!("status code: {status} "));
    let reason = match error {
        object_store::Error::NotFound { .. } => UnreadReason::NotFound,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            UnreadReason::NoPermission
        }
        _ if has_status(404) => UnreadReason::NotFound,
        _ if has_status(401) || has_status(403) => UnreadReason::NoPermission,
        _ => UnreadReason::Failed,
    };
    Unread::new(reason, detail)
}

/// A message of a store on one line. Of a body in XML, only the code and the message are kept: the rest contains the id
/// of the request.
fn one_line(message: &str) -> String {
    let (text, body) = message.find("<?xml").map_or((message, ""), |start| message.split_at(start));
    let mut parts = vec![text.trim_end_matches([':', ' ']).to_owned()];
    parts.extend(["Code", "Message"].into_iter().filter_map(|tag| text_of(body, tag)));
    let line: Vec<&str> = parts.iter().flat_map(|part| part.split_whitespace().chain([":"])).collect();
    line.join(" ").trim_end_matches([':', ' ']).replace(" :", ":").chars().take(300).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The path with which a key is requested. `None` if no request can contain the key.
fn path_of_key(key: &str) -> Option<Path> {
    let mut path = Path::ROOT;
    for segment in key.split('/') {
        path = path.join(PathPart::parse(segment).ok()?);
    }
    (path.as_ref() == key).then_some(path)
}

/// The size and the modification time of an object whose key is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OddKey {
    size: u64,
    modified_at: i64,
}

/// The keys that were taken out of the listings of a store.
#[derive(Clone, Debug, Default)]
struct OddKeys(Arc<Mutex<BTreeMap<String, OddKey>>>);

impl OddKeys {
    fn take(&self) -> BTreeMap<String, OddKey> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn extend(&self, keys: Vec<(String, OddKey)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
    }
}

impl HttpConnector for OddKeys {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(ListingFilter { client, odd_keys: self.clone() }))
    }
}

/// A client that takes odd keys out of the responses to listings.
#[derive(Debug)]
struct ListingFilter {
    client: HttpClient,
    odd_keys: OddKeys,
}

impl HttpService for ListingFilter {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let query = request.uri().query().unwrap_or_default();
            let is_listing = query.split('&').any(|pair| pair == "list-type=2" || pair == "comp=list");
            let response = self.client.execute(request).await?;
            if !is_listing || !response.status().is_success() {
                return Ok(response);
            }
            let (parts, body) = response.into_parts();
            let body = body.bytes().await?;
            let Ok(text) = std::str::from_utf8(&body) else {
                return Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(body)));
            };
            let (text, odd) = without_odd_keys(text);
            self.odd_keys.extend(odd);
            Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(text)))
        })
    }
}

/// A listing without the objects whose keys are not paths, and these objects.
fn without_odd_keys(listing: &str) -> (String, Vec<(String, OddKey)>) {
    let (element, name, size, modified_at) = if listing.contains("<Blobs>") {
        ("Blob", "Name", "Content-Length", "Last-Modified")
    } else {
        ("Contents", "Key", "Size", "LastModified")
    };
    let (start, end) = (format!("<{element}>"), format!("</{element}>"));
    let (mut kept, mut odd) = (String::with_capacity(listing.len()), Vec::new());
    let mut rest = listing;
    while let Some(at) = rest.find(&start) {
        let Some(length) = rest[at..].find(&end).map(|length| length + end.len()) else { break };
        let object = &rest[at..at + length];
        kept.push_str(&rest[..at]);
        rest = &rest[at + length..];
        let key = text_of(object, name);
        match key.filter(|key| !is_path(key)) {
            Some(key) => {
                let size = text_of(object, size).and_then(|size| size.parse().ok()).unwrap_or_default();
                let modified_at = text_of(object, modified_at).and_then(|time| instant(&time)).unwrap_or_default();
                odd.push((key, OddKey { size, modified_at }));
            }
            None => kept.push_str(object),
        }
    }
    kept.push_str(rest);
    (kept, odd)
}

/// Whether the client reads a key as it is.
fn is_path(key: &str) -> bool {
    key.trim() == key && Path::parse(key).is_ok_and(|path| path.as_ref() == key)
}

/// A time in RFC 3339, as S3 and Google write it, or in RFC 2822, as Azure writes it, in microseconds UTC.
fn instant(text: &str) -> Option<i64> {
    let time = text.parse::<Timestamp>().ok();
    let time = time.or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()));
    time.map(Timestamp::as_microsecond)
}

/// The text of the first element with a name.
fn text_of(xml: &str, name: &str) -> Option<String> {
    let start = xml.find(&format!("<{name}>"))? + name.len() + 2;
    let length = xml[start..].find(&format!("</{name}>"))?;
    Some(unescaped(&xml[start..start + length]))
}

/// A text of XML with its references replaced by their characters.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let reference = after.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        match reference {
            Some((character, after)) => {
                plain.push(character);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> String {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-10-01T00:00:00.000Z</LastModified><Size>7</Size></Contents>"
        )
    }

    #[test]
    fn only_keys_that_are_not_paths_are_taken_out_of_a_listing() {
        let plain = ["a.csv", "d/c d.csv", "e+f &amp; 100%25.csv", "é.csv"].map(object).concat();
        let odd = ["d//b.csv", "d/../b.csv", "./b.csv", "/b.csv", "b/", "a&#10;b.csv", "a&#x1;.csv", " a.csv"];
        let listing = |objects: &str| format!("<?xml version=\"1.0\"?><ListBucketResult>{objects}</ListBucketResult>");
        let (kept, taken) = without_odd_keys(&listing(&(plain.clone() + &odd.map(object).concat())));
        assert_eq!(kept, listing(&plain));
        let keys: Vec<&str> = taken.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["d//b.csv", "d/../b.csv", "./b.csv", "/b.csv", "b/", "a\nb.csv", "a\u{1}.csv", " a.csv"]);
        let expected = OddKey { size: 7, modified_at: 1_790_812_800_000_000 };
        assert!(taken.iter().all(|(_, odd)| *odd == expected), "{taken:?}");
    }

    #[test]
    fn the_listing_of_azure_has_other_names() {
        let blob = |key: &str| {
            format!(
                "<Blob><Name>{key}</Name><Properties><Last-Modified>Thu, 01 Oct 2026 00:00:00 GMT</Last-Modified>\
                 <Content-Length>7</Content-Length></Properties></Blob>"
            )
        };
        let (kept, taken) = without_odd_keys(&format!("<Blobs>{}{}</Blobs>", blob("a.csv"), blob("d//b.csv")));
        assert_eq!(kept, format!("<Blobs>{}</Blobs>", blob("a.csv")));
        assert_eq!(taken, [("d//b.csv".to_owned(), OddKey { size: 7, modified_at: 1_790_812_800_000_000 })]);
    }

    #[test]
    fn a_key_with_empty_segments_has_a_path_and_other_odd_keys_have_none() {
        for key in ["a.csv", "d//b.csv", "d///b.csv", "d/b.csv/", " a.csv", "100%25.csv"] {
            assert_eq!(path_of_key(key).unwrap().as_ref(), key);
        }
        for key in ["/b.csv", "//b.csv", "d/../b.csv", "d/./b.csv", "a\nb.csv"] {
            assert_eq!(path_of_key(key), None, "{key:?}");
        }
    }

    #[test]
    fn a_message_of_a_store_has_no_id_of_a_request() {
        let message = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?>\n<Error>\
                       <Code>AccessDenied</Code><Message>Access\nDenied</Message><RequestId>7</RequestId></Error>";
        let expected = "Server returned non-2xx status code: 403 Forbidden: AccessDenied: Access Denied";
        assert_eq!(one_line(message), expected);
        assert_eq!(one_line("no  connection"), "no connection");
    }

    #[test]
    fn encoded_characters_of_a_url_are_decoded() {
        assert_eq!(percent_decoded("c%20d%2Fe%C3%A9%"), "c d/eé%");
    }
}
