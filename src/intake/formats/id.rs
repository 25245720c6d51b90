//! Record ids and their digests.

use crate::catalog::identity::record_digest;
use crate::model::identifier::{canonical_text, is_uuid};

/// The digest of a record id in its canonical form. The function allocates no memory for an id in ASCII, because it
/// runs for every record with an id.
pub fn digest_of_id(id: &str) -> u64 {
    let mut small = [0; 36];
    match small.get_mut(..id.len()) {
        Some(small) if is_uuid(id.as_bytes()) => {
            small.copy_from_slice(id.as_bytes());
            small.make_ascii_lowercase();
            record_digest(small)
        }
        _ => record_digest(canonical_text(id).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identifier::canonical_id;

    #[test]
    fn the_digest_is_that_of_the_canonical_id() {
        for id in [
            "2D954C5A-B451-5505-B4D8-11C80CBF3E82",
            "075CA625701A57EBBAD7CD2665EB53FB",
            "075ca625701a57ebbad7cd2665eb53fb",
            "075CA625701A57EBBAD7CD2665EB53FG",
            "2D954C5A-B451-5505-B4D8-11C80CBF3E82-VDA",
            "Backup/Photos",
            " e-1 ",
            "cafe\u{301}",
            "",
        ] {
            assert_eq!(digest_of_id(id), record_digest(canonical_id(id).as_bytes()), "{id}");
        }
    }
}
