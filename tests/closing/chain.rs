//! Random sequences of closes, late and retracted usage, cancellations, restatements and changes of account and seller.
//! After each sequence, the documents of the month sum to the amount due, the chain of documents and all laws of the
//! books hold, and every commit can be reproduced.

use proptest::prelude::*;

use super::cancellations::{FRENCH, account, price_of, rules_at};
use super::{NOVEMBER, OCTOBER, assert_balanced};
use crate::conservation::cases;
use crate::test_lake::TestLake;

/// A step after the first close of October.
#[derive(Clone, Debug)]
enum Step {
    /// Usage of October arrives late: the project and the quantity.
    Deliver(usize, u32),
    /// A delivered file is retracted.
    Retract(prop::sample::Index),
    Close,
    /// The data of the account and of the seller change, and the document of October is cancelled.
    Reissue(Changed),
    WriteOff,
    /// October is charged by another price.
    Restate(usize),
    CloseNovember,
}

/// The data that change before a cancellation.
#[derive(Clone, Copy, Debug)]
enum Changed {
    Account,
    SellerAddress,
    SellerVatId,
}

fn step() -> impl Strategy<Value = Step> {
    let changed = prop_oneof![Just(Changed::Account), Just(Changed::SellerAddress), Just(Changed::SellerVatId)];
    prop_oneof![
        3 => (0usize..2, 1u32..40).prop_map(|(project, quantity)| Step::Deliver(project, quantity)),
        1 => any::<prop::sample::Index>().prop_map(Step::Retract),
        3 => Just(Step::Close),
        3 => changed.prop_map(Step::Reissue),
        2 => Just(Step::WriteOff),
        2 => (0usize..3).prop_map(Step::Restate),
        1 => Just(Step::CloseNovember),
    ]
}

/// The state of October that the steps lead to.
struct Month {
    lake: TestLake,
    /// The project, the quantity, and whether the file counts, of each late file.
    files: Vec<(usize, u32, bool)>,
    price: usize,
    /// The number of changes of account and seller.
    version: usize,
    is_written_off: bool,
    is_november_closed: bool,
}

const PROJECTS: [&str; 2] = ["p", "q"];

