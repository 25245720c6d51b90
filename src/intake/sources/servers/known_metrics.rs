//! The metrics of OpenStack's exporters: their source meters, and their labels of resources and projects.
//!
//! * The polling agent's exporter and sg-core name a metric after Ceilometer's meter: `ceilometer_volume_size` with the
//!   labels `resource`, `project`, `unit`, and `counter` with the dotted name.
//! * openstack-exporter, which queries the APIs of OpenStack, uses other names. The billable metrics are listed here.
//!
//! The Pushgateway is deliberately not supported: it repeats the last value indefinitely, even for deleted resources.

use std::borrow::Cow;

use crate::model::config::MetricConfig;

/// A metric, with its source meter and the labels to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metric {
    pub name: String,
    pub source_meter: String,
    pub resource_label: Cow<'static, str>,
    pub project_label: Cow<'static, str>,
    /// The unit of samples without a label `unit`.
    pub unit: Cow<'static, str>,
}

impl From<&MetricConfig> for Metric {
    fn from(config: &MetricConfig) -> Self {
        Self {
            name: config.name.clone(),
            source_meter: config.source_meter.clone(),
            resource_label: Cow::Owned(config.resource_label.clone()),
            project_label: Cow::Owned(config.project_label.clone()),
            unit: Cow::Owned(config.unit.clone().unwrap_or_default()),
        }
    }
}

/// Metric, source meter, label of the resource, label of the project, and unit. Sizes named GB are in GiB, as in the
/// APIs.
const OPENSTACK_EXPORTER: [(&str, &str, &str, &str, &str); 7] = [
    // The value is a status code. An instance is billed by its existence.
    ("openstack_nova_server_status", "instance", "id", "tenant_id", "instance"),
    ("openstack_cinder_volume_gb", "volume.size", "id", "tenant_id", "GiB"),
    ("openstack_neutron_floating_ip", "ip.floating", "id", "project_id", "ip"),
    ("openstack_loadbalancer_loadbalancer_status", "loadbalancer.operating", "id", "project_id", ""),
    ("openstack_glance_image_bytes", "image.size", "id", "tenant_id", "B"),
    ("openstack_sharev2_share_gb", "manila.share.size", "id", "project_id", "GiB"),
    ("openstack_neutron_router", "router", "id", "project_id", "router"),
];

/// The metrics that may contain a source meter, the likeliest first.
pub(super) fn metrics_of(source_meter: &str) -> Vec<Metric> {
    let ceilometer = Metric {
        name: format!("ceilometer_{}", source_meter.replace(['.', '-', ':'], "_")),
        source_meter: source_meter.to_owned(),
        resource_label: Cow::Borrowed("resource"),
        project_label: Cow::Borrowed("project"),
        unit: Cow::Borrowed(""),
    };
    let is_name = ceilometer.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let of_exporter = OPENSTACK_EXPORTER.iter().filter(|(_, measured, ..)| *measured == source_meter);
    let of_exporter = of_exporter.map(|(name, measured, resource_label, project_label, unit)| Metric {
        name: (*name).to_owned(),
        source_meter: (*measured).to_owned(),
        resource_label: Cow::Borrowed(resource_label),
        project_label: Cow::Borrowed(project_label),
        unit: Cow::Borrowed(unit),
    });
    is_name.then_some(ceilometer).into_iter().chain(of_exporter).collect()
}

/// The display name of a resource, from its labels. The agent's exporter writes it before the hypervisor's name
/// (`web-1:instance-00000001`). openstack-exporter writes only the display name.
pub(super) fn display_name<'l>(resource_name: Option<&'l str>, name: Option<&'l str>) -> Option<&'l str> {
    match resource_name {
        Some(both) => Some(match both.rsplit_once(':') {
            Some((display_name, machine)) if machine.starts_with("instance-") => display_name,
            _ => both,
        }),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_meter_is_searched_under_the_metric_names_of_all_exporters() {
        let names = |source_meter: &str| -> Vec<String> {
            metrics_of(source_meter).into_iter().map(|metric| metric.name).collect()
        };
        assert_eq!(names("volume.size"), ["ceilometer_volume_size", "openstack_cinder_volume_gb"]);
        assert_eq!(names("instance"), ["ceilometer_instance", "openstack_nova_server_status"]);
        assert_eq!(names("network.outgoing.bytes"), ["ceilometer_network_outgoing_bytes"]);
        assert!(names("größe").is_empty());
    }

    #[test]
    fn the_display_name_is_separated_from_the_hypervisor_name() {
        assert_eq!(display_name(Some("web-1:instance-00000001"), None), Some("web-1"));
        assert_eq!(display_name(Some("a:b:instance-00000001"), Some("x")), Some("a:b"));
        assert_eq!(display_name(Some("vol:db"), None), Some("vol:db"));
        assert_eq!(display_name(None, Some("web-1")), Some("web-1"));
    }
}
