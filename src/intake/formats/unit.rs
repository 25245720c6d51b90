//! Canonical spellings of units, so that units can be compared without interpretation.

/// The canonical spelling of the unit of a source meter. An unknown unit is returned unchanged.
///
/// Some sources write "MB" for MiB and "GB" for GiB. Ceilometer did so for the meters of memory and volume sizes until
/// 2026.1, then renamed the units without changing the values. For those meters both names have the same meaning. For
/// any other meter, "MB" means megabyte.
pub fn canonical_unit<'a>(source_meter: &str, unit: &'a str) -> &'a str {
    let unit = unit.trim();
    match unit {
        // The most frequent units are already canonical.
        "" | "B" | "GiB" | "MiB" | "s" | "ns" | "instance" | "vcpu" | "ip" | "packet" | "request" | "object" => unit,
        "MB" if is_binary_size(source_meter) => "MiB",
        "GB" if is_binary_size(source_meter) => "GiB",
        _ => SPELLINGS
            .iter()
            .find(|(spellings, _)| spellings.iter().any(|spelling| unit.eq_ignore_ascii_case(spelling)))
            .map_or(unit, |(_, canonical)| canonical),
    }
}

/// The words for units, with their canonical spelling. Single letters are not included, because "b" may mean bit and
/// "S" siemens.
const SPELLINGS: [(&[&str], &str); 12] = [
    (&["byte", "bytes"], "B"),
    (&["sec", "secs", "second", "seconds"], "s"),
    (&["nanosecond", "nanoseconds"], "ns"),
    (&["millisecond", "milliseconds"], "ms"),
    (&["hour", "hours"], "h"),
    (&["packets"], "packet"),
    (&["requests"], "request"),
    (&["objects"], "object"),
    (&["containers"], "container"),
    (&["instances"], "instance"),
    (&["vcpus"], "vcpu"),
    (&["ips"], "ip"),
];

fn is_binary_size(source_meter: &str) -> bool {
    const SIZES: [&str; 7] = [
        "memory",
        "volume.size",
        "volume.snapshot.size",
        "snapshot.size",
        "volume.backup.size",
        "backup.size",
        "manila.share.size",
    ];
    SIZES.contains(&source_meter)
        || source_meter.starts_with("memory.")
        || (source_meter.starts_with("disk.") && source_meter.ends_with(".size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_of_binary_units_are_replaced_for_meters_that_used_them() {
        for meter in ["memory", "memory.usage", "disk.root.size", "disk.ephemeral.size", "volume.size", "backup.size"] {
            assert_eq!(canonical_unit(meter, "MB"), "MiB", "{meter}");
            assert_eq!(canonical_unit(meter, "GB"), "GiB", "{meter}");
            assert_eq!(canonical_unit(meter, "GiB"), "GiB", "{meter}");
        }
        for meter in ["network.outgoing.bytes", "storage.objects.size", "volume.sizes", "disk.device.capacity", ""] {
            assert_eq!(canonical_unit(meter, "MB"), "MB", "{meter}");
            assert_eq!(canonical_unit(meter, "GB"), "GB", "{meter}");
        }
    }

    #[test]
    fn words_are_shortened_and_unknown_units_stay() {
        for (unit, canonical) in [
            ("bytes", "B"),
            ("Byte", "B"),
            ("B", "B"),
            ("b", "b"),
            ("sec", "s"),
            ("Seconds", "s"),
            ("s", "s"),
            ("ns", "ns"),
            ("packets", "packet"),
            (" GiB ", "GiB"),
            ("", ""),
            ("gib", "gib"),
            ("B/s", "B/s"),
        ] {
            assert_eq!(canonical_unit("x", unit), canonical, "{unit}");
        }
    }
}
