//! What a cluster would do with the rendered manifests, done with processes: an installation whose pods wait for the
//! migration, `helm test`, and an upgrade under load to a version with a migration of its own.
//!
//! Commands, arguments, variables, secrets, probes, the sleep before the stop and the grace period are those of the manifests.
//! Only this differs: PostgreSQL is one of the test's, each pod has an address 127.0.0.x of its own, and secrets are mounted
//! into a folder.

use std::fs;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use test_servers::{Postgres, Process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::load::{Endpoints, Load};
use crate::manifests::{Container, Manifests, Pod, Probe};
use crate::version::{Programs, Version};
use crate::{Failure, Result, WITHOUT_DISK, until};

/// How long a cluster takes to tell every node that a pod gets requests, or no longer does.
const ENDPOINTS_LAG: Duration = Duration::from_secs(1);
/// Long enough that a pod which doesn't wait for the migration would be seen.
const UNREADY_FOR: Duration = Duration::from_secs(5);
/// To close its store, a pod may take so much longer than its drain.
const TO_CLOSE: Duration = Duration::from_secs(5);
const PASSWORD: &str = "rehearsed";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    programs: Programs,
    /// The release that is installed, as a JSON array of objects
    installed: PathBuf,
    /// The release that it is upgraded to
    upgraded: PathBuf,
    /// Requests a second, sent whether or not those before are answered
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
}

/// Nodes, a database and a network.
struct Cluster {
    folder: TempDir,
    postgres: Postgres,
    endpoints: Endpoints,
    addresses: u8,
}

struct Running {
    process: Process,
    address: SocketAddr,
    kubelet: JoinHandle<Result<()>>,
    sleep: Duration,
    drain: Duration,
}