impl Month {
    fn new(increases_as: &str) -> Self {
        let lake = TestLake::new()
            .config(format!("invoice_per = \"account\"\nclosing.charge_increases_as = \"{increases_as}\""))
            .config("closing.previous_identities = [\"FR45000000593\", \"FR78000000701\"]")
            .accounts(account("Acme", FRENCH))
            .rules(rules_at(0))
            .usage(["m,a,2026-10-01T10:00:00Z,90,p", "m,b,2026-10-02T10:00:00Z,20,q", "m,a,2026-11-02T10:00:00Z,7,p"]);
        lake.close(OCTOBER, "2026-12-01");
        let (files, is_written_off, is_november_closed) = (Vec::new(), false, false);
        Self { lake, files, price: 0, version: 0, is_written_off, is_november_closed }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Deliver(project, quantity) => {
                let (number, project_id) = (self.files.len(), PROJECTS[*project]);
                let record = format!("m,late-{number},2026-10-{}T10:00:00Z,{quantity},{project_id}", 10 + number);
                self.lake.deliver(&format!("late-{number}"), [record]);
                self.lake.succeeds(&["intake"]);
                self.files.push((*project, *quantity, true));
            }
            Step::Retract(index) => {
                let left: Vec<usize> = (0..self.files.len()).filter(|file| self.files[*file].2).collect();
                if !left.is_empty() {
                    let file = left[index.index(left.len())];
                    self.lake.retract(&format!("usage/late-{file}.csv"), "retracted");
                    self.files[file].2 = false;
                }
            }
            Step::Close => drop(self.lake.close(OCTOBER, "2026-12-01")),
            Step::Reissue(changed) => self.reissue(*changed),
            Step::WriteOff => self.write_off(),
            Step::Restate(price) => {
                self.price = *price;
                self.lake.set_rules(rules_at(self.price));
                self.lake.restate(OCTOBER, "2026-12-01", "another price");
                self.is_written_off = false;
            }
            Step::CloseNovember if !self.is_november_closed => {
                self.lake.close(NOVEMBER, "2026-12-01");
                self.is_november_closed = true;
            }
            Step::CloseNovember => {}
        }
    }

    fn reissue(&mut self, changed: Changed) {
        self.version += 1;
        match changed {
            Changed::Account => self.lake.set_accounts(account(&format!("Acme {}", self.version), FRENCH)),
            Changed::SellerAddress => self.lake.configure(format!("seller.address = [\"{} rue B\"]", self.version)),
            Changed::SellerVatId => {
                let vat_id = ["FR45000000593", "FR78000000701"][self.version % 2];
                self.lake.configure(format!("[seller]\nvat_id = \"{vat_id}\"\naddress = [\"{} rue C\"]", self.version));
            }
        }
        if let Some(number) = self.current() {
            self.lake.cancel(&[&number], "2026-12-01");
        }
    }

    /// Writes the amount off, unless an amount on the next invoice refuses it.
    fn write_off(&mut self) {
        let Some(number) = self.current() else { return };
        let approval = ["--approve", "--issue-date", "2026-12-01", "--reason", "goodwill"];
        let output = self.lake.output(&[&["cancel", &number, "--without-reissue"], &approval[..]].concat());
        let message = crate::test_lake::stderr_of(&output);
        assert!(output.status.success() || message.contains("is on the next invoice of the account"), "{message}");
        self.is_written_off |= output.status.success();
    }

    /// The number of the original that is not cancelled.
    fn current(&self) -> Option<String> {
        let mut rows = self.lake.rows_in("issued_document", OCTOBER);
        rows.sort_by_key(|row| row["chain_number"].parse::<u64>().unwrap());
        let mut current = None;
        for row in rows {
            match row.get("reason").map(String::as_str) {
                Some("cancelled") => current = None,
                Some("reissued") => current = Some(row["document_number"].clone()),
                _ => current = current.or(Some(row["document_number"].clone())),
            }
        }
        current
    }

    /// The net amount due for October, in cents: 110 GB and the late files that count, at the last price.
    fn due(&self) -> i64 {
        if self.is_written_off {
            return 0;
        }
        let late: i64 = self.files.iter().filter(|file| file.2).map(|file| i64::from(file.1)).sum();
        (110 + late) * price_of(self.price)
    }

    /// The net amount of all documents of October, with the amounts that later documents charge, in cents.
    fn charged(&self) -> i64 {
        let cents = |text: &str| -> i64 {
            let units: i64 = text.replace('.', "").parse().unwrap();
            assert_eq!(units % 100, 0, "{text}");
            units / 100
        };
        let rows = self.lake.rows_in("invoice", OCTOBER);
        rows.iter().map(|row| cents(&row["total_without_tax"]) + cents(&row["carried_forward"])).sum()
    }
}

proptest! {
    #![proptest_config(cases(3))]

    #[test]
    fn documents_of_a_month_sum_to_the_amount_due_after_any_corrections(
        steps in prop::collection::vec(step(), 3..9),
        is_separate in any::<bool>(),
    ) {
        let mut month = Month::new(if is_separate { "separate_invoice" } else { "next_invoice" });
        for step in &steps {
            month.apply(step);
        }
        month.lake.close(OCTOBER, "2026-12-01");
        prop_assert_eq!(month.charged(), month.due());
        prop_assert_eq!(month.lake.run_closed(OCTOBER), Vec::<String>::new());
        if !month.is_november_closed {
            month.lake.close(NOVEMBER, "2026-12-01");
        }
        assert_balanced(&month.lake, &[OCTOBER, NOVEMBER]);
        month.lake.assert_all_reproduced();
    }
}
