//! The commands of the official CLI, as its documentation lists them: what is not found among our own commands is looked up here, so that the answer is better than
//! "unknown". <https://docs.databricks.com/aws/en/dev-tools/cli/commands>

use crate::commands;
use crate::env;
use crate::error::Failure;

/// The groups at the top level, one a line, each with a path that `api get` reads; without one where the command is more than calls of the API.
///
/// A text and not a table of texts: the address of each would be put right at every start of the program, and hardly any command looks here.
static COMMANDS: &str = "\
account
ai-gateway
ai-search
aitools
alerts /api/2.0/sql/alerts
alerts-legacy /api/2.0/preview/sql/alerts
alerts-v2 /api/2.0/alerts
api
apps /api/2.0/apps
artifact-allowlists /api/2.1/unity-catalog/artifact-allowlists/LIBRARY_JAR
auth
bundle
cache
catalogs /api/2.1/unity-catalog/catalogs
clean-room-asset-revisions
clean-room-assets /api/2.0/clean-rooms/NAME/assets
clean-room-auto-approval-rules
clean-room-task-runs /api/2.0/clean-rooms/NAME/runs
clean-rooms /api/2.0/clean-rooms
cluster-policies /api/2.0/policies/clusters/list
clusters /api/2.1/clusters/list
completion
configure
connections /api/2.1/unity-catalog/connections
consumer-fulfillments
consumer-installations /api/2.1/marketplace-consumer/installations
consumer-listings /api/2.1/marketplace-consumer/listings
consumer-personalization-requests /api/2.1/marketplace-consumer/personalization-requests
consumer-providers /api/2.1/marketplace-consumer/providers
credentials /api/2.1/unity-catalog/credentials
current-user /api/2.0/preview/scim/v2/Me
dashboards /api/2.0/preview/sql/dashboards
data-classification
data-quality
data-sources /api/2.0/preview/sql/data_sources
database /api/2.0/database/instances
entity-tag-assignments
environments
experiments /api/2.0/mlflow/experiments/list
external-lineage
external-locations /api/2.1/unity-catalog/external-locations
external-metadata
feature-engineering
forecasting
fs /api/2.0/fs/directories/Volumes/CATALOG/SCHEMA/VOLUME
functions /api/2.1/unity-catalog/functions?catalog_name=CATALOG&schema_name=SCHEMA
genie /api/2.0/genie/spaces
git-credentials /api/2.0/git-credentials
global-init-scripts /api/2.0/global-init-scripts
grants /api/2.1/unity-catalog/permissions/catalog/CATALOG
groups /api/2.0/preview/scim/v2/Groups
groups-v2 /api/2.0/preview/scim/v2/Groups
help
instance-pools /api/2.0/instance-pools/list
instance-profiles /api/2.0/instance-profiles/list
ip-access-lists /api/2.0/ip-access-lists
jobs /api/2.2/jobs/list
knowledge-assistants
labs
lakeview /api/2.0/lakeview/dashboards
lakeview-embedded
libraries /api/2.0/libraries/all-cluster-statuses
metastores /api/2.1/unity-catalog/metastores
model-registry /api/2.0/mlflow/registered-models/list
model-versions /api/2.1/unity-catalog/models/CATALOG.SCHEMA.MODEL/versions
notification-destinations /api/2.0/notification-destinations
online-tables /api/2.0/online-tables/CATALOG.SCHEMA.TABLE
permission-migration
permissions /api/2.0/permissions/OBJECT_TYPE/OBJECT_ID
pipelines /api/2.0/pipelines
policies
policy-compliance-for-clusters /api/2.0/policies/clusters/list-compliance?policy_id=POLICY_ID
policy-compliance-for-jobs /api/2.0/policies/jobs/list-compliance?policy_id=POLICY_ID
policy-families /api/2.0/policy-families
postgres /api/2.0/postgres/projects
provider-exchange-filters
provider-exchanges /api/2.0/marketplace-exchange/exchanges
provider-files
provider-listings /api/2.0/marketplace-provider/listings
provider-personalization-requests /api/2.0/marketplace-provider/personalization-requests
provider-provider-analytics-dashboards
provider-providers /api/2.0/marketplace-provider/providers
providers /api/2.1/unity-catalog/providers
psql
quality-monitor-v2
quality-monitors /api/2.1/unity-catalog/tables/CATALOG.SCHEMA.TABLE/monitor
queries /api/2.0/sql/queries
queries-legacy /api/2.0/preview/sql/queries
query-history /api/2.0/sql/history/queries
query-visualizations
query-visualizations-legacy
quickstart
recipient-activation
recipient-federation-policies
recipients /api/2.1/unity-catalog/recipients
registered-models /api/2.1/unity-catalog/models
repos /api/2.0/repos
resource-quotas /api/2.1/unity-catalog/resource-quotas/all-resource-quotas
rfa
schemas /api/2.1/unity-catalog/schemas?catalog_name=CATALOG
secrets /api/2.0/secrets/scopes/list
secrets-uc
selftest
service-principal-secrets-proxy /api/2.0/accounts/servicePrincipals/ID/credentials/secrets
service-principals /api/2.0/preview/scim/v2/ServicePrincipals
service-principals-v2 /api/2.0/preview/scim/v2/ServicePrincipals
serving-endpoints /api/2.0/serving-endpoints
settings
shares /api/2.1/unity-catalog/shares
ssh
storage-credentials /api/2.1/unity-catalog/storage-credentials
supervisor-agents
sync
system-schemas /api/2.1/unity-catalog/metastores/METASTORE_ID/systemschemas
table-constraints
tables /api/2.1/unity-catalog/tables?catalog_name=CATALOG&schema_name=SCHEMA
tag-policies
temporary-path-credentials
temporary-table-credentials
temporary-volume-credentials
token-management /api/2.0/token-management/tokens
tokens /api/2.0/token/list
users /api/2.0/preview/scim/v2/Users
users-v2 /api/2.0/preview/scim/v2/Users
vector-search-endpoints /api/2.0/vector-search/endpoints
vector-search-indexes /api/2.0/vector-search/indexes?endpoint_name=ENDPOINT
version
volumes /api/2.1/unity-catalog/volumes?catalog_name=CATALOG&schema_name=SCHEMA
warehouses /api/2.0/sql/warehouses
workspace /api/2.0/workspace/list?path=/
workspace-bindings /api/2.1/unity-catalog/bindings/catalog/CATALOG
workspace-conf /api/2.0/workspace-conf?keys=enableTokensConfig
workspace-entity-tag-assignments
workspace-iam-v2
workspace-settings-v2
";

