//! Clusters: `/api/2.1/clusters` (2.0 too), with made-up clusters that are the same in every run.
//! Source: REST reference "Clusters"; field names from `databricks-sdk-py`, `service/compute.py`.

use super::api::{Access, Answer, Call, Page, Route, invalid};
use super::http::{Request, Response};
use serde_json::{Value, json};
use std::sync::OnceLock;

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/api/2.1/clusters/list", access: Access::SignedIn, handle: list },
    Route { method: "GET", path: "/api/2.0/clusters/list", access: Access::SignedIn, handle: list },
    Route { method: "GET", path: "/api/2.1/clusters/get", access: Access::SignedIn, handle: get },
    Route { method: "GET", path: "/api/2.0/clusters/get", access: Access::SignedIn, handle: get },
    Route { method: "GET", path: "/api/2.1/clusters/spark-versions", access: Access::SignedIn, handle: spark_versions },
    Route { method: "GET", path: "/api/2.0/clusters/spark-versions", access: Access::SignedIn, handle: spark_versions },
];

const SOURCES: [&str; 7] = ["UI", "JOB", "API", "SQL", "MODELS", "PIPELINE", "PIPELINE_MAINTENANCE"];
const STATES: [&str; 8] = ["RUNNING", "TERMINATED", "PENDING", "RESIZING", "RESTARTING", "TERMINATING", "ERROR", "UNKNOWN"];
const SPARK_VERSIONS: [(&str, &str); 8] = [
    ("16.4.x-scala2.12", "16.4 LTS (includes Apache Spark 3.5.2, Scala 2.12)"),
    ("15.4.x-scala2.12", "15.4 LTS (includes Apache Spark 3.5.0, Scala 2.12)"),
    ("14.3.x-scala2.12", "14.3 LTS (includes Apache Spark 3.5.0, Scala 2.12)"),
    ("16.4.x-scala2.13", "16.4 LTS (includes Apache Spark 3.5.2, Scala 2.13)"),
    ("17.0.x-scala2.13", "17.0 (includes Apache Spark 4.0.0, Scala 2.13)"),
    ("15.4.x-cpu-ml-scala2.12", "15.4 LTS ML (includes Apache Spark 3.5.0, Scala 2.12)"),
    ("15.4.x-photon-scala2.12", "15.4 LTS Photon (includes Apache Spark 3.5.0, Scala 2.12)"),
    ("17.1.x-scala2.13", "17.1 Beta (includes Apache Spark 4.0.0, Scala 2.13)"),
];
const NODE_TYPES: [(&str, f64, u64); 4] = [("i3.xlarge", 4.0, 31_232), ("m5d.large", 2.0, 8_192), ("r5d.2xlarge", 8.0, 65_536), ("c5d.4xlarge", 16.0, 32_768)];
const POLICIES: [&str; 3] = ["ABC123DEF4567890", "0011223344556677", "FEDCBA9876543210"];

/// What lists are filtered by, and the JSON once somebody has seen it.
#[derive(Debug)]
struct Cluster {
    id: String,
    source: &'static str,
    state: &'static str,
    pinned: bool,
    policy: Option<&'static str>,
    text: OnceLock<String>,
}

#[derive(Debug)]
pub(super) struct Clusters {
    all: Vec<Cluster>,
}

impl Clusters {
    pub(super) fn new(count: usize) -> Clusters {
        Clusters { all: (0..count).map(Cluster::new).collect() }
    }

    fn text(&self, index: usize) -> &str {
        let cluster = &self.all[index];
        cluster.text.get_or_init(|| cluster.details(index).to_string())
    }
}

impl Cluster {
    fn new(index: usize) -> Cluster {
        let mut dice = Dice::new(index);
        if index == 0 {
            return Cluster { id: "1234-567890-a12bcde3".to_owned(), source: "UI", state: "RUNNING", pinned: true, policy: None, text: OnceLock::new() };
        }
        // Four digits of a date, six of a time, eight lower-case letters and digits.
        let date = 101 + dice.below(12) * 100 + dice.below(28);
        let time = dice.below(24) * 10_000 + dice.below(60) * 100 + dice.below(60);
        let mut id = format!("{date:04}-{time:06}-");
        for _ in 0..8 {
            id.push(dice.pick(b"0123456789abcdefghijklmnopqrstuvwxyz") as char);
        }
        // Most clusters of a real workspace are switched off, most others run.
        let state = match dice.below(10) {
            0..=4 => "TERMINATED",
            5..=7 => "RUNNING",
            _ => dice.pick(&STATES),
        };
        Cluster {
            id,
            source: dice.pick(&SOURCES),
            state,
            pinned: dice.below(10) == 0,
            policy: (dice.below(3) == 0).then(|| dice.pick(&POLICIES)),
            text: OnceLock::new(),
        }
    }

