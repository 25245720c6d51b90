//! Tests that kill the program while it writes. Afterwards, the lake is undamaged, and the repeated command gives the
//! result of an undisturbed run.
//!
//! By default, a few kills happen at pseudorandom steps with a fixed seed. `CONTO_KILLS=1000 cargo test crash` runs
//! more kills, and `CONTO_SEED` sets another seed. A kill is `kill -9` at a numbered step of the program
//! (`CONTO_TEST_KILL_AT`, in development builds), or a signal from the test after a random time.

use std::process::Command;
use std::time::Duration;

use conto::storage::{CommitKind, Lake};

use crate::test_lake::{TestLake, assert_manifests, assert_same_files, block_on, state, stderr_of};

/// One step of a case. A killed command is repeated until it ends by itself.
enum Step {
    /// Writes a file of usage.
    Deliver(&'static str, Vec<String>),
    Run(&'static [&'static str]),
}

/// The steps of a case: two nights of a small cloud, the close of the month, maintenance, and late usage.
fn steps_of_two_nights() -> Vec<Step> {
    let rows = |days: std::ops::Range<u32>| -> Vec<String> {
        let rows = days.flat_map(|day| {
            [("a", "p"), ("b", "q")].map(|(resource, project)| {
                format!("m,{resource},2026-10-{day:02}T10:00:00Z,{day}.5,{project},{resource}{day}")
            })
        });
        rows.collect()
    };
    vec![
        Step::Deliver("first", rows(1..4)),
        Step::Run(&["run", "--period", "2026-10"]),
        Step::Deliver("second", rows(3..6)),
        Step::Run(&["run", "--period", "2026-10"]),
        Step::Run(&["close", "--period", "2026-10", "--issue-date", "2026-11-02"]),
        Step::Run(&["lake", "compact", "--least-files", "2"]),
        Step::Run(&["lake", "vacuum", "--older-than", "0s"]),
        Step::Deliver("late", rows(6..8)),
        Step::Run(&["close", "--period", "2026-10", "--issue-date", "2026-11-05"]),
    ]
}

/// A small generator of pseudorandom numbers. The same seed gives the same kills.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs a command and returns its output; `None` if the command was killed.
fn run_to_end(mut command: Command, kill_after: Option<Duration>) -> Option<std::process::Output> {
    let mut child = command.spawn().unwrap();
    if let Some(time) = kill_after {
        std::thread::sleep(time);
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    output.status.code().is_some().then_some(output)
}

/// Runs all steps with up to `kills_wanted` kills, and returns the number of kills.
fn run_steps(
    test_lake: &TestLake,
    lake: &Lake,
    variables: &[(String, String)],
    rng: &mut Rng,
    kills_wanted: u64,
    steps: u64,
) -> u64 {
    let mut kills = 0;
    for step in steps_of_two_nights() {
        match step {
            Step::Deliver(name, content) => test_lake.deliver_with("record_id", name, content),
            Step::Run(arguments) => loop {
                let mut variables = variables.to_vec();
                let mut kill_after = None;
                if kills < kills_wanted {
                    if rng.below(8) == 0 {
                        kill_after = Some(Duration::from_millis(rng.below(700)));
                    } else {
                        variables.push(("CONTO_TEST_KILL_AT".to_owned(), (1 + rng.below(steps)).to_string()));
                    }
                }
                let mut command = test_lake.command(arguments);
                command.envs(variables);
                match run_to_end(command, kill_after) {
                    Some(output) => {
                        let message = stderr_of(&output);
                        assert!(output.status.success(), "{arguments:?} failed after {kills} kills: {message}");
                        break;
                    }
                    None => kills += 1,
                }
                let found = block_on(lake.verify_all()).unwrap();
                assert!(found.damaged.is_empty(), "after kill {kills}: {found:?}");
            },
        }
    }
    kills
}

/// Kills runs, and compares their lakes with an undisturbed lake. `name_of` gives the path or URL of each new lake.
#[allow(clippy::print_stdout, reason = "the long form shows its progress")]
pub(crate) fn survive(
    name_of: impl Fn(u64) -> String,
    open: impl Fn(&str) -> Lake,
    variables: &[(String, String)],
    default: u64,
) {
    let wanted = number("CONTO_KILLS", default);
    let mut rng = Rng(number("CONTO_SEED", 20_261_125));
    let (name, undisturbed) = (name_of(0), TestLake::graduated(&name_of(0)));
    let lake = open_in(&undisturbed, &name, &open);
    run_steps(&undisturbed, &lake, variables, &mut rng, 0, 1);
    let expected = state(&lake);
    // The number of vacuum commits depends on the files of killed runs, so they are not counted.
    let commits_of = |lake: &Lake| {
        let snapshot = block_on(lake.snapshot()).unwrap();
        let is_vacuum = |kind| matches!(kind, CommitKind::Vacuum | CommitKind::Vacuumed);
        snapshot.commits().iter().filter(|commit| !is_vacuum(commit.kind)).count()
    };
    let commits = commits_of(&lake);
    let (mut kills, mut round) = (0, 0);
    while kills < wanted {
        round += 1;
        let name = name_of(round);
        let test_lake = TestLake::graduated(&name);
        let lake = open_in(&test_lake, &name, &open);
        // Later steps are reached less often, so the bound is random too. A night has about 150 steps, and its second
        // commit is at the end.
        let steps = [20, 60, 110, 170][usize::try_from(rng.below(4)).unwrap()];
        kills += run_steps(&test_lake, &lake, variables, &mut rng, (wanted - kills).min(6), steps);
        assert_same_files(&expected, &state(&lake), &format!("round {round}, after {kills} kills"));
        let found = block_on(lake.verify_all()).unwrap();
        assert!(found.damaged.is_empty(), "{found:?}");
        assert_eq!(commits_of(&lake), commits, "a repeated command committed twice");
        assert_manifests(&lake);
        if round % 20 == 0 {
            println!("{kills} kills in {round} lakes");
        }
    }
    println!("{kills} kills in {round} lakes");
}

fn open_in(test_lake: &TestLake, name: &str, open: &impl Fn(&str) -> Lake) -> Lake {
    if name.contains("://") { open(name) } else { open(&test_lake.path(name).to_string_lossy()) }
}

#[test]
fn a_lake_after_kill_9_at_any_step_equals_an_undisturbed_one() {
    survive(|_| "lake".to_owned(), |location| Lake::open(location).unwrap(), &[], 12);
}