/// Commands below groups of which we have a part.
static BELOW: &[(&str, &str)] = &[
    (
        "account",
        "access-control billable-usage budget-policy budgets credentials custom-app-integration encryption-keys federation-policy groups groups-v2 \
         iam-v2 ip-access-lists llm-proxy-partner-powered-account log-delivery metastore-assignments metastores network-connectivity network-policies \
         networks o-auth-published-apps private-access published-app-integration service-principal-federation-policy service-principals \
         service-principals-v2 settings settings-v2 storage storage-credentials usage-dashboards users users-v2 vpc-endpoints workspace-assignment \
         workspace-network-configuration workspaces",
    ),
    (
        "clusters",
        "change-owner create delete edit events get-permission-levels get-permissions list-node-types list-zones permanent-delete pin resize restart \
         set-permissions start unpin update update-permissions",
    ),
];

/// A command of the official CLI that is none of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Absent<'w> {
    /// Its words.
    pub(crate) words: &'w [&'w str],
    /// A path that `api get` reads, or nothing.
    api: &'static str,
}

/// Each group of [`COMMANDS`] with its path, or nothing.
fn commands_with_paths() -> impl Iterator<Item = (&'static str, &'static str)> {
    COMMANDS.lines().map(|line| line.split_once(' ').unwrap_or((line, "")))
}

/// The command that these words mean, if the official CLI has it and we do not.
pub(crate) fn absent<'w>(words: &'w [&'w str]) -> Option<Absent<'w>> {
    let (_, known) = commands::walk(words);
    match words.get(..=known)? {
        [name] => commands_with_paths().find(|(own, _)| own == name).map(|(_, api)| Absent { words: &words[..1], api }),
        [group, name] => {
            let (_, names) = BELOW.iter().find(|(own, _)| own == group)?;
            names.split(' ').any(|own| own == *name).then(|| Absent { words: &words[..2], api: "" })
        }
        _ => None,
    }
}

impl Absent<'_> {
    /// Says so, with the way that is open.
    pub(crate) fn failure(&self) -> Failure {
        let name = self.words.join(" ");
        let way = match (self.api, self.words) {
            ("", ["account", ..]) => "with the API: databricks api get /api/2.0/accounts/ACCOUNT_ID/...".to_owned(),
            ("", ["clusters", ..]) => "with the API: databricks api post /api/2.1/clusters/... --json '{...}'".to_owned(),
            ("", _) => "the official CLI has it".to_owned(),
            (path, _) if path.contains(['?', '&']) => format!("with the API: databricks api get '{path}'"),
            (path, _) => format!("with the API: databricks api get {path}"),
        };
        Failure::new(format!("this tool has no command {name}; {way}"))
            .hint(format!("To have the official CLI run such commands, set {} to its path; see: databricks help fallback", env::FALLBACK_CLI))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_paths_are_paths() {
        let commands: Vec<_> = commands_with_paths().collect();
        assert!(commands.is_sorted() && commands.windows(2).all(|pair| pair[0].0 != pair[1].0));
        assert!(commands.iter().all(|(name, api)| !name.is_empty() && (api.is_empty() || api.starts_with("/api/2."))));
        for (group, names) in BELOW {
            assert!(names.split(' ').is_sorted() && names.split(' ').all(|name| !name.is_empty()) && commands::walk(&[group]).0.is_some(), "{group}");
        }
    }

    #[test]
    fn what_we_have_is_not_absent() {
        assert_eq!(absent(&["tokens", "list"]), None);
        assert_eq!(absent(&["tokens", "nope"]), None);
        assert_eq!(absent(&["tokens"]), None);
        assert_eq!(absent(&["nope"]), None);
        assert_eq!(absent(&[]), None);
        assert_eq!(absent(&["jobs", "list"]).map(|absent| absent.words.join(" ")).as_deref(), Some("jobs"));
        assert_eq!(absent(&["clusters", "start", "x"]).map(|absent| absent.words.join(" ")).as_deref(), Some("clusters start"));
        assert_eq!(
            absent(&["tables"]).expect("absent").failure().to_string(),
            "this tool has no command tables; with the API: databricks api get '/api/2.1/unity-catalog/tables?catalog_name=CATALOG&schema_name=SCHEMA'"
        );
    }
}
