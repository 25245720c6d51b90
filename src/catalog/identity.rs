//! Ids of streams and series: hashes of canonical text.
//!
//! An id is the first 64 bits of an XXH3-128 digest. The catalog also stores the whole digest, so that a collision of
//! two ids is an error instead of a wrong bill.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A digest of 128 bits. Its first 64 bits are the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub u128);

impl Digest {
    pub fn id(self) -> u64 {
        (self.0 >> 64) as u64
    }

    pub fn hex(self) -> String {
        hex::encode(self.0.to_be_bytes())
    }

    pub fn from_hex(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

/// Hashes the length of a text and the text, so that different lists of texts have different input.
fn update_text(hasher: &mut Xxh3, text: &str) {
    hasher.update(&(text.len() as u64).to_be_bytes());
    hasher.update(text.as_bytes());
}

/// The digest of a stream: its meter, its resource, and the counted value if the meter counts different values.
pub fn stream_digest(meter: &str, resource_id: &str, unique: Option<&str>) -> Digest {
    let mut hasher = Xxh3::new();
    update_text(&mut hasher, meter);
    update_text(&mut hasher, resource_id);
    if let Some(unique) = unique {
        update_text(&mut hasher, unique);
    }
    Digest(hasher.digest128())
}

/// The digest of a series: its stream, its project, and its dimensions in the order of their names.
pub fn series_digest<'a>(
    stream: Digest,
    project_id: Option<&str>,
    dimensions: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Digest {
    let mut hasher = Xxh3::new();
    hasher.update(&stream.0.to_be_bytes());
    // One byte distinguishes an unknown project from a project with an empty name.
    match project_id {
        None => hasher.update(&[0]),
        Some(project_id) => {
            hasher.update(&[1]);
            update_text(&mut hasher, project_id);
        }
    }
    for (name, value) in dimensions {
        update_text(&mut hasher, name);
        update_text(&mut hasher, value);
    }
    Digest(hasher.digest128())
}

/// The digest of a record id, or of a rejected record's text. Zero is reserved for records without an id.
pub fn record_digest(bytes: &[u8]) -> u64 {
    xxh3_64(bytes).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every lake contains ids of this form, so these vectors must never change. They were computed with another
    /// implementation of XXH3.
    #[test]
    fn digests_match_the_reference_vectors() {
        let stream = stream_digest("instance", "2d954c5a-b451-5505-b4d8-11c80cbf3e82", None);
        let series = series_digest(stream, Some("075ca625701a57ebbad7cd2665eb53fb"), [("flavor", "m1.small")]);
        let unattributed = series_digest(stream, None, [("flavor", "m1.small")]);
        insta::assert_snapshot!(
            format!("{}\n{}\n{}\n{}", stream.hex(), series.hex(), unattributed.hex(), stream.id()),
            @r"
        00769ccddc9d1ef8d718671c9fbacf65
        f5b602607f94e816286135d1ab987c65
        96951bd67cb925e2b0a69aae58f320d4
        33386455235370744
        "
        );
        assert_ne!(series, unattributed);
        assert_eq!(Digest::from_hex(&stream.hex()), Some(stream));
    }

    #[test]
    fn adjacent_texts_are_not_concatenated() {
        assert_ne!(stream_digest("ab", "c", None), stream_digest("a", "bc", None));
        assert_ne!(stream_digest("a", "b", None), stream_digest("a", "b", Some("")));
        let stream = stream_digest("a", "b", None);
        assert_ne!(series_digest(stream, Some(""), []), series_digest(stream, None, []));
        assert_ne!(series_digest(stream, None, [("a", "b"), ("c", "d")]), series_digest(stream, None, [("a", "bcd")]));
    }
}
