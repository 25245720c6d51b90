//! A month that is closed stays closed: numbers, the chain, what is refused, and what is due when usage comes late.

use conto::storage::CommitKind;

use crate::crash::{conto, done, run};
use crate::world::{Setting, World, assert_same_files, block_on};

const HEADER: &str = "meter,resource_id,measured_at,quantity,project_id\n";

/// Two projects of one account; 0.10 for each of the first 100 GB of a project's month, 0.08 beyond.
fn world() -> World {
    let world = World::new(&Setting::default());
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("{config}[closing]\nincreases = \"document\"\n"));
    world.put("accounts.toml", account(""));
    world.put("rules/rules.toml", rules("0.08"));
    deliver(&world, "first", &["01,a,90,p", "02,b,20,q"]);
    world
}

fn account(more: &str) -> String {
    format!("[[account]]\nid = \"acme\"\nname = \"Acme\"\ncountry = \"FR\"\n{more}projects = [\"p\", \"q\"]\n")
}

fn rules(second_price: &str) -> String {
    format!(
        "currency = \"EUR\"\n[[meter]]\nname = \"m\"\naggregation = \"sum\"\nunit = \"GB\"\n\
         [[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"EGRESS\"\nservice = \"Network\"\ntiers = \"graduated\"\n\
         tier = [{{ up_to = \"100\", unit_price = \"0.10\" }}, {{ unit_price = \"{second_price}\" }}]\n\
         [[rule.example]]\nname = \"One\"\nquantity = \"1\"\ncost = \"0.10\"\n"
    )
}

/// Rows of `day,resource,quantity,project`.
fn deliver(world: &World, name: &str, rows: &[&str]) {
    let rows = rows.iter().map(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        format!("m,{},2026-10-{}T10:00:00Z,{},{}\n", cells[1], cells[0], cells[2], cells[3])
    });
    world.put(&format!("usage/{name}.csv"), format!("{HEADER}{}", rows.collect::<String>()));
}

#[track_caller]
fn refused(world: &World, arguments: &[&str], code: i32) -> String {
    let output = run(world, arguments);
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn close(world: &World, date: &str) -> String {
    done(world, &["close", "--period", "2026-10", "--issue-date", date])
}

/// Number, total with tax, what it corrects and why, in the order of the chain.
fn issued(world: &World) -> Vec<String> {
    let mut rows = world.rows("issued_document");
    rows.sort_by_key(|row| row["chain_number"].parse::<u64>().unwrap());
    let cell =
        |row: &std::collections::BTreeMap<String, String>, name: &str| row.get(name).cloned().unwrap_or_default();
    rows.iter()
        .map(|row| ["document_number", "total_with_tax", "corrects", "reason"].map(|name| cell(row, name)).join(" "))
        .map(|text| text.trim().to_owned())
        .collect()
}

fn lines(world: &World, number: &str) -> Vec<String> {
    let rows = world.rows("invoice_line");
    let of_document = rows.iter().filter(|row| row["invoice_number"] == number);
    of_document.map(|row| format!("{} at {}: {}", row["quantity"], row["unit_price"], row["net_amount"])).collect()
}

/// When the lines of a document were used.
fn days(world: &World, number: &str) -> Vec<String> {
    let rows = world.rows("invoice_line");
    let of_document = rows.iter().filter(|row| row["invoice_number"] == number);
    of_document.map(|row| format!("{} to {}", row["charge_period_start"], row["charge_period_end"])).collect()
}

#[test]
fn a_close_numbers_in_one_pass_and_late_usage_is_due_as_if_it_had_been_on_time() {
    let world = world();
    done(&world, &["run", "--period", "2026-10"]);
    close(&world, "2026-11-02");
    // 90 × 0.10 = 9.00 and 20 × 0.10 = 2.00, each with 20 percent.
    assert_eq!(issued(&world), ["INV-2026-00001 10.8000", "INV-2026-00002 2.4000"]);
    let first = world.documents("2026-10");
    assert!(close(&world, "2026-11-02").contains("Nothing is due for 2026-10 beyond what was issued."));
    // 30 more make 120: 10 fill the first tier, 20 are in the second. 1.00 + 1.60 = 2.60, with tax 3.12.
    deliver(&world, "late", &["09,a,30,p"]);
    let commits = world.snapshot().commits().len();
    let told = done(&world, &["run", "--period", "2026-10"]);
    assert!(told.contains("acme     p        2.60 EUR  late usage  invoice"), "{told}");
    assert_eq!(world.snapshot().commits().len(), commits + 1, "usage is taken in, nothing is drafted");
    assert_eq!(issued(&world).len(), 2);
    let told = close(&world, "2026-11-05");
    assert!(told.contains("Issued INV-2026-00003."), "{told}");
    assert_eq!(issued(&world)[2], "INV-2026-00003 3.1200 INV-2026-00001 late_usage");
    let expected = ["10.000000000 at 0.100000000000: 1.0000", "20.000000000 at 0.080000000000: 1.6000"];
    assert_eq!(lines(&world, "INV-2026-00003"), expected);
    // They are of the day that came late, and not of all days of the line that they add to.
    assert_eq!(days(&world, "INV-2026-00003"), ["2026-10-09 to 2026-10-10"; 2]);
    // Running again adds nothing.
    assert!(close(&world, "2026-11-06").contains("Nothing is due"));
    assert_eq!(issued(&world).len(), 3);
    // What was issued has the bytes it had.
    let now = world.documents("2026-10");
    for (name, bytes) in first.iter().filter(|(name, _)| name.contains("INV-")) {
        assert_eq!(bytes, &now[name], "{name}");
    }
    // The same usage on time gives the same sum: 100 × 0.10 + 20 × 0.08 = 11.60 = 9.00 + 2.60.
    done(&world, &["verify"]);
}

#[test]
fn changed_rules_reach_a_closed_month_only_through_a_restatement() {
    let world = world();
    deliver(&world, "more", &["09,a,30,p"]);
    close(&world, "2026-11-02");
    world.put("rules/rules.toml", rules("0.05"));
    assert!(done(&world, &["run", "--period", "2026-10"]).contains("nothing is due"));
    assert!(close(&world, "2026-11-03").contains("Nothing is due"));
    // 20 in the second tier at 0.05 instead of 0.08: 1.00 instead of 1.60.
    let shown = done(&world, &["restate", "--period", "2026-10"]);
    assert!(shown.contains("acme     p        -0.60 EUR  changed rule  credit note"), "{shown}");
    assert_eq!(issued(&world).len(), 2, "nothing is issued without --approve");
    refused(&world, &["restate", "--period", "2026-10", "--approve"], 2);
    let approve =
        ["restate", "--period", "2026-10", "--approve", "--issue-date", "2026-12-01", "--reason", "a mistake"];
    assert!(done(&world, &approve).contains("Issued CN-2026-00001."));
    assert_eq!(issued(&world)[2], "CN-2026-00001 -0.7200 INV-2026-00001 changed_rule");
    assert!(done(&world, &approve).contains("Nothing is due"));
    // From here on the restated rules are those of the period.
    deliver(&world, "late", &["10,a,10,p"]);
    let told = close(&world, "2026-12-02");
    assert!(told.contains("acme     p        0.50 EUR  late usage  invoice"), "{told}");
    let note = world.document("2026-10", "acme/CN-2026-00001.json");
    for text in ["\"document_kind\": \"credit_note\"", "\"amount_due\": \"0.72\"", "\"number\": \"INV-2026-00001\""] {
        assert!(note.contains(text), "no {text} in {note}");
    }
    let last = world.snapshot().last(conto::storage::CommitKind::Close, "2026-10").unwrap().sequence;
    let restated = block_on(world.lake().log_entry(last - 2)).unwrap();
    assert_eq!(restated.remarks, ["a mistake"]);
    done(&world, &["verify"]);
}

#[test]
fn what_speaks_against_a_close_is_told_and_can_be_overruled() {
    let world = world();
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put(
        "conto.toml",
        config.replacen("path = \"usage/*.csv*\"\n", "path = \"usage/*.csv*\"\nexpect_every = \"1d\"\n", 1),
    );
    deliver(&world, "stranger", &["03,c,1,stranger", "04,d,1,", "05,e,-1,p"]);
    let rules = rules("0.08") + "[[meter]]\nname = \"n\"\naggregation = \"sum\"\nunit = \"u\"\n";
    world.put("rules/rules.toml", rules);
    world.put("usage/unpriced.csv", format!("{HEADER}n,a,2026-10-05T10:00:00Z,1,p\n"));
    let told = refused(&world, &["close", "--period", "2026-10", "--issue-date", "2026-10-31"], 3);
    for reason in [
        "2026-10 ends on 2026-10-31",
        "the source `table` has no usage from 2026-10-05T10:00:00Z to 2026-11-01T00:00:00Z",
        "1 use of a resource on a date has no price",
        "1 record in files with usage of the period was rejected",
        "usage belongs to no account, more than `max_unattributed` = 0: `stranger`, usage without a project",
    ] {
        assert!(told.contains(reason), "no `{reason}` in {told}");
    }
    assert!(issued(&world).is_empty());
    done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-10-31", "--force"]);
    let last = world.snapshot().last(conto::storage::CommitKind::Close, "2026-10").unwrap().sequence;
    let remarks = block_on(world.lake().log_entry(last)).unwrap().remarks;
    assert_eq!(remarks.len(), 5, "{remarks:?}");
    assert!(remarks[0].starts_with("closed in spite of it: 2026-10 ends on"), "{remarks:?}");
}

#[test]
fn limits_of_the_configuration_let_pass_what_they_say() {
    let world = world();
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("{config}max_unattributed = 1\nmax_rejected = 1\n"));
    deliver(&world, "stranger", &["04,d,1,", "05,e,-1,p"]);
    close(&world, "2026-11-02");
}

