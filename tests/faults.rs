//! Tests of faults of a lake on a disk: no space, no permission, a clock that was set back, damaged entries and files.
//! Each failure has a message with a hint, and no usage is lost or billed twice.

use std::process::Command;

use crate::test_lake::{TestLake, assert_same_files, block_on, state, stderr_of};

const USAGE: [&str; 2] = ["m,a,2026-10-01T10:00:00Z,1.5,p", "m,b,2026-10-02T10:00:00Z,2.5,q"];

/// The usage of the same resources an hour later.
const MORE_USAGE: [&str; 2] = ["m,a,2026-10-01T11:00:00Z,1.5,p", "m,b,2026-10-02T11:00:00Z,2.5,q"];

const RUN: [&str; 3] = ["run", "--period", "2026-10"];

/// A lake with usage that no run has read yet.
fn lake() -> TestLake {
    TestLake::graduated("lake").usage(USAGE)
}

fn undisturbed() -> TestLake {
    let lake = lake();
    lake.succeeds(&RUN);
    lake
}

#[track_caller]
fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr_of(&output));
}

/// Asserts that the command fails with exit code 1 and a message that contains `words`, and that the lake is undamaged.
#[track_caller]
fn fails(lake: &TestLake, mut command: Command, words: &[&str]) {
    let output = command.output().unwrap();
    let message = stderr_of(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for word in words {
        assert!(message.contains(word), "no `{word}` in {message}");
    }
    let found = block_on(lake.lake().verify_all()).unwrap();
    assert!(found.damaged.is_empty(), "{found:?}");
}

/// Asserts that, without the fault, the same command gives the result of an undisturbed run.
#[track_caller]
fn recovers(lake: &TestLake) {
    lake.succeeds(&RUN);
    assert_same_files(&state(&undisturbed().lake()), &state(&lake.lake()), "after the fault");
}

#[test]
fn a_file_size_limit_stops_the_run_and_damages_nothing() {
    // The limit is in blocks of 512 or 1024 bytes. With each limit, another write fails.
    for blocks in [1, 4, 8, 12] {
        let lake = lake();
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_conto")]).args(RUN).current_dir(lake.path(""));
        let output = shell.output().unwrap();
        let message = stderr_of(&output);
        assert_eq!(output.status.code(), Some(1), "{blocks}: {message}");
        assert!(message.contains("File too large") && message.contains("hint: "), "{blocks}: {message}");
        recovers(&lake);
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "a skipped test prints its reason")]
fn a_full_disk_stops_the_run_and_damages_nothing() {
    let lake = lake();
    std::fs::create_dir(lake.path("lake")).unwrap();
    let mount = |size: &str| {
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(lake.path("lake"));
        mount.output().is_ok_and(|ran| ran.status.success())
    };
    if !mount("40k") {
        println!("skipped: no file system can be mounted here (needs root)");
        return;
    }
    let full = std::panic::catch_unwind(|| {
        fails(&lake, lake.command(&RUN), &["No space left on device", "hint: the disk is full"]);
        let remount = Command::new("mount").args(["-o", "remount,size=40m"]).arg(lake.path("lake")).status();
        assert!(remount.unwrap().success());
        recovers(&lake);
    });
    let unmounted = Command::new("umount").arg(lake.path("lake")).status().unwrap();
    full.unwrap();
    assert!(unmounted.success());
}

#[test]
#[allow(clippy::print_stdout, reason = "a skipped test prints its reason")]
fn a_lake_without_write_permission_is_not_changed() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    const NOBODY: u32 = 65_534;
    let lake = lake();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(lake.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    std::fs::create_dir(lake.path("lake")).unwrap();
    mode("lake", 0o555);
    // Root has every permission, so the program runs as another user, in a directory that this user can read.
    let program = lake.path("program");
    if std::fs::hard_link(env!("CARGO_BIN_EXE_conto"), &program).is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_conto"), &program).unwrap();
    }
    let unprivileged = || {
        let mut command = Command::new(&program);
        command.args(RUN).current_dir(lake.path("")).uid(NOBODY);
        command
    };
    if unprivileged().arg("--help").output().map_or(true, |ran| !ran.status.success()) {
        println!("skipped: the program cannot be run as another user here (needs root)");
        return;
    }
    fails(&lake, unprivileged(), &["Permission denied", "hint: the user of this process has no permission"]);
    mode("lake", 0o777);
    succeeds(unprivileged());
    // An entry that cannot be read is an error; it is not regarded as missing.
    mode("lake/log/00000000000000000001.json", 0o000);
    let output = unprivileged().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr_of(&output).contains("Permission denied"), "{}", stderr_of(&output));
    mode("lake/log/00000000000000000001.json", 0o644);
    recovers(&lake);
}

