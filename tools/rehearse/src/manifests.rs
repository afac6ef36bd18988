//! What do rendered manifests say of a pod: what it runs, what it is told, when it is ready, how it is stopped?
//!
//! Only what the rehearsal acts on is read; that the rest is well-formed is checked elsewhere.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::Result;

/// All objects of a release.
pub(crate) struct Manifests(Vec<Value>);

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pod {
    pub(crate) containers: Vec<Container>,
    #[serde(default)]
    pub(crate) volumes: Vec<Volume>,
    #[serde(default)]
    pub(crate) termination_grace_period_seconds: u64,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Container {
    #[serde(default)]
    pub(crate) command: Vec<String>,
    #[serde(default)]
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) env: Vec<Variable>,
    #[serde(default)]
    pub(crate) ports: Vec<Port>,
    pub(crate) startup_probe: Option<Probe>,
    pub(crate) liveness_probe: Option<Probe>,
    pub(crate) readiness_probe: Option<Probe>,
    pub(crate) lifecycle: Option<Lifecycle>,
    #[serde(default)]
    pub(crate) volume_mounts: Vec<Mount>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) container_port: u16,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Probe {
    pub(crate) http_get: HttpGet,
    pub(crate) period_seconds: u64,
    #[serde(default = "one")]
    pub(crate) timeout_seconds: u64,
    pub(crate) failure_threshold: u32,
}

#[derive(Clone, Deserialize)]
pub(crate) struct HttpGet {
    pub(crate) path: String,
    pub(crate) port: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lifecycle {
    pub(crate) pre_stop: PreStop,
}

#[derive(Clone, Deserialize)]
pub(crate) struct PreStop {
    pub(crate) sleep: Sleep,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Sleep {
    pub(crate) seconds: u64,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) secret: Option<Secret>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Secret {
    pub(crate) items: Vec<Item>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Item {
    pub(crate) path: String,
}

/// What Kubernetes takes where a probe doesn't say.
const fn one() -> u64 {
    1
}

impl Manifests {
    /// Reads a JSON array of objects.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Ok(Self(serde_json::from_slice(&fs::read(path)?)?))
    }

    /// The service's pod.
    pub(crate) fn service(&self) -> Result<Pod> {
        self.pod("Deployment", "/spec/template/spec")
    }

    /// The migration's name and pod.
    pub(crate) fn migration(&self) -> Result<(String, Pod)> {
        let name = self.at("Job", "/metadata/name")?;
        Ok((name.as_str().unwrap_or_default().into(), self.pod("Job", "/spec/template/spec")?))
    }

    /// The pod of `helm test`.
    pub(crate) fn test(&self) -> Result<Pod> {
        self.pod("Pod", "/spec")
    }

    /// How many pods of the service there are at least.
    pub(crate) fn replicas(&self) -> Result<usize> {
        let told = self.at("HorizontalPodAutoscaler", "/spec/minReplicas");
        let told = told.or_else(|_| self.at("Deployment", "/spec/replicas"))?;
        Ok(told.as_u64().ok_or("no number of pods")?.try_into()?)
    }

    /// How long a pod must have been ready before the next one is replaced.
    pub(crate) fn min_ready_seconds(&self) -> Result<u64> {
        self.at("Deployment", "/spec/minReadySeconds")?.as_u64().ok_or_else(|| "no number of seconds".into())
    }

    fn pod(&self, kind: &str, place: &str) -> Result<Pod> {
        Ok(Pod::deserialize(self.at(kind, place)?)?)
    }

    fn at(&self, kind: &str, place: &str) -> Result<&Value> {
        let object =
            self.0.iter().find(|object| object["kind"] == kind).ok_or_else(|| format!("no {kind}"))?;
        object.pointer(place).ok_or_else(|| format!("no {place} in the {kind}").into())
    }
}

impl Container {
    pub(crate) fn port(&self, name: &str) -> Result<u16> {
        let port =
            self.ports.iter().find(|port| port.name == name).ok_or_else(|| format!("no port {name}"))?;
        Ok(port.container_port)
    }

    pub(crate) fn variable(&self, name: &str) -> Result<&str> {
        let variable = self.env.iter().find(|variable| variable.name == name);
        Ok(&variable.ok_or_else(|| format!("no variable {name}"))?.value)
    }

    /// A variable such as `5s`.
    pub(crate) fn seconds(&self, name: &str) -> Result<Duration> {
        let value = self.variable(name)?;
        let seconds = value
            .strip_suffix('s')
            .ok_or_else(|| format!("{name} is {value}, which is no number of seconds"))?;
        Ok(Duration::from_secs(seconds.parse()?))
    }
}