#[test]
fn numbers_go_on_from_those_of_another_system_and_dates_never_go_back() {
    let world = world();
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    let closing = "invoice_prefix = \"R\"\n[[closing.opening]]\ndocument_kind = \"invoice\"\nyear = 2026\n\
                   number = 501\n";
    world.put("conto.toml", format!("{config}{closing}"));
    close(&world, "2026-11-02");
    assert_eq!(issued(&world), ["R2026-00501 10.8000", "R2026-00502 2.4000"]);
    world.put("usage/november.csv", format!("{HEADER}m,a,2026-11-01T10:00:00Z,1,p\n"));
    let told = refused(&world, &["close", "--period", "2026-11", "--issue-date", "2026-11-01", "--force"], 2);
    assert!(told.contains("`R2026-00502` was issued on 2026-11-02"), "{told}");
    done(&world, &["close", "--period", "2026-11", "--issue-date", "2026-12-31"]);
    assert_eq!(issued(&world)[2], "R2026-00503 0.1200");
    deliver(&world, "late", &["09,b,10,q"]);
    close(&world, "2027-01-02");
    assert_eq!(issued(&world)[3], "R2027-00001 1.2000 R2026-00502 late_usage", "each year of issue counts by itself");
    done(&world, &["verify"]);
}

#[test]
fn a_document_that_is_not_what_was_issued_breaks_the_chain() {
    let world = world();
    close(&world, "2026-11-02");
    let latest = std::fs::read_to_string(world.path("lake/documents/2026-10/latest")).unwrap();
    let path = format!("lake/documents/2026-10/{}/acme/INV-2026-00001.json", latest.trim());
    let document = std::fs::read_to_string(world.path(&path)).unwrap();
    world.put(&path, document.replace("9.00", "8.00"));
    let output = run(&world, &["verify"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("`INV-2026-00001` is not what was issued"), "{said}");
    world.remove(&path);
    let said = String::from_utf8_lossy(&run(&world, &["verify"]).stdout).into_owned();
    assert!(said.contains("`INV-2026-00001` is not there any more"), "{said}");
    world.put(&path, document);
    done(&world, &["verify"]);
    // Pages and CSV of an issued month stay as well.
    let page = path.replace(".json", ".html");
    let bytes = std::fs::read(world.path(&page)).unwrap();
    world.remove(&page);
    let output = run(&world, &["verify"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let missing = format!("`{}` is named by the log and is not there", page.strip_prefix("lake/").unwrap());
    assert!(output.status.code() == Some(1) && said.contains(&missing), "{said}");
    world.put(&page, bytes);
    done(&world, &["verify"]);
}

#[test]
fn any_past_entry_is_rebuilt_to_the_same_bytes_and_nothing_is_written() {
    let world = world();
    done(&world, &["run", "--period", "2026-10"]);
    world.put("rules/rules.toml", rules("0.07"));
    deliver(&world, "more", &["09,a,30,p"]);
    done(&world, &["run", "--period", "2026-10"]);
    close(&world, "2026-11-02");
    deliver(&world, "late", &["10,a,10,p"]);
    close(&world, "2026-11-03");
    world.put("rules/rules.toml", rules("0.01"));
    // Rules, accounts and sources of today play no part; what is rebuilt is not read from what was made.
    for name in ["usage/first.csv", "usage/more.csv", "usage/late.csv"] {
        world.remove(name);
    }
    let entries = block_on(world.lake().log()).unwrap();
    let mut rebuilt = 0;
    for entry in entries.iter().filter(|entry| entry.period.is_some()) {
        let before = world.files("lake");
        let hidden: Vec<_> = entry.added.iter().map(|file| file.path.clone()).collect();
        let of_documents = entry.documents.iter().map(|one| one.path.clone());
        let hidden: Vec<String> = hidden.into_iter().chain(of_documents).collect();
        // A document that an earlier close issued is not made again: it goes along.
        let hidden: Vec<&String> = hidden.iter().filter(|path| !path.contains("INV-")).collect();
        for path in &hidden {
            world.remove(&format!("lake/{path}"));
        }
        let said = done(&world, &["run", "--as-of", &entry.sequence.to_string()]);
        assert!(said.contains("0 differ."), "{said}");
        hidden.iter().for_each(|path| assert!(!world.path(&format!("lake/{path}")).exists(), "{path} was written"));
        for path in &hidden {
            world.put(&format!("lake/{path}"), &before[*path]);
        }
        rebuilt += 1;
    }
    assert_eq!(rebuilt, 4);
    let told = refused(&world, &["run", "--as-of", "0"], 2);
    assert!(told.contains("took usage in"), "{told}");
}

#[test]
fn two_closes_at_once_issue_once() {
    let (alone, both) = (world(), world());
    close(&alone, "2026-11-02");
    let arguments = ["close", "--period", "2026-10", "--issue-date", "2026-11-02"];
    let running: Vec<_> = (0..2).map(|_| conto(&both, &arguments, &[]).spawn().unwrap()).collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(issued(&alone), issued(&both));
    assert_same_files(&crate::crash::state(&alone.lake()), &crate::crash::state(&both.lake()), "two closes at once");
}

/// With what is given in `[closing]` by default: an increase goes on the next invoice.
fn next_invoice(world: &World) {
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", config.replace("increases = \"document\"\n", ""));
}

fn audited(world: &World, periods: &[&str]) {
    for period in periods {
        done(world, &["audit", "--period", period]);
    }
    done(world, &["verify"]);
}

#[test]
fn an_increase_stands_on_the_next_invoice_once() {
    let world = world();
    next_invoice(&world);
    close(&world, "2026-11-02");
    // 30 more in October: 10 at 0.10 and 20 at 0.08, 2.60.
    deliver(&world, "late", &["09,a,30,p"]);
    let told = close(&world, "2026-11-05");
    assert!(told.contains("acme     p        2.60 EUR  late usage  next invoice"), "{told}");
    assert!(told.contains("Nothing is issued now: the next invoices have it."), "{told}");
    assert_eq!(issued(&world).len(), 2);
    assert!(close(&world, "2026-11-06").contains("Nothing is due"));
    assert!(done(&world, &["run", "--period", "2026-10"]).contains("nothing is due"));
    // November: 10 at 0.10. With October's 2.60: 3.60, with 20 percent 4.32.
    world.put("usage/november.csv", format!("{HEADER}m,a,2026-11-03T10:00:00Z,10,p\n"));
    done(&world, &["run", "--period", "2026-11"]);
    done(&world, &["close", "--period", "2026-11", "--issue-date", "2026-12-01"]);
    assert_eq!(issued(&world)[2..], ["INV-2026-00003 4.3200"]);
    let expected = [
        "10.000000000 at 0.100000000000: 1.0000",
        "10.000000000 at 0.100000000000: 1.0000",
        "20.000000000 at 0.080000000000: 1.6000",
    ];
    assert_eq!(lines(&world, "INV-2026-00003"), expected);
    let page = world.document("2026-11", "acme/INV-2026-00003.html");
    assert_eq!(page.matches("Late usage · Corrects No. INV-2026-00001").count(), 2, "{page}");
    assert!(page.contains("9 October 2026 ·"), "the lines have their own period: {page}");
    // After November is closed, December is the next.
    deliver(&world, "later", &["10,a,10,p"]);
    close(&world, "2026-12-02");
    let nothing = done(&world, &["close", "--period", "2026-11", "--issue-date", "2026-12-02"]);
    assert!(nothing.contains("Nothing is due"), "{nothing}");
    done(&world, &["close", "--period", "2026-12", "--issue-date", "2027-01-02"]);
    assert_eq!(issued(&world)[3..], ["INV-2027-00001 0.9600"], "10 at 0.08, without any usage in December");
    audited(&world, &["2026-10", "2026-11"]);
}

/// Discounts lower what is due later as well; a credit is not drawn on again, and gets back what it paid too much.
#[test]
fn discounts_follow_and_credits_are_not_drawn_again() {
    let world = world();
    world.put("accounts.toml", account("invoice_per = \"account\"\n"));
    world.put(
        "rules/terms.toml",
        "currency = \"EUR\"\n[[discount]]\nid = \"ten\"\ndescription = \"Ten\"\naccounts = [\"acme\"]\n\
         percent = \"10\"\n\
         [[credit]]\nid = \"welcome\"\ndescription = \"Welcome\"\naccount = \"acme\"\nkind = \"promotional\"\n\
         amount = \"12.00\"\n",
    );
    let balance = |period: &str| {
        let rows = done(
            &world,
            &[
                "sql",
                &format!(
                    "SELECT used, closing_balance FROM credit_balance WHERE opening_balance {} 12",
                    if period == "2026-10" { "= 0 OR granted =" } else { "<> 0 AND granted <>" }
                ),
            ],
        );
        rows.lines().last().unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    // 9.00 and 2.00, less 10 percent: 9.90, which the credit pays. 2.10 of it are left.
    close(&world, "2026-11-02");
    assert_eq!(issued(&world), ["INV-2026-00001 0.0000"]);
    assert_eq!(balance("2026-10"), "9.9000 2.1000");
    // 2.60 more, less 0.26: 2.34 and 0.47 of tax.
    deliver(&world, "late", &["09,a,30,p"]);
    close(&world, "2026-11-05");
    assert_eq!(issued(&world)[1..], ["INV-2026-00002 2.8100 INV-2026-00001 late_usage"]);
    assert_eq!(balance("2026-10"), "9.9000 2.1000");
    // 0.05 in the first tier: 100 and 20 at 0.05, 20 at 0.08, 7.60, less 0.76: 6.84, which the credit pays. It gets
    // back 3.06 of 9.90, and the customer the 2.81 of the second invoice.
    world.put("rules/rules.toml", rules("0.08").replace("\"0.10\"", "\"0.05\""));
    let approve = ["restate", "--period", "2026-10", "--approve", "--issue-date", "2026-12-01", "--reason", "too dear"];
    done(&world, &approve);
    assert_eq!(issued(&world)[2..], ["CN-2026-00001 -2.8100 INV-2026-00001 changed_rule"]);
    assert_eq!(balance("2026-10"), "6.8400 5.1600");
    assert!(done(&world, &approve).contains("Nothing is due"));
    // November: 10 at 0.05 less 0.05: 0.45 of the credit's 5.16.
    world.put("usage/november.csv", format!("{HEADER}m,a,2026-11-03T10:00:00Z,10,p\n"));
    done(&world, &["close", "--period", "2026-11", "--issue-date", "2026-12-01"]);
    assert_eq!(balance("2026-11"), "0.4500 4.7100");
    audited(&world, &["2026-10", "2026-11"]);
}

/// Ten hours of ourselves and ten of somebody who is set aside come after the close. No document changes, and the books
/// have them all the same: 1.00 is internal, and of the 3.00 that are set aside 1.00 came late.
#[test]
fn late_usage_that_no_document_has_is_in_the_books() {
    let world = world();
    let more = "[[account]]\nid = \"ours\"\nname = \"Ours\"\ninternal = true\nprojects = [\"o\"]\n\
                [[account]]\nid = \"aside\"\nname = \"Aside\"\nprojects = [\"s\"]\n";
    world.put("accounts.toml", account("") + more);
    deliver(&world, "aside", &["03,s,20,s"]);
    done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-11-02", "--force"]);
    for (name, late, date) in [("ours", "04,o,10,o", "2026-11-03"), ("late", "04,s,10,s", "2026-11-04")] {
        deliver(&world, name, &[late]);
        let night = run(&world, &["run", "--period", "2026-10"]);
        let (said, hint) = (String::from_utf8_lossy(&night.stdout), String::from_utf8_lossy(&night.stderr));
        assert!(said.contains("nothing is due beyond what was issued"), "{said}");
        assert!(hint.contains("its books do not have all of its usage yet"), "{hint}");
        let told = refused(&world, &["audit", "--period", "2026-10"], 3);
        assert!(told.contains("metered usage: 1 resource-day"), "{told}");
        let said = close(&world, date);
        assert!(said.contains("Nothing is due for 2026-10 beyond what was issued; the books have"), "{said}");
        audited(&world, &["2026-10"]);
        let said = close(&world, date);
        assert!(said.ends_with("Nothing is due for 2026-10 beyond what was issued.\n"), "{said}");
    }
    let aside: Vec<String> = world.rows("suspended_account").iter().map(|row| row["contracted_cost"].clone()).collect();
    assert_eq!(aside, ["3.000000000000000000"]);
    assert_eq!(issued(&world).len(), 2, "those of the first close");
    done(&world, &["verify"]);
    let last = world.snapshot().last(CommitKind::Close, "2026-10").unwrap().sequence.to_string();
    let rebuilt = done(&world, &["run", "--as-of", &last]);
    assert!(rebuilt.contains("of which 0 differ"), "{rebuilt}");
}

/// What a commitment topped up is less where more was used.
#[test]
fn a_commitment_is_met_by_late_usage_first() {
    let world = world();
    world.put("accounts.toml", account("invoice_per = \"account\"\n"));
    world.put(
        "rules/terms.toml",
        "currency = \"EUR\"\n[[commitment]]\nid = \"floor\"\ndescription = \"Floor\"\naccount = \"acme\"\n\
         amount = \"20.00\"\n",
    );
    // 11.00 used, 9.00 to the 20.00.
    close(&world, "2026-11-02");
    assert_eq!(issued(&world), ["INV-2026-00001 24.0000"]);
    // 2.60 more are used, and 2.60 less topped up: nothing is due, and it is told.
    deliver(&world, "late", &["09,a,30,p"]);
    close(&world, "2026-11-05");
    assert_eq!(issued(&world)[1..], ["INV-2026-00002 0.0000 INV-2026-00001 late_usage"]);
    assert_eq!(lines(&world, "INV-2026-00002").last().unwrap(), "-1.000000000 at 2.600000000000: -2.6000");
    // 100 more at 0.08 make 21.60: 8.00 less the last 6.40 of the top-up.
    deliver(&world, "later", &["10,a,100,p"]);
    close(&world, "2026-11-06");
    assert_eq!(issued(&world)[2..], ["INV-2026-00003 1.9200 INV-2026-00001 late_usage"]);
    audited(&world, &["2026-10"]);
}

/// A delivery is taken back after the close, and another brings 50 GB of the 90. What was issued is explained by the
/// file that it was made from, whatever counts today, and its correction by the other one.
#[test]
fn an_issued_line_is_explained_by_files_that_were_taken_back_since() {
    let world = world();
    close(&world, "2026-11-02");
    deliver(&world, "second", &["01,a,50,p", "02,b,20,q"]);
    done(&world, &["withdraw", "--file", "usage/first.csv", "--reason", "a wrong export"]);
    close(&world, "2026-11-09");
    for before in [true, false] {
        for (line, file, other) in [("INV-2026-00001/1", "first", "second"), ("CN-2026-00001/1", "second", "first")] {
            let said = done(&world, &["explain", line]);
            let files = said.split("From samples in:").nth(1).unwrap_or_else(|| panic!("{said}"));
            assert!(files.contains(&format!("usage/{file}.csv")) && !files.contains(other), "{line}, {before}: {said}");
        }
        done(&world, &["vacuum", "--older-than", "0s"]);
    }
}

/// A correction is in the currency, at the rate and under the taxes of the month it corrects, whatever holds today.
#[test]
fn corrections_keep_currency_rate_and_taxes() {
    let world = world();
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("exchange_rates = \"rates.csv\"\n{config}"));
    world.put("rates.csv", "date,base,quote,rate\n2026-10-30,EUR,USD,1.10\n");
    world.put("accounts.toml", account("currency = \"USD\"\n"));
    let storage = "[[meter]]\nname = \"n\"\naggregation = \"sum\"\nunit = \"GB\"\n\
         [[rule]]\nid = \"s\"\nmeter = \"n\"\nsku = \"STORAGE\"\nservice = \"Storage\"\nunit_price = \"1.00\"\n\
         [[rule.example]]\nname = \"One\"\nquantity = \"1\"\ncost = \"1.00\"\n";
    world.put("rules/rules.toml", rules("0.08") + storage);
    let taxes = |rate: &str| {
        format!(
            "currency = \"EUR\"\n[[tax]]\nid = \"reduced\"\nname = \"VAT\"\ncategory = \"S\"\nrate = \"{rate}\"\n\
             when = \"sku = 'STORAGE'\"\n"
        )
    };
    world.put("rules/taxes.toml", taxes("5.5"));
    world.put("usage/storage.csv", format!("{HEADER}n,a,2026-10-01T10:00:00Z,10,p\n"));
    close(&world, "2026-11-02");
    // p: 9.00 EUR are 9.90 USD, and 10.00 are 11.00; 1.98 and 0.61 (of 0.605) of tax. q: 2.20 and 0.44.
    assert_eq!(issued(&world), ["INV-2026-00001 23.4900", "INV-2026-00002 2.6400"]);
    world.put("rates.csv", "date,base,quote,rate\n2026-10-30,EUR,USD,1.50\n");
    world.put("rules/taxes.toml", taxes("10"));
    deliver(&world, "late", &["09,a,10,p"]);
    world.put("usage/late-storage.csv", format!("{HEADER}n,a,2026-10-02T10:00:00Z,1,p\n"));
    close(&world, "2026-11-05");
    // 1.10 and 1.10 USD; 0.22 and 0.06 (of 0.0605) of tax.
    assert_eq!(issued(&world)[2..], ["INV-2026-00003 2.4800 INV-2026-00001 late_usage"]);
    audited(&world, &["2026-10"]);
}

/// A delivery that was wrong is taken back, and the right one is taken in.
#[test]
fn a_changed_record_is_told_from_a_late_one() {
    let world = world();
    deliver(&world, "wrong", &["09,a,30,p"]);
    close(&world, "2026-11-02");
    // 90 + 30: 10.00 and 20 × 0.08. q: 2.00.
    assert_eq!(issued(&world), ["INV-2026-00001 13.9200", "INV-2026-00002 2.4000"]);
    let told = refused(&world, &["withdraw", "--file", "nothing.csv", "--reason", "?"], 2);
    assert!(told.contains("no file that was read is `nothing.csv`"), "{told}");
    let said = done(&world, &["withdraw", "--file", "wrong.csv", "--reason", "30 should have been 25"]);
    assert!(said.starts_with("Took back 1 sample of "), "{said}");
    let said = done(&world, &["withdraw", "--file", "wrong.csv", "--reason", "again"]);
    assert!(said.contains("brought nothing that still counts"), "{said}");
    assert!(done(&world, &["run", "--period", "2026-10"]).contains("-2.60 EUR  changed record  credit note"));
    deliver(&world, "right", &["09,a,25,p"]);
    deliver(&world, "late", &["10,b,3,q"]);
    close(&world, "2026-11-05");
    // 25 in place of 30: 5 × 0.08 less. q: 3 × 0.10 more.
    let expected =
        ["CN-2026-00001 -0.4800 INV-2026-00001 changed_record", "INV-2026-00003 0.3600 INV-2026-00002 late_usage"];
    assert_eq!(issued(&world)[2..], expected);
    let rows = world.rows("withdrawn_sample");
    assert_eq!((rows.len(), &*rows[0]["quantity"], &*rows[0]["project_id"]), (1, "30.000000000", "p"));
    assert!(close(&world, "2026-11-06").contains("Nothing is due"));
    audited(&world, &["2026-10"]);
}

/// A record that was taken back and another that came late, of one project and meter: both lines have both reasons, and
/// the days of both. 95 were 9.50; 90 + 8 + 3 are 10.00 and 0.08. The other project's line has its own reason.
#[test]
fn a_line_that_changed_for_two_reasons_says_both() {
    let world = world();
    deliver(&world, "wrong", &["09,a,5,p"]);
    close(&world, "2026-11-02");
    done(&world, &["withdraw", "--file", "wrong.csv", "--reason", "5 should have been 8"]);
    deliver(&world, "right", &["09,a,8,p"]);
    deliver(&world, "late", &["11,c,3,p", "12,b,1,q"]);
    let told = close(&world, "2026-11-05");
    assert!(told.contains("acme     p        0.58 EUR  late and changed  invoice"), "{told}");
    assert!(told.contains("acme     q        0.10 EUR  late usage        invoice"), "{told}");
    let late = "INV-2026-00003 0.7000 INV-2026-00001 late_and_changed";
    assert_eq!(issued(&world)[2..], [late, "INV-2026-00004 0.1200 INV-2026-00002 late_usage"]);
    assert_eq!(days(&world, "INV-2026-00003"), ["2026-10-09 to 2026-10-12"; 2]);
    let page = world.document("2026-10", "acme/INV-2026-00003.html");
    assert!(page.contains("Late usage and corrected record"), "{page}");
    audited(&world, &["2026-10"]);
}

/// Money that was paid in before stays what the close left of it. Untaxed money paid the first invoice, 11.00 and 2.20;
/// what is due later is told and paid otherwise, more as less. What was taxed at its sale paid for 10.00 of lines and
/// gets back what it paid beyond the 7.60 that is due in the end.
#[test]
fn prepaid_money_is_not_drawn_again_by_corrections() {
    let prepaid = |taxed: &str| {
        let world = world();
        world.put("accounts.toml", account("invoice_per = \"account\"\n"));
        world.put(
            "rules/terms.toml",
            format!(
                "currency = \"EUR\"\n[[credit]]\nid = \"paid-in\"\naccount = \"acme\"\nkind = \"prepaid\"\n{taxed}\n"
            ),
        );
        close(&world, "2026-11-02");
        deliver(&world, "late", &["09,a,30,p"]);
        close(&world, "2026-11-05");
        world.put("rules/rules.toml", rules("0.08").replace("\"0.10\"", "\"0.05\""));
        let approve = ["restate", "--period", "2026-10", "--approve", "--issue-date", "2026-12-01", "--reason", "dear"];
        done(&world, &approve);
        audited(&world, &["2026-10"]);
        let rows = world.rows("invoice");
        let due = rows.iter().map(|row| {
            ["invoice_number", "total_with_tax", "prepaid_amount", "amount_due"].map(|name| row[name].clone()).join(" ")
        });
        let due: Vec<String> = due.collect();
        let balance = &world.rows("credit_balance")[0];
        (due, [&balance["used"], &balance["closing_balance"]].map(String::clone))
    };
    let (due, balance) = prepaid("taxed = \"at_use\"\namount = \"50.00\"");
    let expected = [
        "INV-2026-00001 13.2000 13.2000 0.0000",
        "INV-2026-00002 3.1200 0.0000 3.1200",
        "CN-2026-00001 -7.2000 0.0000 -7.2000",
    ];
    assert_eq!((due, balance), (expected.map(str::to_owned).to_vec(), ["13.2000", "36.8000"].map(str::to_owned)));
    let (due, balance) = prepaid("taxed = \"at_sale\"\ntax_category = \"S\"\ntax_rate = \"20\"\namount = \"10.00\"");
    let expected = [
        "INV-2026-00001 1.2000 0.0000 1.2000",
        "INV-2026-00002 3.1200 0.0000 3.1200",
        "CN-2026-00001 -4.3200 0.0000 -4.3200",
    ];
    assert_eq!((due, balance), (expected.map(str::to_owned).to_vec(), ["7.6000", "2.4000"].map(str::to_owned)));
}

/// The buyer abroad owes the tax: of what is due later too, although nothing says so any more today.
#[test]
fn corrections_stay_under_reverse_charge() {
    let world = world();
    let buyer =
        "vat_id = \"DE123456789\"\nvies = { valid = true, checked_on = 2026-09-30 }\ntax_profile = \"eu-business\"\n";
    world.put("accounts.toml", account(buyer).replace("\"FR\"", "\"DE\""));
    world.put(
        "rules/taxes.toml",
        "currency = \"EUR\"\n[[tax]]\nid = \"reverse-charge\"\nname = \"VAT\"\nprofile = \"eu-business\"\n\
         countries = [\"DE\"]\ncategory = \"AE\"\nexemption_reason = \"Reverse charge\"\n",
    );
    close(&world, "2026-11-02");
    world.put("rules/taxes.toml", "currency = \"EUR\"\n");
    world.put("accounts.toml", account(""));
    deliver(&world, "late", &["09,a,30,p"]);
    close(&world, "2026-11-05");
    let expected =
        ["INV-2026-00001 9.0000", "INV-2026-00002 2.0000", "INV-2026-00003 2.6000 INV-2026-00001 late_usage"];
    assert_eq!(issued(&world), expected);
    let taxes = world.rows("tax_breakdown");
    let late = taxes.iter().find(|row| row["invoice_number"] == "INV-2026-00003").unwrap();
    let told = ["tax_category", "taxable_amount", "tax_amount", "exemption_reason"].map(|name| late[name].clone());
    assert_eq!(told, ["AE", "2.6000", "0.0000", "Reverse charge"]);
    let note = world.document("2026-10", "acme/INV-2026-00003.json");
    assert!(note.contains("\"vat_id\": \"DE123456789\""), "{note}");
    let list = done(&world, &["export", "ec-sales", "--period", "2026-10"]);
    assert_eq!(list.lines().last(), Some("DE,DE123456789,3,3,13.60,EUR"), "what corrects is on the list too");
    audited(&world, &["2026-10"]);
}

#[test]
fn another_seller_counts_by_itself_under_a_prefix_of_its_own() {
    let world = world();
    close(&world, "2026-11-02");
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    let successor = config.replace("name = \"Seller\"", "name = \"Successor\"");
    world.put("conto.toml", successor.replace("FR45000000593", "FR77000000625"));
    world.put("usage/november.csv", format!("{HEADER}m,a,2026-11-01T10:00:00Z,1,p\n"));
    let november = ["close", "--period", "2026-11", "--issue-date", "2026-12-01"];
    let told = refused(&world, &november, 2);
    assert!(told.contains("the number `INV-2026-00001` was given by FR45000000593 in this lake"), "{told}");
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("{config}invoice_prefix = \"S-\"\n"));
    done(&world, &november);
    assert_eq!(issued(&world)[2..], ["S-2026-00001 0.1200"]);
    // What is late of the month before is issued by who issued it, under their numbers.
    deliver(&world, "late", &["09,b,10,q"]);
    close(&world, "2026-12-02");
    assert_eq!(issued(&world)[3..], ["INV-2026-00003 1.2000 INV-2026-00002 late_usage"]);
    done(&world, &["verify"]);
}

