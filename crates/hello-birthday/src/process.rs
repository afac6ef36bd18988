//! What does the process cost the machine? Under the names that all of Prometheus' clients use, and asked of the
//! system when somebody looks.

use std::fmt;
use std::fs;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Adds what is told of this process, which counts as started now.
pub fn register(registry: &mut Registry) {
    let start = Gauge::<f64, AtomicU64>::default();
    start.set(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64());
    let text = "When the process was started, in seconds since 1970";
    registry.register_with_unit("process_start_time", text, Unit::Seconds, start);
    registry.register_collector(Box::new(Costs));
}

#[derive(Debug)]
struct Costs;

impl Collector for Costs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut tell = |name, text, unit, value: &dyn EncodeMetric| {
            value.encode(encoder.encode_descriptor(name, text, unit, value.metric_type())?)
        };
        let text = "Seconds of processors that the process took.";
        tell("process_cpu", text, Some(&Unit::Seconds), &ConstCounter::new(cpu_seconds()))?;
        if let Some(bytes) = resident_bytes() {
            let text = "Memory of the process that is resident.";
            tell("process_resident_memory", text, Some(&Unit::Bytes), &ConstGauge::new(bytes))?;
        }
        if let Some(open) = open_files() {
            tell("process_open_fds", "Files and connections that are open.", None, &ConstGauge::new(open))?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            let text = "Files and connections that may be open at once.";
            tell("process_max_fds", text, None, &ConstGauge::new(most))?;
        }
        Ok(())
    }
}

fn cpu_seconds() -> f64 {
    let taken = clock_gettime(ClockId::ProcessCPUTime);
    std::time::Duration::try_from(taken).unwrap_or_default().as_secs_f64()
}

/// Nothing where there is no /proc.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Nothing where there is no /proc.
fn open_files() -> Option<u64> {
    let mut open = 0;
    for _ in fs::read_dir("/proc/self/fd").ok()? {
        open += 1;
    }
    // What lists them is one itself.
    Some(open - 1)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::File;

    use prometheus_client::encoding::text::encode;

    use super::*;

    fn told(name: &str) -> f64 {
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        sample.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    #[test]
    fn work_memory_and_files_are_told() {
        let (cpu, memory) = (told("process_cpu_seconds_total"), told("process_resident_memory_bytes"));
        let kept = vec![1_u8; 64 << 20];
        let files: Vec<_> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        assert!(told("process_cpu_seconds_total") > cpu);
        assert!(told("process_resident_memory_bytes") >= memory + 32e6, "{}", kept.len());
        let open = told("process_open_fds");
        assert!(open >= 100.0 && open <= told("process_max_fds"), "{open}");
        drop(files);
        let started = told("process_start_time_seconds");
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!((now - 60.0..=now).contains(&started), "{started}");
    }
}
