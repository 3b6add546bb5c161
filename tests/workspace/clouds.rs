//! The names of public clouds for what is embedded here: whoever is led here by a proxy finds a certificate for them, and replies that name each other as there.

use super::http::Request;

/// A cloud of Azure.
struct Azure {
    workspace: &'static str,
    entra: &'static str,
    manager: &'static str,
    management: &'static str,
}

const AZURE: [Azure; 3] = [
    Azure {
        workspace: "adb-1.2.azuredatabricks.net",
        entra: "login.microsoftonline.com",
        manager: "management.azure.com",
        management: "https://management.core.windows.net",
    },
    Azure {
        workspace: "adb-1.2.databricks.azure.us",
        entra: "login.microsoftonline.us",
        manager: "management.usgovcloudapi.net",
        management: "https://management.core.usgovcloudapi.net",
    },
    Azure {
        workspace: "adb-1.2.databricks.azure.cn",
        entra: "login.chinacloudapi.cn",
        manager: "management.chinacloudapi.cn",
        management: "https://management.core.chinacloudapi.cn",
    },
];

/// The workspace on Google Cloud.
const GOOGLE: &str = "1.2.gcp.databricks.com";
const OTHERS: [&str; 3] = [GOOGLE, "oauth2.googleapis.com", "iamcredentials.googleapis.com"];

/// Every name that the certificate is good for beside those of this machine.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    AZURE.iter().flat_map(|cloud| [cloud.workspace, cloud.entra, cloud.manager]).chain(OTHERS)
}

fn asked(request: &Request) -> &str {
    let host = request.header("Host").unwrap_or_default();
    host.strip_suffix(":443").unwrap_or(host)
}

/// The Entra ID of the workspace that was asked by its name in a cloud.
pub(super) fn entra_of(request: &Request) -> Option<String> {
    AZURE.iter().find(|cloud| cloud.workspace == asked(request)).map(|cloud| format!("https://{}", cloud.entra))
}

/// The workspace in the cloud whose Resource Manager was asked by its name.
pub(super) fn workspace_of(request: &Request) -> Option<&'static str> {
    AZURE.iter().find(|cloud| cloud.manager == asked(request)).map(|cloud| cloud.workspace)
}

/// What a resource is called in the public cloud; `None` if it is neither the one of the second token nor Resource Manager.
pub(super) fn public_resource(resource: &str) -> Option<&'static str> {
    let is_manager = |cloud: &Azure| resource.strip_prefix("https://") == Some(cloud.manager);
    AZURE.iter().find_map(|cloud| match () {
        () if cloud.management == resource => Some(super::MANAGEMENT),
        () if is_manager(cloud) => Some(super::RESOURCE_MANAGER),
        () => None,
    })
}

/// Origin and cloud of the workspace as it was asked by its name in a cloud.
pub(super) fn place_of(request: &Request) -> Option<(String, &'static str)> {
    let host = asked(request);
    let cloud = if host == GOOGLE { "gcp" } else { AZURE.iter().find(|cloud| cloud.workspace == host).map(|_| "azure")? };
    Some((format!("https://{host}"), cloud))
}

/// Google's service as it was asked by its name.
pub(super) fn google_of(request: &Request) -> Option<String> {
    let host = asked(request);
    host.ends_with(".googleapis.com").then(|| format!("https://{host}"))
}

/// Whether an id token is for the workspace on Google Cloud.
pub(super) fn is_google_workspace(audience: &str) -> bool {
    audience.strip_prefix("https://") == Some(GOOGLE)
}