/// In the middle of the year the seller gets a VAT id, and then another name: nobody else issues documents, and the
/// numbers go on without a gap. The month that was closed under the old name goes on with them as well.
#[test]
fn a_seller_that_is_renamed_goes_on_with_its_numbers() {
    let world = world();
    let (number, id) = ("tax_number = \"44 000\"", "vat_id = \"FR45000000593\"");
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap().replace(id, number);
    world.put("conto.toml", &config);
    close(&world, "2026-11-02");
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    let registered = config.replace(number, id);
    world.put("conto.toml", &registered);
    world.put("usage/november.csv", format!("{HEADER}m,a,2026-11-01T10:00:00Z,1,p\nm,a,2026-12-01T10:00:00Z,2,p\n"));
    done(&world, &["close", "--period", "2026-11", "--issue-date", "2026-12-01"]);
    assert_eq!(issued(&world)[2..], ["INV-2026-00003 0.1200"]);
    let renamed = registered.replace("\"Seller\"", "\"Seller & Daughters\"").replace(id, number);
    world.put("conto.toml", &renamed);
    let december = ["close", "--period", "2026-12", "--issue-date", "2026-12-31", "--force"];
    let told = refused(&world, &december, 2);
    let was = "was given by Seller in this lake, and the seller is Seller & Daughters now";
    assert!(told.contains(was) && told.contains("`previous_identities = [\"Seller\"]`"), "{told}");
    world.put("conto.toml", format!("{renamed}previous_identities = [\"Seller\", \"FR45000000593\"]\n"));
    done(&world, &december);
    assert_eq!(issued(&world)[3..], ["INV-2026-00004 0.2400"]);
    deliver(&world, "late", &["09,b,10,q"]);
    close(&world, "2026-12-31");
    assert_eq!(issued(&world)[4..], ["INV-2026-00005 1.2000 INV-2026-00002 late_usage"]);
    let sellers: Vec<String> = world.rows("issued_document").iter().map(|row| row["number_series"].clone()).collect();
    assert_eq!(sellers, ["Seller"; 5]);
    done(&world, &["verify"]);
}

