//! How much room is left where the file is? Asked of the file system when somebody looks at the metrics.

use std::fmt;
use std::path::{Path, PathBuf};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::fs::statvfs;

/// Adds what is told of the file system on which the file is.
pub(super) fn register(file: &Path, registry: &mut Registry) {
    registry.register_collector(Box::new(Disk(file.to_owned())));
}

#[derive(Debug)]
struct Disk(PathBuf);

impl Collector for Disk {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // A file that can't be asked for is worse than a full disk, and is told by the store's failures.
        let Ok(disk) = statvfs(&self.0) else { return Ok(()) };
        let mut tell = |name, text, blocks: u64| {
            let bytes = ConstGauge::new(blocks.saturating_mul(disk.f_frsize));
            bytes.encode(encoder.encode_descriptor(name, text, Some(&Unit::Bytes), bytes.metric_type())?)
        };
        let text = "Room that is left on the file system of the embedded store.";
        tell("hello_birthday_store_disk_free", text, disk.f_bavail)?;
        let text = "Size of the file system of the embedded store.";
        tell("hello_birthday_store_disk_size", text, disk.f_blocks)
    }
}
