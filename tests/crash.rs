//! The program killed at its steps of writing, as by a power cut: afterwards the lake is whole, and the same command
//! again ends where it would have ended without.
//!
//! A few seeded kills by default, each at another step; `CONTO_KILLS=1000 cargo test crash` asks for more, and
//! `CONTO_SEED` for others. A kill is `kill -9` at a step of the program's choice (`CONTO_TEST_KILL_AT`, in development
//! builds), or from outside after a random time.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use conto::storage::{CommitKind, Lake};

use crate::world::{Setting, World, assert_same_files, block_on};

const HEADER: &str = "meter,resource_id,measured_at,quantity,project_id,record_id\n";

/// What is done to a lake, one after the other; each is done again until it was not killed.
enum Act {
    Deliver(&'static str, String),
    Run(&'static [&'static str]),
}

/// Two nights of a small cloud, the close of its month, house-keeping, and usage that comes late.
fn story() -> Vec<Act> {
    let rows = |days: std::ops::Range<u32>| -> String {
        let rows = days.flat_map(|day| {
            [("a", "p"), ("b", "q")].map(|(resource, project)| {
                format!("m,{resource},2026-10-{day:02}T10:00:00Z,{day}.5,{project},{resource}{day}\n")
            })
        });
        format!("{HEADER}{}", rows.collect::<String>())
    };
    vec![
        Act::Deliver("usage/first.csv", rows(1..4)),
        Act::Run(&["run", "--period", "2026-10"]),
        Act::Deliver("usage/second.csv", rows(3..6)),
        Act::Run(&["run", "--period", "2026-10"]),
        Act::Run(&["close", "--period", "2026-10", "--issue-date", "2026-11-02"]),
        Act::Run(&["compact", "--least-files", "2"]),
        Act::Run(&["vacuum", "--older-than", "0s"]),
        Act::Deliver("usage/late.csv", rows(6..8)),
        Act::Run(&["close", "--period", "2026-10", "--issue-date", "2026-11-05"]),
    ]
}

pub(crate) fn world(lake: &str) -> World {
    let world = World::new(&Setting::default());
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", config.replace("lake = \"lake\"", &format!("lake = \"{lake}\"")));
    world.put(
        "rules/rules.toml",
        "currency = \"EUR\"\n[[meter]]\nname = \"m\"\naggregation = \"sum\"\nunit = \"u\"\n\
         [[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"s\"\nservice = \"S\"\ntiers = \"graduated\"\n\
         tier = [{ up_to = \"5\", unit_price = \"0.333\" }, { unit_price = \"0.1\" }]\n",
    );
    world
}

/// The program in a world. Its clock plays no part in what is compared.
pub(crate) fn conto(world: &World, arguments: &[&str], variables: &[(String, String)]) -> Command {
    // Hours of kills go on with a copy of the program while the next one is built.
    let program = std::env::var("CONTO_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_conto").to_owned());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(world.path("")).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).envs(variables.iter().cloned());
    command
}

/// What the program says in a world, however it ends.
pub(crate) fn run(world: &World, arguments: &[&str]) -> Output {
    conto(world, arguments, &[]).output().unwrap()
}