#[test]
fn a_gap_inside_of_a_file_is_missing_usage() {
    let world = world();
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    let expected = "path = \"usage/*.csv*\"\nexpect_every = \"2d\"\n";
    world.put("conto.toml", config.replacen("path = \"usage/*.csv*\"\n", expected, 1));
    let rows: Vec<String> =
        (1..=31).filter(|day| !(10..=12).contains(day)).map(|day| format!("{day:02},c,1,p")).collect();
    deliver(&world, "daily", &rows.iter().map(String::as_str).collect::<Vec<_>>());
    let told = refused(&world, &["close", "--period", "2026-10", "--issue-date", "2026-11-02"], 3);
    let missing = "the source `table` has no usage from 2026-10-09T10:00:00Z to 2026-10-13T10:00:00Z";
    assert!(told.contains(missing) && !told.contains("more gap"), "{told}");
}

/// What documents look like is kept as well: pictures and templates of then, wherever the files are by now.
#[test]
fn a_closed_month_keeps_its_look() {
    let world = world();
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    let config = config.replacen("currency =", "templates = \"look\"\ncurrency =", 1);
    world.put("conto.toml", config.replacen("[seller]\n", "[seller]\nlogo = \"logo.svg\"\n", 1));
    world.put("logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
    world.put("look/words/en.toml", "invoice = \"Bill\"\n");
    close(&world, "2026-11-02");
    world.put("logo.svg", "<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>");
    world.put("look/words/en.toml", "invoice = \"Receipt\"\n");
    deliver(&world, "late", &["09,a,30,p"]);
    close(&world, "2026-11-05");
    let page = world.document("2026-10", "acme/INV-2026-00003.html");
    assert!(page.contains("Bill") && !page.contains("Receipt"), "{page}");
    for entry in block_on(world.lake().log()).unwrap().iter().filter(|entry| entry.period.is_some()) {
        let said = done(&world, &["run", "--as-of", &entry.sequence.to_string()]);
        assert!(said.contains("0 differ."), "{said}");
    }
}

/// October and November, closed the other way round: the numbers go on, and no date goes back.
#[test]
fn months_are_closed_in_any_order_and_numbers_and_dates_rise_all_the_same() {
    let world = world();
    world.put("usage/november.csv", format!("{HEADER}m,a,2026-11-03T10:00:00Z,10,p\n"));
    done(&world, &["run", "--period", "2026-10"]);
    done(&world, &["close", "--period", "2026-11", "--issue-date", "2026-12-02"]);
    assert_eq!(issued(&world), ["INV-2026-00001 1.2000"]);
    let told = refused(&world, &["close", "--period", "2026-10", "--issue-date", "2026-12-01"], 2);
    assert!(told.contains("`INV-2026-00001` was issued on 2026-12-02, and numbers and dates rise together"), "{told}");
    close(&world, "2026-12-02");
    assert_eq!(issued(&world)[1..], ["INV-2026-00002 10.8000", "INV-2026-00003 2.4000"]);
    // What is late of either month is due for it, and corrects its own documents.
    world.put("usage/late.csv", format!("{HEADER}m,a,2026-10-30T10:00:00Z,1,p\nm,a,2026-11-30T10:00:00Z,2,p\n"));
    close(&world, "2026-12-03");
    done(&world, &["close", "--period", "2026-11", "--issue-date", "2026-12-03"]);
    let late = ["INV-2026-00004 0.1200 INV-2026-00002 late_usage", "INV-2026-00005 0.2400 INV-2026-00001 late_usage"];
    assert_eq!(issued(&world)[3..], late);
    audited(&world, &["2026-10", "2026-11"]);
}

/// 30.00 a month in advance, and a credit of 12.00. November was closed without October: it charged itself and
/// December, and drew on the whole credit. October would charge November once more and draw on what is not there.
#[test]
fn a_month_that_an_other_one_counts_on_is_closed_first() {
    let world = world();
    let terms = |fee: &str, credit: &str| {
        format!(
            "[[recurring]]\nid = \"plan\"\nper = \"project\"\nbilled = \"in_advance\"\nunit_price = \"30.00\"\n{fee}\n\
             [[recurring.example]]\nname = \"A month\"\ncost = \"30.00\"\n\
             [[credit]]\nid = \"welcome\"\naccount = \"acme\"\nkind = \"promotional\"\namount = \"12.00\"\n{credit}\n"
        )
    };
    world.put("rules/terms.toml", terms("", ""));
    done(&world, &["close", "--period", "2026-11", "--issue-date", "2026-12-01"]);
    let told = refused(&world, &["close", "--period", "2026-10", "--issue-date", "2026-12-02"], 3);
    let fees =
        "2026-11 is closed already and has charged its own fees, which 2026-10 would charge in advance once more";
    assert!(told.contains(fees) && told.contains("`valid_to = 2026-11-01`"), "{told}");
    let drawn = "2026-11 is closed already and has drawn on what 2026-10 draws of the credit `welcome`";
    assert!(told.contains(drawn) && told.contains("`valid_from = 2026-11-01`"), "{told}");
    world.put("rules/terms.toml", terms("valid_to = 2026-11-01", "valid_from = 2026-11-01"));
    close(&world, "2026-12-02");
    // Two projects: 30.00 and 9.00, 30.00 and 2.00, with 20 percent.
    assert_eq!(issued(&world)[2..], ["INV-2026-00003 46.8000", "INV-2026-00004 38.4000"]);
    // December goes on from November, where nothing is owed before January.
    world.put("rules/terms.toml", terms("", ""));
    done(&world, &["run", "--period", "2026-12"]);
    let told = refused(&world, &["close", "--period", "2027-01", "--issue-date", "2027-02-01"], 3);
    assert!(told.contains("2026-12 is billed and not closed, and charges fees of 2027-01 in advance"), "{told}");
    done(&world, &["audit", "--period", "2026-10"]);
    done(&world, &["verify"]);
}

/// 2.00 of October are too little for an invoice, and stand on November's. November closed first would charge them, and
/// October, to which 4.00 more come, would as well.
#[test]
fn a_month_that_leaves_something_to_the_next_is_closed_before_it() {
    let world = world();
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("minimum_invoice_amount = \"5.00\"\n{config}"));
    world.put("usage/november.csv", format!("{HEADER}m,b,2026-11-03T10:00:00Z,40,q\n"));
    done(&world, &["run", "--period", "2026-10"]);
    let november = ["close", "--period", "2026-11", "--issue-date", "2026-12-01"];
    let told = refused(&world, &november, 3);
    let first = "2026-10 is billed and not closed, and 2026-11 charges 2.00 EUR of acme which 2026-10 leaves to the \
                 next invoice: close 2026-10 first";
    assert!(told.contains(first), "{told}");
    done(&world, &[&november[..], &["--force"]].concat());
    // 4.00 and 2.00, with 20 percent.
    assert_eq!(issued(&world), ["INV-2026-00001 7.2000"]);
    deliver(&world, "late", &["09,b,40,q"]);
    let october = ["close", "--period", "2026-10", "--issue-date", "2026-12-02"];
    let told = refused(&world, &october, 3);
    let twice = "2026-11 is closed already and has charged 2.00 EUR of acme which 2026-10 left to the next invoice, \
                 and 2026-10 leaves nothing now";
    assert!(told.contains(twice) && told.contains("`valid_to = 2026-11-01`"), "{told}");
    // As it was left it is charged once: the other project's 9.00 are all that October still has to charge.
    done(&world, &["withdraw", "--file", "late.csv", "--reason", "a mistake"]);
    done(&world, &october);
    assert_eq!(issued(&world)[1..], ["INV-2026-00002 10.8000"]);
    done(&world, &["close", "--period", "2026-12", "--issue-date", "2027-01-02"]);
    assert_eq!(issued(&world).len(), 2, "nothing is left to December");
    audited(&world, &["2026-10", "2026-11", "2026-12"]);
}