pub(crate) async fn rehearse(arguments: &Arguments) -> Result<ExitCode> {
    arguments.programs.check()?;
    let (installed, upgraded) =
        (Manifests::read(&arguments.installed)?, Manifests::read(&arguments.upgraded)?);
    if installed.migration()?.0 == upgraded.migration()?.0 {
        return Err("both versions have the same migration: a Job can't be changed".into());
    }
    let mut cluster = Cluster::new(&installed.service()?.containers[0])?;

    let mut pods = install(&mut cluster, &arguments.programs.today(), &installed).await?;
    cluster.test(&installed)?;
    let load = Load::start(Arc::clone(&cluster.endpoints), arguments.rate).await?;
    upgrade(&mut cluster, &mut pods, &arguments.programs.later(1), &upgraded).await?;
    let tally = load.end().await;
    println!("{tally}");
    for pod in pods {
        cluster.end(pod).await?;
    }
    Ok(if tally.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the pods before the migration, and runs it.
async fn install(cluster: &mut Cluster, version: &Version, manifests: &Manifests) -> Result<Vec<Running>> {
    let mut pods = Vec::new();
    for _ in 0..manifests.replicas()? {
        pods.push(cluster.run(version, &manifests.service()?)?);
    }
    sleep(UNREADY_FOR).await;
    if cluster.ready() > 0 {
        return Err("a pod is ready before the migration".into());
    }
    println!("{} pods wait for the migration", pods.len());
    cluster.migrate(version, manifests)?;
    until("the pods are ready", || cluster.ready() == pods.len()).await?;
    Ok(pods)
}

/// Replaces each pod. A cluster starts the migration and the first new pod at once; here the migration is late.
async fn upgrade(
    cluster: &mut Cluster,
    pods: &mut [Running],
    version: &Version,
    manifests: &Manifests,
) -> Result<()> {
    let mut first = Some(cluster.run(version, &manifests.service()?)?);
    sleep(UNREADY_FOR).await;
    if cluster.ready() > pods.len() {
        return Err("a new pod is ready before its migration".into());
    }
    println!("a new pod waits for its migration, while the old ones go on");
    cluster.migrate(version, manifests)?;
    for pod in pods {
        let new = match first.take() {
            Some(new) => new,
            None => cluster.run(version, &manifests.service()?)?,
        };
        until("the new pod is ready", || cluster.has(new.address)).await?;
        sleep(Duration::from_secs(manifests.min_ready_seconds()?)).await;
        let old = mem::replace(pod, new);
        println!("a pod ended {:.1} s after it was to go", cluster.end(old).await?.as_secs_f64());
    }
    Ok(())
}

impl Cluster {
    /// With the database and the role that the manifests name; whoever comes is asked for the password.
    fn new(container: &Container) -> Result<Self> {
        let postgres = Postgres::start_with(WITHOUT_DISK);
        let (role, database) =
            (container.variable("POSTGRES_USERNAME")?, container.variable("POSTGRES_DATABASE")?);
        postgres.sql("postgres", &format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"));
        postgres.sql("postgres", &format!("CREATE DATABASE {database} OWNER {role}"));
        postgres.ask_for_passwords();
        let folder = tempfile::tempdir()?;
        Ok(Self { folder, postgres, endpoints: Endpoints::default(), addresses: 1 })
    }

    fn ready(&self) -> usize {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn has(&self, address: SocketAddr) -> bool {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }

    /// The container's process, not yet started.
    fn command(&self, version: &Version, pod: &Pod, address: Ipv4Addr) -> Result<Command> {
        let container = &pod.containers[0];
        let mut command = version.command()?;
        command.args(&container.args).stdin(Stdio::null());
        // What the image sets.
        command.env("HELLO_LISTEN", format!("{address}:8080"));
        for variable in &container.env {
            let value = match variable.name.as_str() {
                "POSTGRES_HOST" => "127.0.0.1".into(),
                "POSTGRES_PORT" => self.postgres.port().to_string(),
                "HELLO_METRICS_LISTEN" => format!("{address}:{}", container.port("metrics")?),
                // Lines of requests would drown what is told here.
                "RUST_LOG" => "warn".into(),
                _ => self.mounted(pod, &variable.value)?,
            };
            command.env(&variable.name, value);
        }
        Ok(command)
    }

    /// That value; where it names a file of a mounted secret, its place here, and the file is made.
    fn mounted(&self, pod: &Pod, value: &str) -> Result<String> {
        let container = &pod.containers[0];
        let Some(mount) = container.volume_mounts.iter().find(|mount| value.starts_with(&mount.mount_path))
        else {
            return Ok(value.into());
        };
        let volume =
            pod.volumes.iter().find(|volume| volume.name == mount.name).ok_or("a mount without a volume")?;
        let file = value[mount.mount_path.len()..].trim_start_matches('/');
        let secret = volume.secret.as_ref().ok_or("a volume that is no secret")?;
        if file != "password" || !secret.items.iter().any(|item| item.path == file) {
            return Err(format!("{value} is in no secret of the pod").into());
        }
        let place = self.folder.path().join(file);
        fs::write(&place, PASSWORD)?;
        Ok(place.display().to_string())
    }

    fn migrate(&self, version: &Version, manifests: &Manifests) -> Result<()> {
        let (name, pod) = manifests.migration()?;
        let done = self.command(version, &pod, Ipv4Addr::LOCALHOST)?.output()?;
        if !done.status.success() {
            return Err(format!("{name}: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
        println!("{name}: {}", String::from_utf8_lossy(&done.stdout).trim());
        Ok(())
    }

    /// What `helm test` runs, asked of one of the pods.
    fn test(&self, manifests: &Manifests) -> Result<()> {
        let container = &manifests.test()?.containers[0];
        let (program, arguments) = container.command.split_first().ok_or("a test without a command")?;
        let service = self.endpoints.read().unwrap_or_else(PoisonError::into_inner)[0];
        let done =
            Command::new(program).args(arguments).env("SERVICE", format!("http://{service}")).output()?;
        if !done.status.success() {
            return Err(format!("helm test: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
        println!("helm test: {}", String::from_utf8_lossy(&done.stdout).trim());
        Ok(())
    }

    /// Starts a pod, and somebody who asks its probes.
    fn run(&mut self, version: &Version, pod: &Pod) -> Result<Running> {
        self.addresses += 1;
        let address = Ipv4Addr::new(127, 0, 0, self.addresses);
        let container = pod.containers[0].clone();
        let process = Process::start(&mut self.command(version, pod, address)?);
        let lifecycle = container.lifecycle.as_ref().ok_or("nothing is done before the stop")?;
        let sleep = Duration::from_secs(lifecycle.pre_stop.sleep.seconds);
        let drain = container.seconds("HELLO_DRAIN_DELAY")? + container.seconds("HELLO_DRAIN_TIMEOUT")?;
        if Duration::from_secs(pod.termination_grace_period_seconds) <= sleep + drain {
            return Err("a pod may be killed before its drain is over".into());
        }
        let http = SocketAddr::from((address, container.port("http")?));
        let kubelet = tokio::spawn(keep_probing(container, address, http, Arc::clone(&self.endpoints)));
        Ok(Running { process, address: http, kubelet, sleep, drain })
    }

    /// Deletes a pod: nodes learn of it while its sleep runs, then it is told to stop, and must be gone when its drain
    /// is over. How long it took.
    async fn end(&self, mut pod: Running) -> Result<Duration> {
        let begun = Instant::now();
        if pod.kubelet.is_finished() {
            (&mut pod.kubelet).await??;
        } else {
            pod.kubelet.abort();
        }
        tokio::spawn(publish(Arc::clone(&self.endpoints), pod.address, false));
        sleep(pod.sleep).await;
        pod.process.signal("TERM");
        loop {
            match pod.process.ended() {
                Some(status) if status.success() => return Ok(begun.elapsed()),
                Some(status) => return Err(format!("a pod ended with {status}").into()),
                None if begun.elapsed() > pod.sleep + pod.drain + TO_CLOSE => {
                    return Err("a pod outlived its drain".into());
                }
                None => sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// What the kubelet does: first the start-up probe, then the other two side by side. It ends where a pod would be restarted.
async fn keep_probing(
    container: Container,
    address: Ipv4Addr,
    http: SocketAddr,
    endpoints: Endpoints,
) -> Result<()> {
    let (Some(startup), Some(liveness), Some(readiness)) =
        (&container.startup_probe, &container.liveness_probe, &container.readiness_probe)
    else {
        return Err("a probe is missing".into());
    };
    let place =
        |probe: &Probe| Ok::<_, Failure>(SocketAddr::from((address, container.port(&probe.http_get.port)?)));
    let mut failures = 0;
    while !passes(startup, place(startup)?).await {
        failures += 1;
        if failures >= startup.failure_threshold {
            return Err("a pod would be restarted: its start-up probe fails".into());
        }
        sleep(Duration::from_secs(startup.period_seconds)).await;
    }
    tokio::select! {
        () = until_failed(liveness, place(liveness)?) => Err("a pod would be restarted: its liveness probe fails".into()),
        () = keep_telling_readiness(readiness, place(readiness)?, http, endpoints) => Ok(()),
    }
}

async fn until_failed(probe: &Probe, address: SocketAddr) {
    let mut failures = 0;
    while failures < probe.failure_threshold {
        failures = if passes(probe, address).await { 0 } else { failures + 1 };
        sleep(Duration::from_secs(probe.period_seconds)).await;
    }
}

async fn keep_telling_readiness(probe: &Probe, address: SocketAddr, http: SocketAddr, endpoints: Endpoints) {
    let (mut is_ready, mut failures) = (false, 0);
    loop {
        failures = if passes(probe, address).await { 0 } else { failures + 1 };
        if (failures == 0 && !is_ready) || (failures >= probe.failure_threshold && is_ready) {
            is_ready = failures == 0;
            tokio::spawn(publish(Arc::clone(&endpoints), http, is_ready));
        }
        sleep(Duration::from_secs(probe.period_seconds)).await;
    }
}

/// Tells every node, in its time.
async fn publish(endpoints: Endpoints, address: SocketAddr, is_ready: bool) {
    sleep(ENDPOINTS_LAG).await;
    let mut endpoints = endpoints.write().unwrap_or_else(PoisonError::into_inner);
    endpoints.retain(|other| *other != address);
    if is_ready {
        endpoints.push(address);
    }
}

/// Whether it answers 200 in time.
async fn passes(probe: &Probe, address: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", probe.http_get.path);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(Duration::from_secs(probe.timeout_seconds), asked).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")))
}
