//! Comparisons of files that name the first difference.

use std::collections::BTreeMap;

/// Asserts that two sets of files have the same names and the same bytes.
#[track_caller]
pub(crate) fn assert_same_files(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>, what: &str) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found), "{what}: the files are not the same");
    for (name, bytes) in expected {
        assert_same_text(bytes, &found[name], &format!("{what}: {name}"));
    }
}

/// Asserts that two texts have the same bytes. The message of a failure contains the first line that differs.
#[track_caller]
pub(crate) fn assert_same_text(expected: &[u8], found: &[u8], what: &str) {
    if expected == found {
        return;
    }
    let lines = |bytes: &[u8]| -> Vec<String> {
        bytes.split(|byte| *byte == b'\n').map(|line| format!("{:?}", String::from_utf8_lossy(line))).collect()
    };
    let (expected, found) = (lines(expected), lines(found));
    let line = expected.iter().zip(&found).take_while(|(left, right)| left == right).count();
    let none = "(the file ends here)".to_owned();
    panic!(
        "{what}: line {} differs\n  expected {}\n  found    {}",
        line + 1,
        expected.get(line).unwrap_or(&none),
        found.get(line).unwrap_or(&none)
    );
}
