//! Which rows of a batch say the same: each row's texts as numbers, and each combination of numbers found once.
//!
//! A text column of parquet is mostly a dictionary. Its values are numbered once for each dictionary, so a row costs
//! one look-up of its combination and no text is hashed or compared for it.

use arrow::array::{Array, StringArray};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64;

use crate::intake::formats::parquet_texts::Texts;

/// The texts of one column over all batches of a file, each with its number. Zero is no text.
#[derive(Default)]
struct ColumnInterner {
    texts: Vec<Box<str>>,
    table: HashTable<u32>,
    /// The dictionary that was met last, with the number of each of its values. It is kept so that no other one can
    /// come to lie where it lies.
    dictionary: Option<(StringArray, Vec<u32>)>,
}

impl ColumnInterner {
    fn number_of(&mut self, text: &str) -> u32 {
        let hash_of = |text: &str| xxh3_64(text.as_bytes());
        let Self { texts, table, .. } = self;
        let is_it = |number: &u32| &*texts[*number as usize - 1] == text;
        match table.entry(hash_of(text), is_it, |number| hash_of(&texts[*number as usize - 1])) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let number = texts.len() as u32 + 1;
                place.insert(number);
                texts.push(text.into());
                number
            }
        }
    }

    /// Gives the number of each row's text.
    fn rows(&mut self, texts: &Texts, rows: usize, mut give: impl FnMut(usize, u32)) {
        let Texts::Dictionary { keys, nulls, values } = texts else {
            for row in 0..rows {
                let number = texts.get(row).map_or(0, |text| self.number_of(text));
                give(row, number);
            }
            return;
        };
        let is_same = |known: &StringArray| {
            let place =
                |array: &StringArray| (array.value_data().as_ptr(), array.offsets().inner().as_ptr(), array.len());
            place(known) == place(values)
        };
        if !self.dictionary.as_ref().is_some_and(|(known, _)| is_same(known)) {
            let number = |value: Option<&str>| value.map_or(0, |text| self.number_of(text));
            let numbers = values.iter().map(number).collect();
            self.dictionary = Some((values.clone(), numbers));
        }
        let Some((_, numbers)) = &self.dictionary else { return };
        match nulls {
            None => keys.iter().enumerate().for_each(|(row, key)| give(row, numbers[*key as usize])),
            Some(nulls) => keys.iter().enumerate().for_each(|(row, key)| {
                give(row, if nulls.is_valid(row) { numbers[*key as usize] } else { 0 });
            }),
        }
    }
}

/// Numbers the combinations of the texts of some columns.
pub struct TupleInterner {
    columns: Vec<ColumnInterner>,
    /// The combinations that were met, one after the other.
    met: Vec<u32>,
    table: HashTable<u32>,
    /// The combination of each row of the batch at hand.
    rows: Vec<u32>,
    /// The number that was given last.
    last: usize,
}

impl TupleInterner {
    pub fn new(columns: usize) -> Self {
        let columns = std::iter::repeat_with(ColumnInterner::default).take(columns).collect();
        Self { columns, met: Vec::new(), table: HashTable::new(), rows: Vec::new(), last: 0 }
    }

    /// Begins a batch. As many columns as at the start, in the same order.
    pub fn begin(&mut self, columns: &[&Texts], rows: usize) {
        let width = self.columns.len();
        self.rows.clear();
        self.rows.resize(rows * width, 0);
        for (place, (numbered, texts)) in self.columns.iter_mut().zip(columns).enumerate() {
            numbered.rows(texts, rows, |row, number| self.rows[row * width + place] = number);
        }
    }

    /// The number of a row's combination, counted from zero as they are met.
    pub fn number_of(&mut self, row: usize) -> usize {
        let width = self.columns.len();
        let Self { met, table, rows, .. } = self;
        let combination = &rows[row * width..][..width];
        // Pollers go through their resources in one order, again and again: mostly it is the next one, or the same.
        for guess in [self.last + 1, self.last] {
            if met.get(guess * width..(guess + 1) * width) == Some(combination) {
                self.last = guess;
                return guess;
            }
        }
        let at = |met: &[u32], number: u32| -> std::ops::Range<usize> {
            let begin = number as usize * width;
            debug_assert!(begin + width <= met.len());
            begin..begin + width
        };
        let is_it = |number: &u32| met[at(met, *number)] == *combination;
        match table.entry(hash(combination), is_it, |number| hash(&met[at(met, *number)])) {
            Entry::Occupied(known) => self.last = *known.get() as usize,
            Entry::Vacant(place) => {
                let number = (met.len() / width) as u32;
                place.insert(number);
                met.extend_from_slice(combination);
                self.last = number as usize;
            }
        }
        self.last
    }
}

/// The numbers are small and dense, so one multiplication each spreads them well enough for a table.
fn hash(combination: &[u32]) -> u64 {
    let mix =
        |state: u64, number: &u32| (state ^ u64::from(*number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    combination.iter().fold(0, mix)
}
