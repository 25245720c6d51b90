//! The kinds of resources in notifications, and the names of their fields.

/// A kind of resource.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The prefixes of the event types.
    prefixes: &'static [&'static str],
    /// The paths of the resource's id.
    pub(crate) ids: &'static [&'static str],
    pub(crate) projects: &'static [&'static str],
    /// The paths of the time at which the resource started to exist.
    pub(crate) since: &'static [&'static str],
    /// Whether `since` is the time of a launch. The resource has its current attributes since then and did not exist
    /// before.
    pub(crate) is_launched: bool,
    /// Whether audits repeat the messages of the audited period.
    pub(crate) repeats_in_audits: bool,
    /// Whether each message contains an amount instead of a state.
    pub(crate) is_additive: bool,
    pub(crate) measures: &'static [Measured],
}

/// A source meter of a kind.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) source_meter: &'static str,
    pub(crate) unit: &'static str,
    /// The paths of the quantity. Without a path, the quantity is one.
    pub(crate) quantity: &'static [&'static str],
    /// Whether the usage of this meter ends when a machine is offloaded.
    pub(crate) is_of_compute: bool,
}

/// The phase of a change that an event type reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The change is announced or failed.
    Announced,
    /// The change is complete.
    Changed,
    Deleted,
    /// No change: the resource was audited.
    Audited,
}

pub(crate) const STATE: &str = "state";
pub(crate) const STATES: &[&str] = &[STATE, "status", "provisioning_status"];
pub(crate) const DELETED_AT: &[&str] = &["deleted_at", "terminated_at"];
pub(crate) const AUDIT_BEGINNING: &[&str] = &["audit_period_beginning", "audit_period.audit_period_beginning"];
pub(crate) const AUDIT_ENDING: &[&str] = &["audit_period_ending", "audit_period.audit_period_ending"];

/// The members of a payload that may contain the resource.
pub(crate) const WITHIN: &[&str] = &["floatingip", "loadbalancer"];

const OWNERS: &[&str] = &["tenant_id", "project_id"];

const NONE: Kind = Kind {
    prefixes: &[],
    ids: &[],
    projects: OWNERS,
    since: &[],
    is_launched: false,
    repeats_in_audits: false,
    is_additive: false,
    measures: &[],
};

/// All kinds. The first kind with a matching prefix is used.
const KINDS: &[Kind] = &[
    Kind {
        prefixes: &["compute.instance.", "instance."],
        ids: &["instance_id", "uuid", "resource_id"],
        since: &["launched_at"],
        is_launched: true,
        measures: &[
            Measured { is_of_compute: false, ..of_compute("instance", "instance", &[]) },
            of_compute("vcpus", "vcpu", &["vcpus", "flavor.vcpus"]),
            of_compute("memory", "MiB", &["memory_mb", "flavor.memory_mb"]),
            of_compute("disk.root.size", "GiB", &["root_gb", "flavor.root_gb"]),
            of_compute("disk.ephemeral.size", "GiB", &["ephemeral_gb", "flavor.ephemeral_gb"]),
        ],
        ..NONE
    },
    Kind {
        prefixes: &["volume."],
        ids: &["volume_id", "resource_id"],
        since: &["launched_at", "created_at"],
        repeats_in_audits: true,
        measures: &[measured("volume.size", "GiB", &["size"])],
        ..NONE
    },
    Kind {
        prefixes: &["snapshot."],
        ids: &["snapshot_id", "resource_id"],
        since: &["created_at"],
        repeats_in_audits: true,
        measures: &[measured("snapshot.size", "GiB", &["volume_size", "size"])],
        ..NONE
    },
    Kind {
        prefixes: &["backup."],
        ids: &["backup_id", "resource_id"],
        since: &["created_at"],
        repeats_in_audits: true,
        measures: &[measured("backup.size", "GiB", &["size"])],
        ..NONE
    },
    Kind {
        prefixes: &["share."],
        ids: &["share_id", "resource_id"],
        since: &["launched_at", "created_at"],
        measures: &[measured("manila.share.size", "GiB", &["size"])],
        ..NONE
    },
    Kind {
        prefixes: &["image.send"],
        ids: &["image_id", "resource_id"],
        projects: &["owner_id"],
        is_additive: true,
        measures: &[measured("image.serve", "B", &["bytes_sent"])],
        ..NONE
    },
    // An image is created before its content exists. Only the message of the upload contains the time of the content.
    Kind {
        prefixes: &["image.upload", "image.update", "image.activate", "image.delete"],
        ids: &["id", "resource_id"],
        projects: &["owner", "project_id"],
        measures: &[measured("image.size", "B", &["size"])],
        ..NONE
    },
    Kind {
        prefixes: &["floatingip."],
        ids: &["id", "floatingip_id", "resource_id"],
        since: &["created_at"],
        measures: &[measured("ip.floating", "ip", &[])],
        ..NONE
    },
    Kind {
        prefixes: &["octavia.loadbalancer.", "loadbalancer."],
        ids: &["loadbalancer_id", "id", "resource_id"],
        since: &["created_at"],
        measures: &[measured("loadbalancer.operating", "loadbalancer", &[])],
        ..NONE
    },
    Kind {
        prefixes: &["l3.meter"],
        ids: &["label_id"],
        is_additive: true,
        measures: &[measured("bandwidth", "B", &["bytes"])],
        ..NONE
    },
];

