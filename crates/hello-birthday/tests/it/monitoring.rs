//! What watches the service is written down, all of it and nothing else: every metric in the table of metrics,
//! every alert with a page for whoever it wakes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hyper::Method;
use test_servers::Postgres;

use crate::access::{file_of, make};
use crate::app::App;
use crate::client::Client;
use crate::process::{Program, serve, serve_store};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What is told of one metric: its type, its labels, its sentence.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
    sentence: String,
}

/// The metrics of a scrape, under the names that one asks Prometheus for.
fn scraped(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::new();
    let mut sentence = "";
    let mut name = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            sentence = help.split_once(' ').unwrap().1.trim_end_matches('.');
        } else if let Some(of_type) = line.strip_prefix("# TYPE ") {
            let (family, kind) = of_type.split_once(' ').unwrap();
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            name = format!("{family}{suffix}");
            let metric = Metric { kind: kind.into(), labels: BTreeSet::new(), sentence: sentence.to_owned() };
            assert!(metrics.insert(name.clone(), metric).is_none(), "{name} is told twice");
        } else if !line.starts_with('#') {
            metrics.get_mut(&name).unwrap().labels.extend(labels(line));
        }
    }
    metrics
}

/// The labels of a sample, without those that a histogram is made of.
fn labels(sample: &str) -> impl Iterator<Item = String> {
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
    let names = inside.map(|(inside, _)| inside.split("=\"").map(|part| part.rsplit(',').next().unwrap()));
    let mut names: Vec<_> = names.into_iter().flatten().map(str::to_owned).collect();
    // What follows the last name is a value.
    names.pop();
    names.into_iter().map(|name| name.trim_start_matches('"').to_owned()).filter(|name| name != "le")
}

/// The rows of the table of metrics.
fn told() -> BTreeMap<String, Metric> {
    let text = read("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, sentence] = cells[..] else { panic!("{row}") };
        let labels =
            labels.split(", ").map(|label| label.trim_matches('`')).filter(|label| !label.is_empty());
        let labels = labels.map(str::to_owned).collect();
        let metric = Metric { kind: kind.into(), labels, sentence: sentence.to_owned() };
        (name.trim_matches('`').to_owned(), metric)
    })
    .collect()
}

async fn scrape(service: &mut Program, headers: &[(&str, &str)]) -> BTreeMap<String, Metric> {
    let client: Client = service.client();
    client.get("/").await;
    scraped(client.send(Method::GET, "/metrics", headers, "").await.text())
}

#[tokio::test]
async fn the_table_of_metrics_has_each_one_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let made = make("metrics", &[]);
    let (_folder, file) = file_of(&[&made]);
    let mut embedded = serve(&folder.path().join("x.db"));
    let mut embedded = Program::start(embedded.arg("--tokens-file").arg(file));
    let bearer = format!("Bearer {}", made.token);
    let mut known = scrape(&mut embedded, &[("authorization", &bearer)]).await;

    let server = Postgres::start();
    let database = server.database();
    let mut on_a_server = serve_store(&server.url(&database));
    let mut on_a_server = Program::start(on_a_server.arg("--migrate-on-start"));
    known.extend(scrape(&mut on_a_server, &[]).await);

    let (known, told): (BTreeSet<_>, BTreeSet<_>) =
        (known.into_iter().collect(), told().into_iter().collect());
    let missing: Vec<_> = known.difference(&told).collect();
    let extra: Vec<_> = told.difference(&known).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "not in docs/metrics.md: {missing:#?}; not so: {extra:#?}"
    );
}

#[test]
fn every_alert_has_its_page_and_every_page_its_alert() {
    let rules = read("deploy/helm/hello-birthday/files/alerts.yml");
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect();
    let pages: Vec<_> =
        rules.lines().filter_map(|line| line.trim_start().strip_prefix("runbook_url: ")).collect();
    assert_eq!(alerts.len(), pages.len(), "an alert without a page, or with two");
    let index = read("docs/runbooks/README.md");
    for (alert, page) in alerts.iter().zip(&pages) {
        assert!(read(page).starts_with(&format!("# {alert}\n")), "{page} is not of {alert}");
        let link = format!("| [{alert}]({}) |", Path::new(page).file_name().unwrap().to_str().unwrap());
        assert!(index.contains(&link), "{link} is not in the index");
    }
    let named: BTreeSet<_> = pages.iter().map(|page| root().join(page)).collect();
    for entry in fs::read_dir(root().join("docs/runbooks")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.ends_with("README.md") || named.contains(&path), "no alert names {}", path.display());
    }
}

/// A series that begins with its first failure has no rate: Prometheus never saw it at nothing.
#[tokio::test]
async fn failures_are_counted_from_nothing() {
    let app = App::start().await;
    let metrics = app.client.get("/metrics").await;
    for (method, route) in
        [("GET", "/"), ("GET", "/hello/{username}"), ("PUT", "/hello/{username}"), ("GET", "/birthdays")]
    {
        let series = format!(
            "http_server_request_duration_seconds_count{{http_request_method=\"{method}\",\
             http_route=\"{route}\",http_response_status_code=\"503\"}} 0\n"
        );
        assert!(metrics.text().contains(&series), "{series}");
    }
}

/// An alert or a panel that asks for a metric which was renamed stays silent for ever.
#[test]
fn alerts_dashboard_and_pages_ask_for_metrics_that_are_there() {
    let known = told();
    let mut texts = vec![
        read("deploy/helm/hello-birthday/files/alerts.yml"),
        read("deploy/helm/hello-birthday/files/dashboard.json"),
    ];
    for entry in fs::read_dir(root().join("docs/runbooks")).unwrap() {
        texts.push(fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let mut asked = 0;
    for text in texts {
        let is_part = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || "_:".contains(sign);
        for name in text.split(|sign| !is_part(sign)).filter(|name| {
            !name.contains(':')
                && ["hello_birthday_", "http_server_", "process_"].iter().any(|ours| name.starts_with(ours))
        }) {
            let series = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let is_there =
                known.contains_key(name) || series.is_some_and(|family| known.contains_key(family));
            assert!(is_there, "there is no metric {name}");
            asked += 1;
        }
    }
    assert!(asked >= 50, "{asked}");
}