/// 9.90 less at 20 percent and 10.00 more at 5.5: 0.10 more without tax, and 1.33 less with it (1.98 less, 0.55 more).
/// The other way round it is 0.10 less without tax and 1.33 more with it.
#[test]
fn more_and_less_are_told_by_the_total_with_tax() {
    let mixed = |wrong: &str, late: &str| {
        let world = world();
        next_invoice(&world);
        let storage = "[[meter]]\nname = \"n\"\naggregation = \"sum\"\nunit = \"GB\"\n\
             [[rule]]\nid = \"s\"\nmeter = \"n\"\nsku = \"STORAGE\"\nservice = \"Storage\"\nunit_price = \"1.00\"\n\
             [[rule.example]]\nname = \"One\"\nquantity = \"1\"\ncost = \"1.00\"\n";
        world.put("rules/rules.toml", rules("0.08").replace("\"100\"", "\"1000\"") + storage);
        world.put(
            "rules/taxes.toml",
            "currency = \"EUR\"\n[[tax]]\nid = \"reduced\"\nname = \"VAT\"\ncategory = \"S\"\nrate = \"5.5\"\n\
             when = \"sku = 'STORAGE'\"\n",
        );
        world.put("usage/wrong.csv", format!("{HEADER}{wrong}"));
        close(&world, "2026-11-02");
        done(&world, &["withdraw", "--file", "wrong.csv", "--reason", "of another"]);
        world.put("usage/late.csv", format!("{HEADER}{late}"));
        let told = close(&world, "2026-11-05");
        let told = told.lines().find(|line| line.starts_with("acme ")).unwrap().to_owned();
        audited(&world, &["2026-10"]);
        (told.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect::<Vec<_>>().join(", "), issued(&world))
    };
    let (egress, storage) = ("m,a,2026-10-09T10:00:00Z,99,p\n", "n,a,2026-10-09T10:00:00Z,10,p\n");
    let (told, documents) = mixed(egress, storage);
    assert_eq!(told, "acme, p, 0.10 EUR, late and changed, credit note");
    assert_eq!(documents[2..], ["CN-2026-00001 -1.3300 INV-2026-00001 late_and_changed"]);
    let (told, documents) = mixed(storage, egress);
    assert_eq!(told, "acme, p, -0.10 EUR, late and changed, next invoice");
    assert_eq!(documents.len(), 2, "{documents:?}");
}

