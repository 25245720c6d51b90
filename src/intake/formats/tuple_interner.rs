//! An interner of value tuples. It assigns a number to each text of a column and to each tuple of texts.
//!
//! A text column of Parquet is usually a dictionary. The values are numbered once for each dictionary. Then each row
//! needs only one lookup of its tuple, without hashing or comparing texts.

use arrow::array::{Array, StringArray};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64;

use crate::intake::formats::parquet_texts::Texts;

/// The numbered texts of one column over all batches of a file. Zero means no text.
#[derive(Default)]
struct ColumnInterner {
    texts: Vec<Box<str>>,
    table: HashTable<u32>,
    /// The last dictionary, with the numbers of its values. The dictionary is stored so that no other dictionary can
    /// reuse its address.
    dictionary: Option<(StringArray, Vec<u32>)>,
}

impl ColumnInterner {
    fn number_of(&mut self, text: &str) -> u32 {
        let hash_of = |text: &str| xxh3_64(text.as_bytes());
        let Self { texts, table, .. } = self;
        let is_equal = |number: &u32| &*texts[*number as usize - 1] == text;
        match table.entry(hash_of(text), is_equal, |number| hash_of(&texts[*number as usize - 1])) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(index) => {
                let number = texts.len() as u32 + 1;
                index.insert(number);
                texts.push(text.into());
                number
            }
        }
    }

    /// Passes the number of each row's text to `emit`.
    fn rows(&mut self, texts: &Texts, rows: usize, mut emit: impl FnMut(usize, u32)) {
        let Texts::Dictionary { keys, nulls, values } = texts else {
            for row in 0..rows {
                let number = texts.get(row).map_or(0, |text| self.number_of(text));
                emit(row, number);
            }
            return;
        };
        let is_same = |last: &StringArray| {
            let index =
                |array: &StringArray| (array.value_data().as_ptr(), array.offsets().inner().as_ptr(), array.len());
            index(last) == index(values)
        };
        if !self.dictionary.as_ref().is_some_and(|(last, _)| is_same(last)) {
            let number = |value: Option<&str>| value.map_or(0, |text| self.number_of(text));
            let numbers = values.iter().map(number).collect();
            self.dictionary = Some((values.clone(), numbers));
        }
        let Some((_, numbers)) = &self.dictionary else { return };
        match nulls {
            None => keys.iter().enumerate().for_each(|(row, key)| emit(row, numbers[*key as usize])),
            Some(nulls) => keys.iter().enumerate().for_each(|(row, key)| {
                emit(row, if nulls.is_valid(row) { numbers[*key as usize] } else { 0 });
            }),
        }
    }
}

/// The numbered tuples of texts in several columns.
pub(super) struct TupleInterner {
    columns: Vec<ColumnInterner>,
    /// All tuples, one after the other.
    tuples: Vec<u32>,
    table: HashTable<u32>,
    /// The tuple of each row of the current batch.
    rows: Vec<u32>,
    /// The last returned number.
    last: usize,
}

impl TupleInterner {
    pub(super) fn new(columns: usize) -> Self {
        let columns = std::iter::repeat_with(ColumnInterner::default).take(columns).collect();
        Self { columns, tuples: Vec::new(), table: HashTable::new(), rows: Vec::new(), last: 0 }
    }

    /// Begins a batch, with the same columns in the same order as before.
    pub(super) fn begin(&mut self, columns: &[&Texts], rows: usize) {
        let width = self.columns.len();
        self.rows.clear();
        self.rows.resize(rows * width, 0);
        for (index, (column, texts)) in self.columns.iter_mut().zip(columns).enumerate() {
            column.rows(texts, rows, |row, number| self.rows[row * width + index] = number);
        }
    }

    /// The number of a row's tuple, in the order of first occurrence, starting with zero.
    pub(super) fn number_of(&mut self, row: usize) -> usize {
        let width = self.columns.len();
        let Self { tuples, table, rows, .. } = self;
        let tuple = &rows[row * width..][..width];
        // Pollers report their resources repeatedly in the same order, so the next tuple or the same tuple is the most
        // likely.
        for guess in [self.last + 1, self.last] {
            if tuples.get(guess * width..(guess + 1) * width) == Some(tuple) {
                self.last = guess;
                return guess;
            }
        }
        let at = |tuples: &[u32], number: u32| -> std::ops::Range<usize> {
            let begin = number as usize * width;
            debug_assert!(begin + width <= tuples.len());
            begin..begin + width
        };
        let is_equal = |number: &u32| tuples[at(tuples, *number)] == *tuple;
        match table.entry(hash(tuple), is_equal, |number| hash(&tuples[at(tuples, *number)])) {
            Entry::Occupied(entry) => self.last = *entry.get() as usize,
            Entry::Vacant(index) => {
                let number = (tuples.len() / width) as u32;
                index.insert(number);
                tuples.extend_from_slice(tuple);
                self.last = number as usize;
            }
        }
        self.last
    }
}

/// A hash of a tuple. The numbers are small and dense, so one multiplication for each number distributes them well
/// enough.
fn hash(tuple: &[u32]) -> u64 {
    let mix =
        |state: u64, number: &u32| (state ^ u64::from(*number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    tuple.iter().fold(0, mix)
}