    fn details(&self, index: usize) -> Value {
        const DAY: u64 = 86_400_000;
        // A stream of its own, so that filter fields and details do not depend on each other.
        let mut dice = Dice::new(index + 1_000_000);
        let (node_type, cores, memory) = dice.pick(&NODE_TYPES);
        let (spark_version, _) = dice.pick(&SPARK_VERSIONS);
        let started = 1_740_000_000_000 + DAY * dice.below(300);
        let name = if index == 0 {
            "my-cluster".to_owned()
        } else {
            let purpose = dice.pick(&["analytics", "etl", "ml-training", "reporting", "sandbox"]);
            format!("{purpose}-{index:04}")
        };
        let creator = dice.pick(&["ann@example.com", "bob@example.com", "eve@example.com"]);
        let dedicated = dice.below(2) == 0;
        let mut details = json!({
            "cluster_id": self.id,
            "cluster_name": name,
            "state": self.state,
            "state_message": "",
            "spark_version": spark_version,
            "effective_spark_version": spark_version,
            "spark_context_id": 4_020_997_813_441_462_000_u64 + dice.below(1_000_000),
            "spark_conf": {"spark.databricks.delta.preview.enabled": "true"},
            "spark_env_vars": {"PYSPARK_PYTHON": "/databricks/python3/bin/python3"},
            "node_type_id": node_type,
            "driver_node_type_id": node_type,
            "data_security_mode": if dedicated { "SINGLE_USER" } else { "USER_ISOLATION" },
            "runtime_engine": if dice.below(2) == 0 { "PHOTON" } else { "STANDARD" },
            "cluster_source": self.source,
            "creator_user_name": creator,
            "autotermination_minutes": 30 * (1 + dice.below(4)),
            "enable_elastic_disk": true,
            "enable_local_disk_encryption": false,
            "custom_tags": {"team": dice.pick(&["data", "platform", "finance"])},
            "default_tags": {
                "Vendor": "Databricks",
                "Creator": creator,
                "ClusterName": name,
                "ClusterId": self.id,
            },
            "aws_attributes": {
                "first_on_demand": 1,
                "availability": "SPOT_WITH_FALLBACK",
                "zone_id": "us-west-2a",
                "spot_bid_price_percent": 100,
                "ebs_volume_count": 0,
            },
            "cluster_cores": cores * 3.0,
            "cluster_memory_mb": memory * 3,
            "jdbc_port": 10_000,
            "start_time": started,
            "last_restarted_time": started + DAY / 2,
            "last_state_loss_time": started + DAY / 2,
        });
        if dedicated {
            details["single_user_name"] = json!(creator);
        }
        if dice.below(2) == 0 {
            details["autoscale"] = json!({"min_workers": 2, "max_workers": 2 + dice.below(8)});
        } else {
            details["num_workers"] = json!(2);
        }
        if let Some(policy) = self.policy {
            details["policy_id"] = json!(policy);
        }
        if self.state == "TERMINATED" {
            details["terminated_time"] = json!(started + DAY);
            details["termination_reason"] = json!({
                "code": "INACTIVITY",
                "type": "SUCCESS",
                "parameters": {"inactivity_duration_min": "30"},
            });
            details["state_message"] = json!("Inactive cluster terminated (inactive for 30 minutes).");
        } else {
            details["driver"] = json!({
                "node_id": "35cfe5bd87ec4e4c8b8a2b6b8d2c7c11",
                "instance_id": "i-0abc1234def567890",
                "private_ip": "10.0.1.17",
                "host_private_ip": "10.0.1.18",
                "start_timestamp": started,
                "node_aws_attributes": {"is_spot": false},
            });
        }
        details
    }
}

