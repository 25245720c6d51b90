//! Tests of the documentation: generated pages, and the statements of all other pages.
//!
//! | page | source |
//! | --- | --- |
//! | `docs/reference/cli.md` | the command line as clap defines it |
//! | `docs/reference/relations.md` | the headers of the files below `sql/` |
//! | `docs/reference/csv-files.md` | the headers of the files below `sql/export/` |
//! | `docs/reference/sql-functions.md` | the documentation of the functions in `src/functions/` |
//! | `docs/reference/errors.md` | `tests/errors/`, by `tests/errors.rs` |
//!
//! `CONTO_WRITE_DOCS=1 cargo test docs` rewrites these pages (`errors.md` with the filter `errors`). Review the
//! difference before you commit it. All other pages are written by hand. `keys` compares the tables of keys with the
//! readers, `examples` reads the TOML blocks with the readers, and `links` checks every link of the repository.

pub(crate) mod book;
mod command_line;
mod examples;
mod exit_codes;
mod functions;
mod keys;
mod links;
mod paths;
mod relations;