#[test]
fn a_lake_path_below_a_file_is_an_error() {
    let lake = TestLake::graduated("usage/usage.csv/lake").usage(USAGE);
    let output = lake.output(&RUN);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr_of(&output).contains("hint: "), "{}", stderr_of(&output));
}

#[test]
fn a_clock_that_was_set_back_changes_no_result() {
    let (steady, back) = (lake(), lake());
    for (lake, clocks) in [
        (&steady, ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"]),
        (&back, ["2031-01-01T00:00:00Z", "1999-01-01T00:00:00Z"]),
    ] {
        lake.run_with("2026-10", |_, options| options.started_at = clocks[0].to_owned()).unwrap();
        lake.deliver("more", MORE_USAGE);
        lake.run_with("2026-10", |_, options| options.started_at = clocks[1].to_owned()).unwrap();
        let commits = lake.snapshot();
        let commits: Vec<u64> = commits.commits().iter().map(|commit| commit.sequence).collect();
        assert_eq!(commits, [0, 1, 2, 3]);
    }
    assert_same_files(&state(&steady.lake()), &state(&back.lake()), "with a clock that went back");
}

#[test]
fn a_truncated_log_entry_is_an_error_and_its_run_can_be_repeated() {
    let lake = undisturbed();
    let entry = lake.path("lake/log/00000000000000000001.json");
    let whole = std::fs::read(&entry).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&entry, &whole[..length]).unwrap();
        let output = lake.output(&RUN);
        let message = stderr_of(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("00000000000000000001.json") && message.contains("hint: restore"), "{message}");
    }
    // The hint of the message for an operator without a backup: move the entry away.
    std::fs::rename(&entry, lake.path("torn.json")).unwrap();
    recovers(&lake);
}