/// A restatement changes price, tariff and fee. What was issued before is explained by what it was issued under, and
/// what the restatement issued by its own.
#[test]
fn an_issued_line_is_explained_by_what_it_was_issued_under() {
    let world = world();
    let fee = |id: &str, percent: &str| {
        format!(
            "currency = \"EUR\"\n[[fee]]\nid = \"{id}\"\nservice = \"Support\"\nsku = \"SUPPORT\"\n\
             description = \"Support\"\nper = \"project\"\nbase = \"after_discounts\"\npercent = \"{percent}\"\n"
        )
    };
    world.put("rules/fees.toml", fee("care", "10"));
    close(&world, "2026-11-02");
    let explain = |line: &str| done(&world, &["explain", line]);
    let (usage, support) = (explain("INV-2026-00001/1"), explain("INV-2026-00001/2"));
    assert!(usage.contains("90 GB at 0.10 EUR: 9.00 EUR") && usage.contains("usage/first.csv"), "{usage}");
    assert!(support.contains("asked for by care at"), "{support}");
    world.put("rules/rules.toml", rules("0.08").replace("\"0.10\"", "\"0.05\"").replace("id = \"r\"", "id = \"t\""));
    world.put("rules/fees.toml", fee("plan", "10"));
    done(
        &world,
        &["restate", "--period", "2026-10", "--approve", "--issue-date", "2026-12-01", "--reason", "too dear"],
    );
    done(&world, &["compact", "--least-files", "2"]);
    done(&world, &["vacuum", "--older-than", "0s"]);
    assert_eq!(explain("INV-2026-00001/1"), usage);
    assert_eq!(explain("INV-2026-00001/2"), support);
    let restated = explain("CN-2026-00001");
    assert!(restated.contains("rule t at") && restated.contains("asked for by plan at"), "{restated}");
}

