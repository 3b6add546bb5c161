//! `/api/2.1/clusters`: what `configure --configure-cluster` offers, and the two calls that scripts check a credential with.
//! <https://docs.databricks.com/api/workspace/clusters>

use crate::rest::{Cell, Column, Endpoint, Field, Group, Input, List, Picker, Place, Reply, Shape};

pub(crate) static GROUP: Group = Group { name: "clusters", about: "List and show clusters", endpoints: &[&GET, &LIST, &SPARK_VERSIONS] };

/// The most that the service gives in one page.
const PAGE_SIZE: u32 = 100;

static GET: Endpoint = Endpoint {
    name: "get",
    about: "Show one cluster",
    examples: &["databricks clusters get 1234-567890-a12bcde3"],
    path: "/api/2.1/clusters/get",
    fields: &[Field {
        name: "cluster_id",
        place: Place::Query,
        input: Input::Argument(Picker { label: "The cluster about which to retrieve information", from: &LIST, id: "cluster_id", title: "cluster_name" }),
        shape: Shape::Text,
        about: "The cluster's id, as `clusters list` shows it",
        default: None,
    }],
    ..Endpoint::PLAIN
};

pub(crate) static LIST: Endpoint = Endpoint {
    name: "list",
    about: "List the clusters of the workspace",
    details: "Pinned and running clusters, and those that ended within the last 30 days. The first rows appear as soon as the first page is there.",
    examples: &["databricks clusters list", "databricks clusters list --cluster-states RUNNING,PENDING -o json"],
    path: "/api/2.1/clusters/list",
    fields: &[
        Field::query("filter_by.cluster_sources", "cluster-sources", Shape::Texts, "Only clusters made by these sources: API, JOB, UI, ..."),
        Field::query("filter_by.cluster_states", "cluster-states", Shape::Texts, "Only clusters in these states: RUNNING, TERMINATED, ..."),
        Field::query("filter_by.is_pinned", "is-pinned", Shape::Boolean, "Only clusters that are pinned"),
        Field::query("filter_by.policy_id", "policy-id", Shape::Text, "Only clusters under this policy"),
        Field::query("page_size", "page-size", Shape::Integer, "How many clusters to ask for at once; 100 if not given"),
    ],
    reply: Reply::List(List {
        items: "clusters",
        columns: &[
            Column { title: "ID", cell: Cell::Id("cluster_id") },
            Column { title: "Name", cell: Cell::Key("cluster_name") },
            Column { title: "State", cell: Cell::Key("state") },
        ],
        page_size: Some(PAGE_SIZE),
        filters: &[],
    }),
    ..Endpoint::PLAIN
};

pub(crate) static SPARK_VERSIONS: Endpoint = Endpoint {
    name: "spark-versions",
    about: "List the runtime versions that clusters can have",
    examples: &["databricks clusters spark-versions"],
    path: "/api/2.1/clusters/spark-versions",
    ..Endpoint::PLAIN
};