fn list(call: &Call<'_>) -> Answer {
    let clusters = &call.state.clusters;
    let filter = Filter::of(call.request)?;
    // Without a filter nothing is looked at: a page of 5,000 clusters costs what a page of 100 does.
    let kept: Option<Vec<usize>> = (!filter.is_empty()).then(|| (0..clusters.all.len()).filter(|index| filter.keeps(&clusters.all[*index])).collect());
    let total = kept.as_ref().map_or(clusters.all.len(), Vec::len);
    let page = Page::cut(call.request, total, &format!("{filter:?}"))?;
    let mut text = String::with_capacity(256 * 1024);
    text.push('{');
    for position in page.start..page.end {
        let index = kept.as_ref().map_or(position, |kept| kept[position]);
        text.push_str(if position == page.start { "\"clusters\":[" } else { "," });
        text.push_str(clusters.text(index));
    }
    if page.start < page.end {
        text.push_str("],");
    }
    // "If the value is "", it means no further results": this API sends the empty string.
    text.push_str("\"next_page_token\":\"");
    text.push_str(&page.next.unwrap_or_default());
    text.push_str("\",\"prev_page_token\":\"");
    text.push_str(&page.previous.unwrap_or_default());
    text.push_str("\"}");
    Ok(Response::new(200).body("application/json; charset=utf-8", text))
}

fn get(call: &Call<'_>) -> Answer {
    let id = call.request.query("cluster_id").filter(|id| !id.is_empty()).ok_or_else(|| invalid("Missing required field: cluster_id"))?;
    let clusters = &call.state.clusters;
    match clusters.all.iter().position(|cluster| cluster.id == id) {
        Some(index) => {
            let text = clusters.text(index);
            Ok(Response::new(200).body("application/json; charset=utf-8", text))
        }
        None => Err(invalid(&format!("Cluster {id} does not exist"))),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every handler")]
fn spark_versions(_: &Call<'_>) -> Answer {
    let versions: Vec<Value> = SPARK_VERSIONS.iter().map(|(key, name)| json!({"key": key, "name": name})).collect();
    Ok(Response::json(200, &json!({"versions": versions})))
}

/// The `filter_by.*` parameters. Lists come repeated or with commas; both are understood.
#[derive(Debug)]
struct Filter {
    sources: Vec<String>,
    states: Vec<String>,
    pinned: Option<bool>,
    policy: Option<String>,
}

impl Filter {
    fn of(request: &Request) -> Result<Filter, Response> {
        let pinned = match request.query("filter_by.is_pinned") {
            None | Some("") => None,
            // The Python SDK writes `True`, and the service takes it.
            Some(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Some(other) => {
                return Err(invalid(&format!("filter_by.is_pinned must be true or false, got '{other}'")));
            }
        };
        let policy = request.query("filter_by.policy_id");
        Ok(Filter {
            sources: one_of(request, "filter_by.cluster_sources", &SOURCES)?,
            states: one_of(request, "filter_by.cluster_states", &STATES)?,
            pinned,
            policy: policy.filter(|id| !id.is_empty()).map(str::to_owned),
        })
    }

    fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.states.is_empty() && self.pinned.is_none() && self.policy.is_none()
    }

    fn keeps(&self, cluster: &Cluster) -> bool {
        let among = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == value);
        among(&self.sources, cluster.source)
            && among(&self.states, cluster.state)
            && self.pinned.is_none_or(|pinned| pinned == cluster.pinned)
            && (self.policy.is_none() || self.policy.as_deref() == cluster.policy)
    }
}

fn one_of(request: &Request, name: &str, allowed: &[&str]) -> Result<Vec<String>, Response> {
    let mut values = Vec::new();
    for (key, list) in &request.query {
        if key != name {
            continue;
        }
        for value in list.split(',').filter(|value| !value.is_empty()) {
            if !allowed.contains(&value) {
                return Err(invalid(&format!("{name} has no value '{value}'")));
            }
            values.push(value.to_owned());
        }
    }
    Ok(values)
}

/// The same throws for the same index in every run.
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn new(index: usize) -> Dice {
        Dice(index as u64)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).expect("an index fits")]
    }
}