/// A question of a month that the engine would read by itself is refused where a file is not what the log names.
#[test]
fn what_is_asked_of_a_damaged_month_is_refused() {
    let world = world();
    done(&world, &["run", "--period", "2026-10"]);
    let file = world.snapshot().files("sample").next().unwrap().path.clone();
    let path = world.path(&format!("lake/{file}"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for question in [
        &["status", "--gaps", "2026-10"][..],
        &["status", "--unconfirmed", "2026-10"],
        &["explain", "DRAFT-2026-10-p/1"],
    ] {
        let told = refused(&world, question, 1);
        assert!(told.contains(&format!("`{file}` in the lake is damaged")) && told.contains("hint: restore"), "{told}");
    }
}

/// VAT falls to 10 percent in November, the dollar from 1.10 to 1.50: the tax point decides for the close and for all
/// that corrects it.
#[test]
fn the_tax_point_is_the_last_day_of_the_month_or_what_the_close_says() {
    let world = |close: &[&str]| {
        let world = world();
        let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
        world.put("conto.toml", format!("exchange_rates = \"rates.csv\"\n{config}"));
        world.put("rates.csv", "date,base,quote,rate\n2026-10-30,EUR,USD,1.10\n2026-11-01,EUR,USD,1.50\n");
        world.put("accounts.toml", account("currency = \"USD\"\n"));
        let tax = |id: &str, rate: &str, validity: &str| {
            format!("[[tax]]\nid = \"{id}\"\nname = \"VAT\"\ncategory = \"S\"\nrate = \"{rate}\"\n{validity}\n")
        };
        let taxes = tax("old", "20", "valid_to = 2026-11-01") + &tax("new", "10", "valid_from = 2026-11-01");
        world.put("rules/taxes.toml", format!("currency = \"EUR\"\n{taxes}"));
        let october = ["close", "--period", "2026-10", "--issue-date", "2026-11-02"];
        done(&world, &[&october[..], close].concat());
        deliver(&world, "late", &["09,b,10,q"]);
        self::close(&world, "2026-11-05");
        audited(&world, &["2026-10"]);
        for entry in block_on(world.lake().log()).unwrap().iter().filter(|entry| entry.period.is_some()) {
            let said = done(&world, &["run", "--as-of", &entry.sequence.to_string()]);
            assert!(said.contains("0 differ."), "{said}");
        }
        world
    };
    // 9.00 and 2.00 EUR are 9.90 and 2.20 USD, and 1.00 EUR is 1.10.
    let october = world(&[]);
    let expected =
        ["INV-2026-00001 11.8800", "INV-2026-00002 2.6400", "INV-2026-00003 1.3200 INV-2026-00002 late_usage"];
    assert_eq!(issued(&october), expected);
    // Or 13.50 and 3.00, and 1.50.
    let november = world(&["--tax-point", "2026-11-02"]);
    let expected =
        ["INV-2026-00001 14.8500", "INV-2026-00002 3.3000", "INV-2026-00003 1.6500 INV-2026-00002 late_usage"];
    assert_eq!(issued(&november), expected);
    let taxes =
        |world: &World| world.rows("tax_breakdown").iter().map(|row| row["tax_rate"].clone()).collect::<Vec<_>>();
    assert_eq!((taxes(&october), taxes(&november)), (vec!["20.0000".to_owned(); 3], vec!["10.0000".to_owned(); 3]));
    let points: Vec<String> = november.rows("issued_document").iter().map(|row| row["tax_point"].clone()).collect();
    assert_eq!(points, ["2026-11-02"; 3]);
    let page = |world: &World| world.document("2026-10", "acme/INV-2026-00001.html");
    assert!(page(&november).contains("<dt>Tax point</dt><dd>2 November 2026</dd>"), "{}", page(&november));
    assert!(!page(&october).contains("Tax point"), "what is no other than the period says need not be said");
    let late = ["close", "--period", "2026-10", "--issue-date", "2026-11-06", "--tax-point", "2026-10-31"];
    let told = refused(&november, &late, 2);
    assert!(told.contains("2026-10 was closed with the tax point 2026-11-02"), "{told}");
}

/// A minimum of 5.00 for each project's month. 2.00 were used, and 3.00 stand on a line of their own; with 4.00 more it
/// is met by usage, and 1.00 is due: as if it had been on time.
#[test]
fn a_minimum_comes_out_as_if_late_usage_had_been_on_time() {
    let world = world();
    world.put("rules/rules.toml", rules("0.08").replace("tiers =", "minimum = \"5.00\"\ntiers ="));
    close(&world, "2026-11-02");
    assert_eq!(issued(&world), ["INV-2026-00001 10.8000", "INV-2026-00002 6.0000"]);
    deliver(&world, "late", &["09,b,40,q"]);
    close(&world, "2026-11-05");
    assert_eq!(issued(&world)[2..], ["INV-2026-00003 1.2000 INV-2026-00002 late_usage"]);
    let mut found = lines(&world, "INV-2026-00003");
    found.sort();
    assert_eq!(found, ["-1.000000000 at 3.000000000000: -3.0000", "40.000000000 at 0.100000000000: 4.0000"]);
    audited(&world, &["2026-10"]);
}

/// A newer program that makes the same of a month goes on with it; one that makes something else does not reach it by
/// late usage, and is told as a changed rule where somebody restates. The log is made to say that another version
/// closed the month, and then that its rules asked for less.
#[test]
fn a_newer_program_reaches_a_closed_month_only_through_a_restatement() {
    let world = world();
    close(&world, "2026-11-02");
    let entry = "lake/log/00000000000000000001.json";
    let written = std::fs::read_to_string(world.path(entry)).unwrap();
    let version = format!("\"program_version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(written.contains(&version), "{written}");
    let older = written.replace(&version, "\"program_version\": \"0.0.7\"");
    world.put(entry, &older);
    deliver(&world, "late", &["09,a,30,p"]);
    assert!(done(&world, &["run", "--period", "2026-10"]).contains("2.60 EUR  late usage"));
    world.put(entry, older.replace("unit_price = \\\"0.10\\\"", "unit_price = \\\"0.09\\\""));
    let october = ["close", "--period", "2026-10", "--issue-date", "2026-11-05"];
    for command in [&["run", "--period", "2026-10"][..], &october] {
        let told = refused(&world, command, 2);
        assert!(told.contains("2026-10 was closed by conto 0.0.7"), "{told}");
        assert!(told.contains("`conto restate --period 2026-10` brings this one to it"), "{told}");
    }
    // By the rules of today, 120 GB are 11.60: 2.60 more than was issued, and not by usage alone.
    let shown = done(&world, &["restate", "--period", "2026-10"]);
    assert!(shown.contains("acme     p        2.60 EUR  changed rule"), "{shown}");
    assert_eq!(issued(&world).len(), 2);
}

/// An account pays in dollars: 9.00 euros at 1.10 are 9.90 dollars. The rate was wrong, and at 1.20 they are 10.80.
/// What was issued is audited at the rate that it was issued at.
#[test]
fn a_restatement_at_another_rate_leaves_what_was_issued_at_its_own() {
    let world = world();
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("exchange_rates = \"rates.csv\"\n{config}"));
    world.put("accounts.toml", account("currency = \"USD\"\n"));
    world.put("rates.csv", "date,base,quote,rate\n2026-10-30,EUR,USD,1.10\n");
    close(&world, "2026-11-02");
    world.put("rates.csv", "date,base,quote,rate\n2026-10-30,EUR,USD,1.20\n");
    let approve = ["--approve", "--issue-date", "2026-12-01", "--reason", "another rate"];
    done(&world, &[&["restate", "--period", "2026-10"][..], &approve].concat());
    // 0.90 and 0.20 dollars more, with 20 percent.
    assert_eq!(
        issued(&world)[2..],
        ["INV-2026-00003 1.0800 INV-2026-00001 changed_rule", "INV-2026-00004 0.2400 INV-2026-00002 changed_rule"]
    );
    audited(&world, &["2026-10"]);
    let explained = |line: &str| done(&world, &["explain", line]);
    assert!(explained("INV-2026-00001/1").contains("1 EUR = 1.1 USD"));
    assert!(explained("INV-2026-00003/1").contains("1 EUR = 1.2 USD"));
}

/// 90 and 30 GB of one hour are 120 by their sum, 11.60, and 90 by the larger, 9.00. The restatement that changed the
/// meter is compared with what another program makes of it as it was metered then: its samples are gone.
#[test]
fn a_restatement_whose_samples_are_gone_is_compared_with_another_program() {
    let world = world();
    world.put("usage/more.csv", format!("{HEADER}m,a,2026-10-01T10:30:00Z,30,p\n"));
    close(&world, "2026-11-02");
    world.put("rules/rules.toml", rules("0.08").replace("\"sum\"", "\"max\""));
    let approve = ["--approve", "--issue-date", "2026-11-05", "--reason", "the larger counts"];
    done(&world, &[&["restate", "--period", "2026-10"][..], &approve].concat());
    assert_eq!(issued(&world)[2..], ["CN-2026-00001 -3.1200 INV-2026-00001 changed_rule"]);
    done(&world, &["expire", "--through", "2026-10"]);
    done(&world, &["vacuum", "--older-than", "0s"]);
    let log = std::fs::read_dir(world.path("lake/log")).unwrap();
    let entries =
        log.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
    let restated = entries.into_iter().find(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.contains("\"reason\": \"changed_rule\"")
    });
    let restated = restated.unwrap();
    let version = format!("\"program_version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let written = std::fs::read_to_string(&restated).unwrap();
    assert!(written.contains(&version), "{written}");
    std::fs::write(&restated, written.replace(&version, "\"program_version\": \"0.0.7\"")).unwrap();
    let told = done(&world, &["run", "--period", "2026-10"]);
    assert!(told.contains("closed, and nothing is due"), "{told}");
}

/// The account pays in dollars, as it turns out after the close. What was issued in euros is taken back in euros, and
/// what is due in dollars is charged in dollars: one document has one currency.
#[test]
fn a_restatement_in_another_currency_is_two_documents() {
    let world = world();
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("exchange_rates = \"rates.csv\"\n{config}"));
    world.put("rates.csv", "date,base,quote,rate\n2026-10-30,EUR,USD,1.10\n");
    close(&world, "2026-11-02");
    world.put("accounts.toml", account("currency = \"USD\"\n"));
    let restate = ["restate", "--period", "2026-10"];
    let shown = done(&world, &restate);
    for told in ["p        -9.00 EUR  changed rule  credit note", "p         9.90 USD  changed rule  invoice"] {
        assert!(shown.contains(told), "{shown}");
    }
    let approve = ["--approve", "--issue-date", "2026-12-01", "--reason", "in dollars"];
    done(&world, &[&restate[..], &approve].concat());
    // 9.90 and 2.20 USD, with 20 percent.
    let mut rows = world.rows("issued_document");
    rows.retain(|row| row.contains_key("reason"));
    let mut found: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row["total_with_tax"], row["currency"])).collect();
    found.sort();
    assert_eq!(found, ["-10.8000 EUR", "-2.4000 EUR", "11.8800 USD", "2.6400 USD"]);
    let lines = world.rows("invoice_line");
    for (number, currency) in rows.iter().map(|row| (&row["document_number"], &row["currency"])) {
        let mut of_document = lines.iter().filter(|line| line["invoice_number"] == *number).peekable();
        assert!(of_document.peek().is_some(), "{number}");
        assert!(of_document.all(|line| line["currency"] == *currency), "{number}");
    }
    assert!(done(&world, &restate).contains("Nothing is due"));
    audited(&world, &["2026-10"]);
}

