//! Canonical ids for comparison, because sources write the same UUID in lower and in upper case.

use std::borrow::Cow;

use crate::catalog::identity::record_digest;

/// The canonical form of an id: a UUID (with or without dashes) in lower case, any other id unchanged. Dashes are kept,
/// because Keystone writes ids without dashes and Nova writes ids with dashes.
pub fn canonical_id(id: &str) -> Cow<'_, str> {
    // The loop has no early exit, so that the compiler can check many bytes in one step.
    if id.bytes().fold(false, |is_large, byte| is_large | byte.is_ascii_uppercase()) && is_uuid(id.as_bytes()) {
        Cow::Owned(id.to_ascii_lowercase())
    } else {
        Cow::Borrowed(id)
    }
}

/// The digest of a record id in its canonical form. The function allocates no memory, because it runs for every record
/// with an id.
pub fn digest_of_id(id: &str) -> u64 {
    let mut small = [0; 36];
    match small.get_mut(..id.len()) {
        Some(small) if is_uuid(id.as_bytes()) => {
            small.copy_from_slice(id.as_bytes());
            small.make_ascii_lowercase();
            record_digest(small)
        }
        _ => record_digest(id.as_bytes()),
    }
}

fn is_uuid(id: &[u8]) -> bool {
    match id.len() {
        32 => id.iter().fold(true, |is_hex, byte| is_hex & byte.is_ascii_hexdigit()),
        36 => id.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uuids_are_written_small() {
        for (id, canonical) in [
            ("2D954C5A-B451-5505-B4D8-11C80CBF3E82", "2d954c5a-b451-5505-b4d8-11c80cbf3e82"),
            ("075CA625701A57EBBAD7CD2665EB53FB", "075ca625701a57ebbad7cd2665eb53fb"),
            ("075ca625701a57ebbad7cd2665eb53fb", "075ca625701a57ebbad7cd2665eb53fb"),
            ("075CA625701A57EBBAD7CD2665EB53FG", "075CA625701A57EBBAD7CD2665EB53FG"),
            ("2D954C5A-B451-5505-B4D8-11C80CBF3E82-VDA", "2D954C5A-B451-5505-B4D8-11C80CBF3E82-VDA"),
            ("2D954C5AB-451-5505-B4D8-11C80CBF3E82", "2D954C5AB-451-5505-B4D8-11C80CBF3E82"),
            ("Backup/Photos", "Backup/Photos"),
            ("", ""),
        ] {
            assert_eq!(canonical_id(id), canonical);
            assert_eq!(digest_of_id(id), record_digest(canonical.as_bytes()));
        }
    }
}
