//! `docs/reference/exit-codes.md` documents exactly the exit codes in the help of the program.

use std::collections::BTreeSet;

use super::book;

#[test]
fn every_exit_code_is_documented() {
    let help = conto::cli::command_line().get_after_help().unwrap().to_string();
    let listed = help.split_once("Exit codes: ").unwrap().1;
    let of_help: BTreeSet<String> = listed
        .split(';')
        .map(|item| item.trim().split(' ').next().unwrap().to_owned())
        .filter(|code| code.parse::<u8>().is_ok())
        .collect();
    let page = book::read("docs/reference/exit-codes.md");
    let rows = page.lines().filter_map(book::cells).map(|cells| cells[0].clone());
    let of_page: BTreeSet<String> = rows.filter(|code| code.parse::<u8>().is_ok()).collect();
    assert!(of_help.len() > 3, "{help}");
    assert_eq!(of_page, of_help);
}