/// What the program prints in a world; it has to succeed.
#[track_caller]
pub(crate) fn done(world: &World, arguments: &[&str]) -> String {
    let output = run(world, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A small generator: the same seed gives the same kills.
struct Dice(u64);

impl Dice {
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

/// Runs a command to its end. `Some` is what it said where it was not killed.
fn ended(mut command: Command, kill_after: Option<Duration>) -> Option<std::process::Output> {
    let mut child = command.spawn().unwrap();
    if let Some(time) = kill_after {
        std::thread::sleep(time);
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    output.status.code().is_some().then_some(output)
}

/// Tells a story to its end, with kills on the way; returns how many there were.
fn live_through(
    world: &World,
    lake: &Lake,
    variables: &[(String, String)],
    dice: &mut Dice,
    kills_wanted: u64,
    steps: u64,
) -> u64 {
    let mut kills = 0;
    for act in story() {
        match act {
            Act::Deliver(name, content) => world.put(name, content),
            Act::Run(arguments) => loop {
                let mut variables = variables.to_vec();
                let mut kill_after = None;
                if kills < kills_wanted {
                    if dice.below(8) == 0 {
                        kill_after = Some(Duration::from_millis(dice.below(700)));
                    } else {
                        variables.push(("CONTO_TEST_KILL_AT".to_owned(), (1 + dice.below(steps)).to_string()));
                    }
                }
                match ended(conto(world, arguments, &variables), kill_after) {
                    Some(output) => {
                        let said = String::from_utf8_lossy(&output.stderr).into_owned();
                        assert!(output.status.success(), "{arguments:?} failed after {kills} kills: {said}");
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

/// The data files that count and the documents people are pointed to, by path, with their digests.
pub(crate) fn state(lake: &Lake) -> std::collections::BTreeMap<String, Vec<u8>> {
    let snapshot = block_on(lake.snapshot()).unwrap();
    // When a file was written differs from world to world.
    let files = snapshot.all_files().filter(|file| file.relation != "input_file");
    let mut state: std::collections::BTreeMap<String, Vec<u8>> =
        files.map(|file| (file.path.clone(), file.sha256.clone().into_bytes())).collect();
    for entry in block_on(lake.log()).unwrap().iter().filter(|entry| entry.period.is_some()) {
        state.retain(|path, _| !path.starts_with("documents/"));
        for document in &entry.documents {
            let bytes = block_on(lake.read(&document.path)).unwrap();
            // The index tells the paths of what was read.
            if !document.path.ends_with("/index.html") {
                let name = document.path.splitn(4, '/').nth(3).unwrap();
                state.insert(format!("documents/{name}"), bytes.to_vec());
            }
        }
    }
    state
}

/// Kills and compares; `lakes` gives the name of each new lake, and how to open it.
#[allow(clippy::print_stdout, reason = "the long form tells how far it is")]
pub(crate) fn survive(
    name_of: impl Fn(u64) -> String,
    open: impl Fn(&str) -> Lake,
    variables: &[(String, String)],
    default: u64,
) {
    let wanted = number("CONTO_KILLS", default);
    let mut dice = Dice(number("CONTO_SEED", 20_261_125));
    let (name, undisturbed) = (name_of(0), world(&name_of(0)));
    let lake = open_in(&undisturbed, &name, &open);
    live_through(&undisturbed, &lake, variables, &mut dice, 0, 1);
    let expected = state(&lake);
    // How often there is something to delete depends on what dead runs left.
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
        let world = world(&name);
        let lake = open_in(&world, &name, &open);
        // Later steps are reached less often, so the bound on the first is drawn as well. A night has some 150, and its
        // second entry is put in the last of them.
        let steps = [20, 60, 110, 170][usize::try_from(dice.below(4)).unwrap()];
        kills += live_through(&world, &lake, variables, &mut dice, (wanted - kills).min(6), steps);
        assert_same_files(&expected, &state(&lake), &format!("round {round}, after {kills} kills"));
        let found = block_on(lake.verify_all()).unwrap();
        assert!(found.damaged.is_empty(), "{found:?}");
        assert_eq!(commits_of(&lake), commits, "nothing is committed twice");
        if round % 20 == 0 {
            println!("{kills} kills in {round} lakes");
        }
    }
    println!("{kills} kills in {round} lakes");
}

fn open_in(world: &World, name: &str, open: &impl Fn(&str) -> Lake) -> Lake {
    if name.contains("://") { open(name) } else { open(&world.path(name).to_string_lossy()) }
}

#[test]
fn a_killed_run_is_as_if_it_had_not_been_or_had_been() {
    survive(|_| "lake".to_owned(), |location| Lake::open(location).unwrap(), &[], 12);
}