const fn measured(source_meter: &'static str, unit: &'static str, quantity: &'static [&'static str]) -> Measured {
    Measured { source_meter, unit, quantity, is_of_compute: false }
}

const fn of_compute(source_meter: &'static str, unit: &'static str, quantity: &'static [&'static str]) -> Measured {
    Measured { source_meter, unit, quantity, is_of_compute: true }
}

/// Equivalent names of a field in polled samples, legacy and versioned messages, and traits. A meter finds a field by
/// any of these names.
const SPELLINGS: &[&[&str]] = &[
    &["instance_type", "flavor_name", "flavor.name"],
    &["instance_flavor_id", "flavor_id", "flavor.id", "flavor.flavorid"],
    &["vcpus", "flavor.vcpus"],
    &["memory_mb", "flavor.ram", "flavor.memory_mb"],
    &["availability_zone", "OS-EXT-AZ:availability_zone"],
    &["image_meta.base_image_ref", "image_uuid", "image_ref", "image.id"],
    &["volume_type", "type"],
    &["display_name", "name"],
];

/// The other names of a field.
pub(crate) fn spellings(path: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    let of = SPELLINGS.iter().filter(move |names| names.contains(&path));
    of.flat_map(|names| names.iter()).filter(move |name| **name != path).copied()
}

/// All paths that are read, whichever meters are configured.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    let of_kind = |kind: &'static Kind| {
        let quantities = kind.measures.iter().flat_map(|measured| measured.quantity);
        kind.ids.iter().chain(kind.projects).chain(kind.since).chain(quantities)
    };
    let common = [STATES, DELETED_AT, AUDIT_BEGINNING, AUDIT_ENDING].into_iter().flatten();
    KINDS.iter().flat_map(of_kind).chain(common).copied()
}

impl Kind {
    /// The kind of an event type, and its phase.
    pub(crate) fn of(event_type: &str) -> Option<(&'static Self, Phase)> {
        let (kind, verb) = KINDS.iter().find_map(|kind| {
            let verb = kind.prefixes.iter().find_map(|prefix| event_type.strip_prefix(prefix))?;
            Some((kind, verb))
        })?;
        let last = event_type.rsplit('.').next().unwrap_or_default();
        let is_deletion = |verb: &str| matches!(verb, "delete" | "soft_delete" | "force_delete" | "unmanage");
        let is_of_image = event_type.starts_with("image.");
        let phase = match last {
            "start" | "error" | "failed" | "createprogress" => Phase::Announced,
            "exists" => Phase::Audited,
            "end" if is_deletion(verb.strip_suffix(".end").unwrap_or_default()) => Phase::Deleted,
            "delete" if is_of_image => Phase::Deleted,
            _ => Phase::Changed,
        };
        Some((kind, phase))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_types_have_a_kind_and_a_phase() {
        let of = |event_type| Kind::of(event_type).map(|(kind, phase)| (kind.measures[0].source_meter, phase));
        for (event_type, expected) in [
            ("compute.instance.create.start", Some(("instance", Phase::Announced))),
            ("compute.instance.create.error", Some(("instance", Phase::Announced))),
            ("compute.instance.create.end", Some(("instance", Phase::Changed))),
            ("compute.instance.update", Some(("instance", Phase::Changed))),
            ("compute.instance.live_migration._post.end", Some(("instance", Phase::Changed))),
            ("compute.instance.soft_delete.end", Some(("instance", Phase::Deleted))),
            ("instance.delete.end", Some(("instance", Phase::Deleted))),
            ("instance.exists", Some(("instance", Phase::Audited))),
            ("backup.createprogress", Some(("backup.size", Phase::Announced))),
            ("share.shrink.end", Some(("manila.share.size", Phase::Changed))),
            ("volume.retype", Some(("volume.size", Phase::Changed))),
            ("volume.transfer.accept.end", Some(("volume.size", Phase::Changed))),
            ("volume.unmanage.end", Some(("volume.size", Phase::Deleted))),
            ("image.upload", Some(("image.size", Phase::Changed))),
            ("image.delete", Some(("image.size", Phase::Deleted))),
            ("image.send", Some(("image.serve", Phase::Changed))),
            ("image.member.create", None),
            ("floatingip.delete.end", Some(("ip.floating", Phase::Deleted))),
            ("octavia.loadbalancer.update.end", Some(("loadbalancer.operating", Phase::Changed))),
            ("keypair.create.end", None),
        ] {
            assert_eq!(of(event_type), expected, "{event_type}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_equivalent_names() {
        assert_eq!(spellings("flavor.name").collect::<Vec<_>>(), ["instance_type", "flavor_name"]);
        assert_eq!(spellings("cost_center").count(), 0);
    }
}
