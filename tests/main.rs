//! Everything that is tested from outside: one binary, because each links the whole engine.
//!
//! | module | holds |
//! | --- | --- |
//! | `contracts` | every header below `sql/` against the plan of its statement |
//! | `plan_contract` | the outline of a statement's plan, which `contracts` compares |
//! | `relations` | every relation against worked rows: `tests/sql/<stage>/<relation>.slt` |
//! | `architecture` | the module graph: no circles, no stage that imports another |
//! | `tidy` | code that belongs to one place, file names, line lengths |
//! | `rules` | the examples of all rule files in the repository |
//! | `samples` | each sample's documents byte for byte against its `expected/` |
//! | `conservation` | the laws, on random input |
//! | `altered` | that no amount of the books can be another: the audit finds each |
//! | `books` | balances from month to month, the audit, journals in the programs they are for |
//! | `explained` | that `conto explain` names what is behind every line, and that it adds up |
//! | `cli` | transcripts in `tests/cli/`, and the commands of `README.md` and `docs/` |
//! | `docs` | generated pages, tables of keys, examples and links of the documentation |
//! | `prose` | sentences and phrases of the documentation |
//! | `standing` | what is owed without usage: fees by the day, pools that nobody used |
//! | `terms` | credits from month to month, what is too little to be sent, what each kind of tax asks for |
//! | `sources` | every form of the same usage gives the same invoices |
//! | `servers` | a server that goes wrong in the middle of a pull, in each of the ways in which servers do |
//! | `notifications` | what services notify of is billed by the hour, in any order, without some of it |
//! | `nightly` | the benchmark at a reduced size, against another engine |
//! | `closing` | a month that is closed stays closed: numbers, the chain, what is refused, what is due later |
//! | `crash` | the program killed at its steps of writing, and what its lake is afterwards |
//! | `faults` | what the world does to a lake on a disk: each ends in a message that says what to do |
//! | `housekeeping` | that making the lake smaller changes no result |
//! | `memory` | that a limit on memory is kept, and changes no result |
//! | `live` | usage from real servers, and lakes in object stores, on loopback; skipped where they are not installed |
//! | `semantics` | what is easy to get wrong, a test for each point |
//! | `errors` | every message, with the smallest input that provokes it: `tests/errors/` |

// A module with the remark `// slow` is not part of `./check --fast`.

// A helper of a test may stop it: what it unwraps is the test's own footing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod altered;
mod architecture;
mod books;
mod cli;
mod closing; // slow
mod conservation; // slow
mod contracts;
mod crash;
mod docs;
mod errors;
mod explained;
mod faults;
mod housekeeping;
mod live;
mod memory;
mod nightly;
mod notifications;
mod plan_contract;
mod prose;
mod relations;
mod rules;
mod samples; // slow
mod semantics;
mod servers; // slow
mod sources; // slow
mod standing; // slow
mod terms;
mod tidy;
mod world;
