//! The sign-off of a month: who approved which documents, and which blockers were overridden for which reason.

use super::{OCTOBER, issued, lake};

/// The project `stranger` has no account. The close is forced and approved, then late usage is approved by another
/// person.
#[test]
fn a_forced_close_and_its_approval_are_visible_everywhere() {
    let lake = lake();
    lake.deliver("stranger", ["m,c,2026-10-03T10:00:00Z,1,stranger"]);
    let close = ["close", "--period", OCTOBER, "--issue-date", "2026-11-02"];
    let message = lake.fails(2, &[&close[..], &["--force"]].concat());
    assert!(message.contains("--reason <TEXT>"), "{message}");
    lake.fails(2, &[&close[..], &["--approved-by", ""]].concat());
    assert!(issued(&lake).is_empty());
    let forced = ["--force", "--reason", "a trial <of> stranger", "--approved-by", "A. Meyer"];
    lake.close_with(OCTOBER, "2026-11-02", &forced);
    lake.deliver("late", ["m,b,2026-10-09T10:00:00Z,10,q"]);
    lake.close_with(OCTOBER, "2026-11-03", &["--approved-by", "B. Weber"]);

    let blocker = "usage without an account, more than `max_unattributed` = 0: `stranger`";
    let audit = lake.succeeds(&["audit", "--period", OCTOBER]);
    let status = lake.succeeds(&["status"]);
    for text in [&audit, &status] {
        for part in ["A. Meyer", "B. Weber", "a trial <of> stranger", "unassigned usage", blocker] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
    }
    let index = lake.document(OCTOBER, "index.html");
    for part in ["A. Meyer", "B. Weber", "a trial &lt;of&gt; stranger", "Closed by force", blocker] {
        assert!(index.contains(part), "no `{part}` in {index}");
    }
    let closes = &lake.json(&["audit", "--period", OCTOBER])["closes"];
    let expected = serde_json::json!([
        {
            "commit": 1, "period": OCTOBER, "issue_date": "2026-11-02", "cause": "close",
            "approved_by": "A. Meyer", "reasons": ["a trial <of> stranger"],
            "overridden_blockers": [{ "kind": "unassigned_usage", "count": 1, "limit": 0, "detail": blocker }],
        },
        {
            "commit": 3, "period": OCTOBER, "issue_date": "2026-11-03", "cause": "late_usage",
            "approved_by": "B. Weber",
        },
    ]);
    assert_eq!(*closes, expected);
    let commits = &lake.json(&["status"])["commits"];
    assert_eq!([&commits[1]["close"], &commits[3]["close"]], [&expected[0], &expected[1]]);
    assert!(commits[0]["close"].is_null(), "{commits}");
    lake.assert_all_reproduced();
}

#[test]
fn a_restatement_records_who_approved_it() {
    let lake = lake();
    lake.close(OCTOBER, "2026-11-02");
    lake.replace("rules/rules.toml", "0.10", "0.20");
    let restate = ["restate", "--period", OCTOBER, "--issue-date", "2026-12-01", "--reason", "a mistake"];
    lake.fails(2, &[&restate[..], &["--approved-by", "A. Meyer"]].concat());
    lake.json(&[&restate[..], &["--approve", "--approved-by", "A. Meyer"]].concat());
    let closes = &lake.json(&["audit", "--period", OCTOBER])["closes"];
    assert_eq!(
        (closes[1]["cause"].as_str(), closes[1]["approved_by"].as_str()),
        (Some("changed_rule"), Some("A. Meyer"))
    );
    assert_eq!(closes[1]["reasons"], serde_json::json!(["a mistake"]));
    assert!(closes[0]["approved_by"].is_null());
    lake.assert_all_reproduced();
}
