//! Which form do the data have, and how are the lists made anew?

use std::time::Duration;

use ::redis::{Value, cmd, from_redis_value};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::entry::refuse;
use super::layout::{Bucket, SCHEMA_KEY, USER_KEYS, name_of_key};
use super::node::Node;
use super::{reindex, strange};
use crate::migrate::{Applied, Migration, pending};
use crate::{Migrated, OpenError, StoreError};
use birthday::Name;

/// How long one command of the start or of a migration may take.
pub(super) const ADMIN_WITHIN: Duration = Duration::from_secs(5);
/// How many keys one SCAN, or members one page of a list, asks for.
const SCAN_COUNT: usize = 1000;

const MARK: &str = include_str!("mark.lua");

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "users in buckets",
    // Redis makes keys when they are first written.
    sql: "",
    works_since: 1,
}];

/// Notes the form of the data, if they have none yet.
pub(super) async fn mark(cluster: &Cluster, place: &str) -> Result<Migrated, OpenError> {
    let refuse = |error: StoreError| refuse(place, error.into_reason());
    let applied = applied(cluster).await.map_err(refuse)?;
    let steps = pending(applied, MIGRATIONS)?;
    let Some(last) = steps.last() else { return Ok(Migrated { from: applied.version, to: applied.version }) };
    let mut mark = cmd("EVAL");
    mark.arg(MARK).arg(1).arg(SCHEMA_KEY).arg(last.version).arg(last.works_since);
    let reply = cluster.read(Bucket::FIRST, mark, Instant::now() + ADMIN_WITHIN).await.map_err(refuse)?;
    let from = from_redis_value(reply).map_err(|_| refuse(strange()))?;
    Ok(Migrated { from, to: last.version.max(from) })
}

async fn applied(cluster: &Cluster) -> Result<Applied, StoreError> {
    let mut get = cmd("HMGET");
    get.arg(SCHEMA_KEY).arg("version").arg("works_since");
    let reply = cluster.read(Bucket::FIRST, get, Instant::now() + ADMIN_WITHIN).await?;
    let (version, works_since): (Option<i64>, Option<i64>) =
        from_redis_value(reply).map_err(|_| strange())?;
    Ok(Applied { version: version.unwrap_or_default(), works_since: works_since.unwrap_or_default() })
}

/// Makes the lists anew from the users' own records, while the service may go on: each user is put right in
/// one step. What is listed and not there is dropped, what is there and not listed is added.
pub(super) async fn rebuild(cluster: &Cluster, place: &str) -> Result<(), OpenError> {
    let refuse = |error: StoreError| refuse(place, error.into_reason());
    let mut changed = 0;
    for node in cluster.nodes() {
        changed += rebuild_from(cluster, &node).await.map_err(refuse)?;
    }
    for bucket in Bucket::all() {
        changed += check_names(cluster, bucket).await.map_err(refuse)?;
        changed += check_days(cluster, bucket).await.map_err(refuse)?;
    }
    if changed > 0 {
        tracing::warn!(changed, "the lists of users did not agree with the users; they do now");
    }
    Ok(())
}

async fn rebuild_from(cluster: &Cluster, node: &Node) -> Result<i64, StoreError> {
    let mut changed = 0;
    let mut cursor = "0".to_owned();
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg(USER_KEYS).arg("COUNT").arg(SCAN_COUNT);
        let (next, keys): (String, Vec<String>) = node.ask(scan, Instant::now() + ADMIN_WITHIN).await?;
        for name in keys.iter().filter_map(|key| name_of_key(key)) {
            changed +=
                reindex(cluster, (Bucket::of(&name), &name), "", Instant::now() + ADMIN_WITHIN).await?;
        }
        if next == "0" {
            return Ok(changed);
        }
        cursor = next;
    }
}

/// Drops the names that have no record.
async fn check_names(cluster: &Cluster, bucket: Bucket) -> Result<i64, StoreError> {
    let key = bucket.names_key();
    let mut changed = 0;
    let mut after = None;
    while let Some(page) = page(cluster, bucket, &key, after.as_deref()).await? {
        let names: Vec<_> = page.iter().cloned().map(Name::from_stored).collect();
        let exists = |name: &Name| {
            let mut exists = cmd("EXISTS");
            exists.arg(bucket.user_key(name));
            (bucket, exists)
        };
        let questions: Vec<_> = names.iter().map(exists).collect();
        let replies = cluster.read_many(&questions, Instant::now() + ADMIN_WITHIN).await?;
        for (name, _) in names.iter().zip(replies).filter(|(_, reply)| *reply == Value::Int(0)) {
            changed += reindex(cluster, (bucket, name), "", Instant::now() + ADMIN_WITHIN).await?;
        }
        after = page.into_iter().next_back();
    }
    Ok(changed)
}

/// Drops the days that are not those of a record.
async fn check_days(cluster: &Cluster, bucket: Bucket) -> Result<i64, StoreError> {
    let key = bucket.days_key();
    let mut changed = 0;
    let mut after = None;
    while let Some(page) = page(cluster, bucket, &key, after.as_deref()).await? {
        for member in &page {
            let name = member.split_once(':').map_or("", |(_, name)| name);
            let name = Name::from_stored(name.to_owned());
            changed += reindex(cluster, (bucket, &name), member, Instant::now() + ADMIN_WITHIN).await?;
        }
        after = page.into_iter().next_back();
    }
    Ok(changed)
}

/// The next members of a list; `None` at its end.
async fn page(
    cluster: &Cluster,
    bucket: Bucket,
    key: &str,
    after: Option<&str>,
) -> Result<Option<Vec<String>>, StoreError> {
    let least = after.map_or("-".to_owned(), |member| format!("({member}"));
    let mut range = cmd("ZRANGEBYLEX");
    range.arg(key).arg(least).arg("+").arg("LIMIT").arg(0).arg(SCAN_COUNT);
    let reply = cluster.read(bucket, range, Instant::now() + ADMIN_WITHIN).await?;
    let members: Vec<String> = from_redis_value(reply).map_err(|_| strange())?;
    Ok(Some(members).filter(|members| !members.is_empty()))
}
