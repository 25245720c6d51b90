//! `--memory-limit`: what the process takes stays below it, and the results are those of a run without one.

use std::fmt::Write as _;
use std::time::Duration;

use crate::crash::conto;
use crate::world::{Setting, World, without_index};

const LIMIT_BYTES: usize = 128 << 20;

/// A day of so many machines in ten projects, polled every minute.
fn world(machines: usize) -> World {
    let world = World::new(&Setting { buckets: 2, ..Setting::default() });
    world.put(
        "rules/rules.toml",
        "currency = \"EUR\"\n[[meter]]\nname = \"m\"\naggregation = \"presence\"\nunit = \"hour\"\n\
         [[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"CMP\"\nservice = \"Compute\"\nunit_price = \"0.01\"\n\
         [[rule.example]]\nname = \"One\"\nquantity = \"1\"\ncost = \"0.01\"\n",
    );
    let mut rows = "meter,resource_id,measured_at,quantity,project_id\n".to_owned();
    for minute in 0..24 * 60 {
        for machine in 0..machines {
            let (hour, minute, project) = (minute / 60, minute % 60, machine % 10);
            writeln!(rows, "m,machine-{machine},2026-10-01T{hour:02}:{minute:02}:00Z,1,p{project}").unwrap();
        }
    }
    world.put("usage/october.csv", rows);
    world
}

/// The most memory of its own that the process had, in bytes; pages of the program's file are not counted, of which a
/// development build has ten times as many; and what it said.
fn peak_of(world: &World, arguments: &[&str]) -> (usize, String) {
    let mut child = conto(world, arguments, &[]).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (peak, said)
}

#[test]
#[allow(clippy::print_stdout, reason = "where there is no such file, the test says so")]
fn a_limit_is_kept_and_changes_no_result() {
    if !std::path::Path::new("/proc/self/status").exists() {
        println!("skipped: this system does not tell how much memory a process takes");
        return;
    }
    let (limited, free) = (world(400), world(400));
    let (peak, said) = peak_of(&limited, &["run", "--period", "2026-10", "--memory-limit", "128MiB"]);
    let (unlimited, said_of_free) = peak_of(&free, &["run", "--period", "2026-10"]);
    println!("{} MiB with a limit of {}, {} without", peak >> 20, LIMIT_BYTES >> 20, unlimited >> 20);
    assert!(peak <= LIMIT_BYTES, "{} MiB of {}", peak >> 20, LIMIT_BYTES >> 20);
    // With the pages of its file, which is for the user to know, it is more.
    assert!(said.contains("more than --memory-limit 128 MiB"), "{said}");
    assert!(!said_of_free.contains("--memory-limit"), "{said_of_free}");
    assert_eq!(limited.results(), free.results());
    assert_eq!(without_index(limited.documents("2026-10")), without_index(free.documents("2026-10")));
}
