//! Integration tests, in one binary, because each test binary links the whole engine.
//!
//! To add a case, find its topic here and read `test_lake/mod.rs`, which contains a complete example.
//!
//! | topic | module |
//! | --- | --- |
//! | **Intake** | |
//! | formats and `select` of sources, source defaults, gaps | `sources` |
//! | lists and structs in JSON, CloudEvents and Parquet | `nested` |
//! | spellings of ids and names in sources, accounts and rules | `identifiers` |
//! | OpenStack notifications and resource lifecycles | `notifications` |
//! | servers that fail during a pull | `servers` |
//! | files and keys that cannot be read, among others that can | `unread` |
//! | real Gnocchi, Prometheus, Keystone and object stores (skipped where not installed) | `live` |
//! | duplicates, conflicts, aggregations, windows, time zones | `metering` |
//! | the metering of a stream against an independent model in SQL | `metering_by_sql` |
//! | repeated events, retraction of files and records | `identity` |
//! | **Prices** | |
//! | tiers, fees, packages, caps, pricing units, price changes | `pricing` |
//! | list cost, factors, included units | `pricing::rate_cards` |
//! | random prices and usage against an independent model of pools | `pools` |
//! | recurring and percent fees, one-off charges, unused pools, reservations, hourly commitments | `non_usage_charges` |
//! | examples of all rule files in the repository | `rules` |
//! | the rows of `usage.csv` against an independent model | `usage_rows` |
//! | **Invoices** | |
//! | rounding, discounts, credits, minimum amounts, VAT categories, reverse charge | `terms` |
//! | numbers, late usage, corrections, restatements, close blockers, tax point | `closing` |
//! | validity of accounts, last documents, invoices without an amount | `account_validity` |
//! | balances over months, audit, journals, moved projects | `books` |
//! | resellers, their numbers and margins | `resellers` |
//! | `conto run` without a period | `open_months` |
//! | limits of a run, and its findings beyond them | `run_limits` |
//! | `conto explain` for every line of a document | `explained` |
//! | `conto audit` finds every changed amount | `altered` |
//! | **The lake** | |
//! | `compact`, `expire`, `vacuum` | `housekeeping` |
//! | other programs that read the data files, manifests or an exported Delta table | `readers` |
//! | processes that are killed at every step of a write | `crash` |
//! | full disks, permissions, damaged files, fsync | `faults` |
//! | `--memory-limit` | `memory` |
//! | equal bytes with other processors, limits and orders of files | `same_bytes` |
//! | **Whole runs** | |
//! | conservation laws on random input, unusual input | `conservation` |
//! | reports of users of other programs, each with its right result: `tests/reports/` | `reports` |
//! | documents of `samples/` byte for byte | `samples` |
//! | the nightly benchmark against another engine | `nightly` |
//! | **The repository** | |
//! | every statement of `sql/` against rows computed by hand: `tests/sql/<stage>/<relation>.slt` | `relations` |
//! | headers of `sql/` against the plans of their statements | `contracts` |
//! | transcripts in `tests/cli/` and in the documentation | `cli` |
//! | every message with the smallest input that causes it: `tests/errors/` | `errors` |
//! | the module graph: no circles, no stage that imports another | `architecture` |
//! | code that belongs to one place, file names, line lengths | `tidy` |
//! | generated pages, tables of keys, examples and links of the documentation | `docs` |
//! | sentences and phrases of the documentation | `prose` |
//! | `conto sql --explain`; which statements each command executes, and which relations it writes | `plans` |
//! | the outline of a statement's plan, which `contracts` compares | `plan_contract` |

// A module with the remark `// slow` is not part of `./check --fast`.

// A helper of a test may panic: each value that it unwraps is a precondition of the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod account_validity; // slow
mod altered; // slow
mod architecture;
mod books; // slow
mod cli;
mod closing; // slow
mod conservation; // slow
mod contracts;
mod crash; // slow
mod docs;
mod errors;
mod explained; // slow
mod faults; // slow
mod housekeeping; // slow
mod identifiers; // slow
mod identity; // slow
mod live; // slow
mod memory; // slow
mod metering; // slow
mod metering_by_sql; // slow
mod nested; // slow
mod nightly; // slow
mod non_usage_charges; // slow
mod notifications; // slow
mod open_months; // slow
mod plan_contract;
mod plans; // slow
mod pools; // slow
mod pricing; // slow
mod prose;
mod readers; // slow
mod relations;
mod reports; // slow
mod resellers; // slow
mod rules;
mod run_limits; // slow
mod same_bytes; // slow
mod samples; // slow
mod servers; // slow
mod sources; // slow
mod stub_server;
mod terms; // slow
mod test_lake;
mod tidy;
mod unread; // slow
mod usage_rows;