#[test]
fn verify_sql_and_run_name_a_damaged_or_missing_file() {
    let lake = undisturbed();
    let file = lake.snapshot().files("sample").next().unwrap().path.clone();
    let path = lake.path(&format!("lake/{file}"));
    let bytes = std::fs::read(&path).unwrap();
    let verify = || {
        let output = lake.output(&["lake", "verify"]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(verify().0, Some(0));
    let mut altered = bytes.clone();
    altered[40] ^= 1;
    std::fs::write(&path, altered).unwrap();
    let (code, message) = verify();
    assert!(code == Some(1) && message.contains(&format!("`{file}` is damaged")), "{message}");
    std::fs::remove_file(&path).unwrap();
    let (code, message) = verify();
    assert!(
        code == Some(1) && message.contains(&format!("`{file}` is missing; the commit log references it")),
        "{message}"
    );
    // A query that reads the file also fails, in any letter case of the relation name.
    for relation in ["sample", "SAMPLE"] {
        let question = format!("SELECT COUNT(*) FROM {relation}");
        let output = lake.output(&["sql", &question]);
        assert!(!output.status.success() && stderr_of(&output).contains(&file), "{}", stderr_of(&output));
    }
    // A run that needs the file fails too.
    lake.deliver("more", MORE_USAGE);
    let output = lake.output(&RUN);
    let message = stderr_of(&output);
    assert!(output.status.code() == Some(1) && message.contains(&file) && message.contains("restore it"), "{message}");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(verify().0, Some(0));
}

#[test]
fn a_checkpoint_replaces_a_thousand_log_entries_and_is_only_a_hint() {
    let lake = undisturbed();
    let storage = lake.lake();
    let mut entry = block_on(storage.log_entry(1)).unwrap();
    for sequence in 2..1000 {
        entry.sequence = sequence;
        entry.added.clear();
        entry.removed.clear();
        // The entries are written like those of a run, but without a sync for each entry.
        let bytes = serde_json::to_vec_pretty(&entry).unwrap();
        lake.put(&format!("lake/log/{sequence:020}.json"), bytes);
    }
    entry.sequence = 1000;
    let digest = block_on(storage.commit(&entry)).unwrap();
    let all = block_on(storage.snapshot()).unwrap();
    assert_eq!(all.commits().len(), 1001, "without a checkpoint, every entry is read");
    block_on(storage.checkpoint(&all, digest));
    // With a checkpoint, only the last entry is read. The content of the other entries does not matter.
    let second = lake.path("lake/log/00000000000000000500.json");
    let kept = std::fs::read(&second).unwrap();
    std::fs::write(&second, "{").unwrap();
    assert_eq!(block_on(storage.snapshot()).unwrap(), all);
    // `conto lake verify` reads every entry in spite of the checkpoint.
    assert!(block_on(storage.verify_all()).is_err());
    std::fs::write(&second, kept).unwrap();
    assert!(block_on(storage.verify_all()).unwrap().damaged.is_empty());
    // A truncated checkpoint, or a checkpoint of another log, is ignored.
    let checkpoint = lake.path("lake/log/checkpoint.json.zst");
    let whole = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(block_on(storage.snapshot()).unwrap(), all);
    std::fs::write(&checkpoint, whole).unwrap();
    std::fs::remove_file(lake.path("lake/log/00000000000000001000.json")).unwrap();
    assert_eq!(block_on(storage.snapshot()).unwrap().commits().len(), 1000, "the log decides, not the checkpoint");
}

/// After a power failure, only synced files exist. The traced system calls show the order. Each file of an entry, and
/// every directory above it, is synced before the entry gets its name. Then the entry and its directory are synced.
#[test]
#[allow(clippy::print_stdout, reason = "a skipped test prints its reason")]
fn fsync_of_data_files_precedes_the_log_entry_that_names_them() {
    let lake = lake();
    let trace = lake.path("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat", "-o"]).arg(&trace);
    strace.arg(env!("CARGO_BIN_EXE_conto")).args(RUN).current_dir(lake.path(""));
    let watches = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !watches.is_ok_and(|status| status.success()) {
        println!("skipped: strace is not installed, or is not permitted (apt install strace)");
        return;
    }
    let ran = strace.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let trace = std::fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> = trace.lines().collect();
    let root = lake.path("lake").canonicalize().unwrap().to_string_lossy().into_owned();
    let synced = |path: &str| {
        let named = format!("<{path}>");
        let of_path = move |call: &str| call.contains("sync(") && call.contains(&named);
        calls.iter().enumerate().filter(|(_, call)| of_path(call)).map(|(place, _)| place).collect::<Vec<_>>()
    };
    let named = |path: &str| {
        let name = format!("\"{path}\"");
        let gets_it = |call: &&str| (call.contains("rename") || call.contains("link")) && call.contains(&name);
        calls.iter().position(gets_it).unwrap_or_else(|| panic!("no call creates the name {path}"))
    };
    let entries = block_on(lake.lake().log()).unwrap();
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
        assert!(calls[..put].iter().any(|call| staged(call)), "the entry got its name before its content was synced");
        assert!(synced(&format!("{root}/log")).iter().any(|place| put < *place), "the log directory is not synced");
        assert!(synced(&path).iter().any(|place| put < *place), "the entry is not synced");
    }
}