/// The account has been a reseller's customer all along, as it turns out after the close: what the seller issued to it
/// is taken back by the seller, the reseller issues its own, and owes for the same usage.
#[test]
fn a_restatement_under_another_seller_is_two_documents() {
    let world = world();
    let reseller = "[[account]]\nid = \"R\"\nname = \"Reseller\"\ncountry = \"FR\"\nvat_id = \"FR77000000625\"\n";
    world.put("accounts.toml", account("") + reseller);
    close(&world, "2026-11-02");
    world.put("accounts.toml", account("parent = \"R\"\n") + reseller);
    let restate = ["restate", "--period", "2026-10"];
    done(&world, &[&restate[..], &["--approve", "--issue-date", "2026-12-01", "--reason", "sold by R"]].concat());
    let mut found = issued(&world);
    found.sort();
    let expected = [
        "CN-2026-00001 -10.8000 INV-2026-00001 changed_rule",
        "CN-2026-00002 -2.4000 INV-2026-00002 changed_rule",
        "INV-2026-00001 10.8000",
        "INV-2026-00002 2.4000",
        "INV-2026-00003 10.8000  changed_rule",
        "INV-2026-00004 2.4000  changed_rule",
        "INV-R-2026-00001 10.8000  changed_rule",
        "INV-R-2026-00002 2.4000  changed_rule",
    ];
    assert_eq!(found, expected);
    assert!(done(&world, &restate).contains("Nothing is due"));
    audited(&world, &["2026-10"]);
}

/// The customer has another number by now, and its old account is gone: the credit note names it all the same, as the
/// close knew it.
#[test]
fn a_credit_note_names_its_buyer_though_the_account_is_gone() {
    let world = world();
    close(&world, "2026-11-02");
    world.put("accounts.toml", account("").replace("\"acme\"", "\"c-17\"").replace("\"Acme\"", "\"Acme & Sons\""));
    let restate = ["restate", "--period", "2026-10"];
    done(&world, &[&restate[..], &["--approve", "--issue-date", "2026-12-01", "--reason", "merged"]].concat());
    let note = world.document("2026-10", "acme/CN-2026-00001.json");
    assert!(note.contains("\"name\": \"Acme\"") && note.contains("\"country\": \"FR\""), "{note}");
    let invoice = world.document("2026-10", "c-17/INV-2026-00003.json");
    assert!(invoice.contains("\"name\": \"Acme & Sons\""), "{invoice}");
    let last = world.snapshot().last(conto::storage::CommitKind::Close, "2026-10").unwrap().sequence;
    assert!(done(&world, &["run", "--as-of", &last.to_string()]).contains("0 differ."));
    assert!(done(&world, &restate).contains("Nothing is due"));
    audited(&world, &["2026-10"]);
}
