//! Record ids and their digests.
//!
//! If a record is an element of a list, its id is the id of the whole record with its positions. Its digest is computed
//! from the digest of the whole record's id, so that the positions can be computed back. So the elements of a record
//! are found by the id of the record alone, although the lake stores only digests.

use crate::catalog::identity::record_digest;
use crate::model::identifier::{canonical_text, is_uuid};
use crate::model::path::Positions;

/// The character between the id of a whole record and the positions of an element. Other ids do not contain this
/// control character, so the id `vm[0]` of a record is different from the element 0 of the record `vm`.
pub const POSITIONS: char = '\u{1f}';

/// The bits of a digest that are stored for every kind of record.
const STORED_BITS: u64 = (1 << 62) - 1;
/// An odd factor, and its inverse modulo 2^62: the product of both has the last 62 bits of one.
const FACTOR: u64 = 0x1e37_79b9_7f4a_7c15 & STORED_BITS;
const INVERSE: u64 = inverse_of(FACTOR);

/// The bits of one position, by the number of positions. There are fewer than 2^26 codes. So the digest of another
/// record is mistaken for that of an element with a probability below 2^-36.
const POSITION_BITS: [u32; 4] = [20, 11, 8, 6];

/// The inverse of an odd number modulo 2^64, which is also its inverse modulo 2^62. Each step doubles the number of
/// correct bits, beginning with three.
const fn inverse_of(factor: u64) -> u64 {
    let mut inverse = factor;
    let mut bits = 3;
    while bits < 64 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(factor.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

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
        _ => match id.rsplit_once(POSITIONS) {
            Some((whole, positions)) => {
                match Positions::parse(positions).filter(|positions| code_of(*positions).is_some()) {
                    Some(positions) => digest_of_element(digest_of_id(whole), positions),
                    None => record_digest(canonical_text(id).as_bytes()),
                }
            }
            None => record_digest(canonical_text(id).as_bytes()),
        },
    }
}

/// The digest of an element's id, from the digest of the whole record's id. Positions without a code are ignored.
pub fn digest_of_element(digest_of_whole: u64, positions: Positions) -> u64 {
    digest_of_whole ^ (code_of(positions).map_or(0, |code| code.wrapping_mul(FACTOR)) & STORED_BITS)
}

/// The positions of an element, from its digest and that of the whole record's id. `None` if the digest belongs to no
/// element of this record. The digests may lack the first two bits.
pub fn positions_in(digest: u64, digest_of_whole: u64) -> Option<Positions> {
    let code = ((digest ^ digest_of_whole) & STORED_BITS).wrapping_mul(INVERSE) & STORED_BITS;
    // Code zero is the whole record.
    let mut first = 1;
    for (count, bits) in (1_u32..).zip(POSITION_BITS) {
        let codes = 1 << (bits * count);
        if let Some(packed) = code.checked_sub(first).filter(|packed| *packed < codes) {
            let position = |index: u32| (packed >> (bits * (count - 1 - index))) & ((1 << bits) - 1);
            return Some((0..count).fold(Positions::default(), |all, index| all.followed_by(position(index) as u32)));
        }
        first += codes;
    }
    None
}

/// The number of an element among all elements that have a code. `None` without a position, and for positions that are
/// too large.
fn code_of(positions: Positions) -> Option<u64> {
    let positions = positions.as_slice();
    let last = positions.len().checked_sub(1)?;
    let bits = *POSITION_BITS.get(last)?;
    let before = (1..).zip(POSITION_BITS).take(last).map(|(count, bits): (u32, u32)| 1 << (bits * count));
    let first = 1 + before.sum::<u64>();
    let mut packed = 0;
    for position in positions {
        packed = (packed << bits) | Some(u64::from(*position)).filter(|position| *position < 1 << bits)?;
    }
    Some(first + packed)
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
            "e-1[0]",
            "cafe\u{301}",
            "",
        ] {
            assert_eq!(digest_of_id(id), record_digest(canonical_id(id).as_bytes()), "{id}");
        }
    }

    #[test]
    fn the_positions_of_an_element_are_computed_from_its_digest() {
        assert_eq!(FACTOR.wrapping_mul(INVERSE), 1);
        let whole = digest_of_id("e-1");
        assert_eq!(positions_in(whole, whole), None);
        let mut digests = vec![whole];
        for positions in
            ["[0]", "[1]", "[1048575]", "[0][0]", "[0][1]", "[1][0]", "[2047][2047]", "[255][0][255]", "[63][0][1][63]"]
        {
            let digest = digest_of_id(&format!("e-1{POSITIONS}{positions}"));
            for stored in [digest, digest & STORED_BITS, digest | (3 << 62)] {
                assert_eq!(positions_in(stored, whole), Positions::parse(positions), "{positions}");
            }
            assert_eq!(positions_in(digest, digest_of_id("e-2")), None, "{positions}");
            digests.push(digest);
        }
        assert_eq!(positions_in(digest_of_id("e-1[0]"), whole), None);
        // Elements beyond have a digest of their own, but no code.
        for positions in ["[1048576]", "[0][2048]", "[256][0][0]"] {
            let digest = digest_of_id(&format!("e-1{POSITIONS}{positions}"));
            assert_eq!(positions_in(digest, whole), None, "{positions}");
            digests.push(digest);
        }
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 13);
    }
}
