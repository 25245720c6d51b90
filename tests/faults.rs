//! What the world does to a lake on a disk: no room, no permission, a clock that goes back, entries and files that are
//! not what they were. Each ends in a message that says what to do, and nothing is lost or billed twice.

use std::process::{Command, Output};

use crate::crash::{conto, state, world};
use crate::world::{World, assert_same_files, block_on};

const USAGE: &str = "meter,resource_id,measured_at,quantity,project_id\n\
                     m,a,2026-10-01T10:00:00Z,1.5,p\nm,b,2026-10-02T10:00:00Z,2.5,q\n";

const RUN: [&str; 3] = ["run", "--period", "2026-10"];

fn undisturbed() -> World {
    let world = world("lake");
    world.put("usage/usage.csv", USAGE);
    succeeds(conto(&world, &RUN, &[]));
    world
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The command fails with 1 and says these words; afterwards the lake is whole.
fn fails(world: &World, mut command: Command, words: &[&str]) {
    let output = command.output().unwrap();
    let said = told(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
    let found = block_on(world.lake().verify_all()).unwrap();
    assert!(found.damaged.is_empty(), "{found:?}");
}

/// Once the fault is gone the same command ends where it would have ended.
fn recovers(world: &World) {
    succeeds(conto(world, &RUN, &[]));
    assert_same_files(&state(&undisturbed().lake()), &state(&world.lake()), "after the fault");
}

#[test]
fn a_file_that_may_not_grow_stops_the_run_and_nothing_else() {
    // The limit is in blocks of 512 or 1024 bytes; each bound is met by another write.
    for blocks in [1, 4, 8, 12] {
        let world = world("lake");
        world.put("usage/usage.csv", USAGE);
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_conto")]).args(RUN).current_dir(world.path(""));
        let output = shell.output().unwrap();
        let said = told(&output);
        assert_eq!(output.status.code(), Some(1), "{blocks}: {said}");
        assert!(said.contains("File too large") && said.contains("hint: "), "{blocks}: {said}");
        recovers(&world);
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn a_full_disk_stops_the_run_and_nothing_else() {
    let world = world("lake");
    world.put("usage/usage.csv", USAGE);
    std::fs::create_dir(world.path("lake")).unwrap();
    let mount = |size: &str| {
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(world.path("lake"));
        mount.output().is_ok_and(|ran| ran.status.success())
    };
    if !mount("40k") {
        println!("skipped: no file system can be mounted here (needs root)");
        return;
    }
    let full = std::panic::catch_unwind(|| {
        fails(&world, conto(&world, &RUN, &[]), &["No space left on device", "hint: the disk is full"]);
        let remount = Command::new("mount").args(["-o", "remount,size=40m"]).arg(world.path("lake")).status();
        assert!(remount.unwrap().success());
        recovers(&world);
    });
    let unmounted = Command::new("umount").arg(world.path("lake")).status().unwrap();
    full.unwrap();
    assert!(unmounted.success());
}

#[test]
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn without_permission_nothing_is_written() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    const NOBODY: u32 = 65_534;
    let world = world("lake");
    world.put("usage/usage.csv", USAGE);
    let mode = |name: &str, mode| {
        std::fs::set_permissions(world.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    std::fs::create_dir(world.path("lake")).unwrap();
    mode("lake", 0o555);
    // Root may do everything, so the program runs as somebody else; it has to lie where that one can reach it.
    let program = world.path("program");
    if std::fs::hard_link(env!("CARGO_BIN_EXE_conto"), &program).is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_conto"), &program).unwrap();
    }
    let as_nobody = || {
        let mut command = Command::new(&program);
        command.args(RUN).current_dir(world.path("")).uid(NOBODY);
        command
    };
    if as_nobody().arg("--help").output().map_or(true, |ran| !ran.status.success()) {
        println!("skipped: the program cannot be run as another user here (needs root)");
        return;
    }
    fails(&world, as_nobody(), &["Permission denied", "hint: the user that runs conto may not do this"]);
    mode("lake", 0o777);
    succeeds(as_nobody());
    // Entries that cannot be read are not entries that are not there.
    mode("lake/log/00000000000000000001.json", 0o000);
    let output = as_nobody().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("Permission denied"), "{}", told(&output));
    mode("lake/log/00000000000000000001.json", 0o644);
    recovers(&world);
}

#[test]
fn a_lake_below_a_file_is_told() {
    let world = world("usage/usage.csv/lake");
    world.put("usage/usage.csv", USAGE);
    let output = conto(&world, &RUN, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("hint: "), "{}", told(&output));
}

#[test]
fn a_clock_that_was_set_back_changes_nothing() {
    let (steady, back) = (world("lake"), world("lake"));
    for (world, clocks) in [
        (&steady, ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"]),
        (&back, ["2031-01-01T00:00:00Z", "1999-01-01T00:00:00Z"]),
    ] {
        world.put("usage/usage.csv", USAGE);
        world.run_with("2026-10", |_, options| options.started_at = clocks[0].to_owned()).unwrap();
        world.put("usage/more.csv", USAGE.replace("10:00", "11:00"));
        world.run_with("2026-10", |_, options| options.started_at = clocks[1].to_owned()).unwrap();
        let commits = world.snapshot();
        let commits: Vec<u64> = commits.commits().iter().map(|commit| commit.sequence).collect();
        assert_eq!(commits, [0, 1, 2, 3]);
    }
    assert_same_files(&state(&steady.lake()), &state(&back.lake()), "with a clock that went back");
}

#[test]
fn a_torn_last_entry_is_told_and_its_work_can_be_done_again() {
    let world = undisturbed();
    let entry = world.path("lake/log/00000000000000000001.json");
    let whole = std::fs::read(&entry).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&entry, &whole[..length]).unwrap();
        let output = conto(&world, &RUN, &[]).output().unwrap();
        let said = told(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("00000000000000000001.json") && said.contains("hint: restore"), "{said}");
    }
    // What the message says to do where there is no copy.
    std::fs::rename(&entry, world.path("torn.json")).unwrap();
    recovers(&world);
}

#[test]
fn what_is_damaged_or_missing_is_named() {
    let world = undisturbed();
    let file = world.snapshot().files("sample").next().unwrap().path.clone();
    let path = world.path(&format!("lake/{file}"));
    let bytes = std::fs::read(&path).unwrap();
    let verify = || {
        let output = conto(&world, &["verify"], &[]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(verify().0, Some(0));
    let mut altered = bytes.clone();
    altered[40] ^= 1;
    std::fs::write(&path, altered).unwrap();
    let (code, said) = verify();
    assert!(code == Some(1) && said.contains(&format!("`{file}` is not what the log names")), "{said}");
    std::fs::remove_file(&path).unwrap();
    let (code, said) = verify();
    assert!(code == Some(1) && said.contains(&format!("`{file}` is named by the log and is not there")), "{said}");
    // The same for a question that reads it, however it spells the name.
    for relation in ["sample", "SAMPLE"] {
        let question = format!("SELECT COUNT(*) FROM {relation}");
        let output = conto(&world, &["sql", &question], &[]).output().unwrap();
        assert!(!output.status.success() && told(&output).contains(&file), "{}", told(&output));
    }
    // The same for a run that needs the file.
    world.put("usage/more.csv", USAGE.replace("10:00", "11:00"));
    let output = conto(&world, &RUN, &[]).output().unwrap();
    let said = told(&output);
    assert!(output.status.code() == Some(1) && said.contains(&file) && said.contains("restore it"), "{said}");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(verify().0, Some(0));
}

#[test]
fn a_thousand_commits_are_opened_by_one_checkpoint_which_is_only_a_hint() {
    let world = undisturbed();
    let lake = world.lake();
    let mut entry = block_on(lake.log_entry(1)).unwrap();
    for sequence in 2..1000 {
        entry.sequence = sequence;
        entry.added.clear();
        entry.removed.clear();
        // As a run does it, though not synced a thousand times.
        let bytes = serde_json::to_vec_pretty(&entry).unwrap();
        world.put(&format!("lake/log/{sequence:020}.json"), bytes);
    }
    entry.sequence = 1000;
    let digest = block_on(lake.commit(&entry)).unwrap();
    let all = block_on(lake.snapshot()).unwrap();
    assert_eq!(all.commits().len(), 1001, "without a checkpoint every entry is read");
    block_on(lake.checkpoint(&all, digest));
    // With it none but the last is read: the others could be anything.
    let second = world.path("lake/log/00000000000000000500.json");
    let kept = std::fs::read(&second).unwrap();
    std::fs::write(&second, "{").unwrap();
    assert_eq!(block_on(lake.snapshot()).unwrap(), all);
    // `conto verify` takes no hint.
    assert!(block_on(lake.verify_all()).is_err());
    std::fs::write(&second, kept).unwrap();
    assert!(block_on(lake.verify_all()).unwrap().damaged.is_empty());
    // A checkpoint that is torn, or of another log, is not believed.
    let checkpoint = world.path("lake/log/checkpoint.json.zst");
    let whole = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(block_on(lake.snapshot()).unwrap(), all);
    std::fs::write(&checkpoint, whole).unwrap();
    std::fs::remove_file(world.path("lake/log/00000000000000001000.json")).unwrap();
    assert_eq!(block_on(lake.snapshot()).unwrap().commits().len(), 1000, "the log is the truth");
}

/// What a power cut leaves is what was synced. Watched from outside, call by call: each file that an entry names is on
/// the disk, with every directory above it, before the entry has its name, and the entry with its directory afterwards.
#[test]
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn what_an_entry_names_is_on_the_disk_before_it_and_the_entry_before_the_run_goes_on() {
    let world = world("lake");
    world.put("usage/usage.csv", USAGE);
    let trace = world.path("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat", "-o"]).arg(&trace);
    strace.arg(env!("CARGO_BIN_EXE_conto")).args(RUN).current_dir(world.path(""));
    let watches = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !watches.is_ok_and(|status| status.success()) {
        println!("skipped: there is no strace, or it may not watch here (apt install strace)");
        return;
    }
    let ran = strace.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let trace = std::fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> = trace.lines().collect();
    let root = world.path("lake").canonicalize().unwrap().to_string_lossy().into_owned();
    let synced = |path: &str| {
        let named = format!("<{path}>");
        let of_path = move |call: &str| call.contains("sync(") && call.contains(&named);
        calls.iter().enumerate().filter(|(_, call)| of_path(call)).map(|(place, _)| place).collect::<Vec<_>>()
    };
    let named = |path: &str| {
        let name = format!("\"{path}\"");
        let gets_it = |call: &&str| (call.contains("rename") || call.contains("link")) && call.contains(&name);
        calls.iter().position(gets_it).unwrap_or_else(|| panic!("nothing gets the name {path}"))
    };
    let entries = block_on(world.lake().log()).unwrap();
    assert_eq!(entries.len(), 2);
    for entry in entries {
        let path = format!("{root}/log/{:020}.json", entry.sequence);
        let put = named(&path);
        let files = entry.added.iter().map(|file| &file.path);
        let files: Vec<&String> = files.chain(entry.documents.iter().map(|document| &document.path)).collect();
        assert!(files.len() > 8, "{files:?}");
        for file in files {
            let file = format!("{root}/{file}");
            let written = named(&file);
            let in_time = |path: &str| synced(path).iter().any(|place| written < *place && *place < put);
            assert!(in_time(&file), "{file} is not synced before entry {}", entry.sequence);
            let mut directory = file.as_str();
            while directory != root {
                directory = directory.rsplit_once('/').unwrap().0;
                assert!(in_time(directory), "{directory} is not synced before entry {}", entry.sequence);
            }
        }
        let staged = |call: &str| call.contains("sync(") && call.contains(&format!("<{path}#"));
        assert!(calls[..put].iter().any(|call| staged(call)), "the entry has its name before its content");
        assert!(synced(&format!("{root}/log")).iter().any(|place| put < *place), "the entry's directory");
        assert!(synced(&path).iter().any(|place| put < *place), "the entry");
    }
}
