//! Personal access tokens: `/api/2.0/token`, and what the sign-in gate asks about them.
//! Source: REST reference "Token management for the calling user"; field names from
//! `databricks-sdk-py`, `service/settings.py`.

use super::api::{Access, Answer, Call, Route, field, invalid};
use super::http::Response;
use super::random;
use serde_json::{Value, json};
use std::collections::HashMap;

pub(super) const ROUTES: &[Route] = &[
    Route { method: "POST", path: "/api/2.0/token/create", access: Access::SignedIn, handle: create },
    Route { method: "GET", path: "/api/2.0/token/list", access: Access::SignedIn, handle: list },
    Route { method: "POST", path: "/api/2.0/token/delete", access: Access::SignedIn, handle: delete },
    Route { method: "PATCH", path: "/api/2.0/token/{id}", access: Access::SignedIn, handle: update },
];

/// The service's limit per user.
pub(super) const QUOTA: usize = 600;

#[derive(Debug)]
pub(super) struct Token {
    pub id: String,
    value: String,
    pub owner: String,
    /// Who made it: the owner, but for tokens on behalf of a service principal.
    pub created_by: String,
    comment: String,
    scopes: Vec<String>,
    created: i64,
    /// `None`: never.
    expires: Option<i64>,
    pub last_accessed: Option<i64>,
    /// Its entry in a list, without the closing brace and without `last_accessed`: a list of 600
    /// tokens is glued together, not serialised.
    entry: String,
}

impl Token {
    /// The public fields, in the shape of `PublicTokenInfo`.
    pub(super) fn info(&self) -> Value {
        let mut info = json!({
            "token_id": self.id,
            "creation_time": self.created,
            "expiry_time": self.expires.unwrap_or(-1),
            "comment": self.comment,
        });
        if !self.scopes.is_empty() {
            info["scopes"] = json!(self.scopes);
        }
        info
    }

    fn refresh_entry(&mut self) {
        self.entry = self.info().to_string();
        self.entry.pop();
    }
}

/// What a new token was made of.
#[derive(Debug, Default)]
pub(super) struct Wish<'a> {
    pub owner: &'a str,
    /// Empty: the owner.
    pub created_by: &'a str,
    pub comment: &'a str,
    pub created: i64,
    pub expires: Option<i64>,
    pub scopes: Vec<String>,
}

/// All tokens of the workspace, in the order they were made.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Deleted ones leave a hole, so that the indexes stay good.
    slots: Vec<Option<Token>>,
    by_value: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
    quota: usize,
}

impl Tokens {
    pub(super) fn new(quota: usize) -> Tokens {
        Tokens { slots: Vec::new(), by_value: HashMap::new(), by_id: HashMap::new(), quota }
    }

    /// The owner of a token that is known and not expired; notes that it was used.
    pub(super) fn sign_in(&mut self, value: &str, now: i64) -> Option<String> {
        let token = self.slots[*self.by_value.get(value)?].as_mut()?;
        if token.expires.is_some_and(|expires| expires <= now) {
            return None;
        }
        token.last_accessed = Some(now);
        Some(token.owner.clone())
    }

    /// Makes a token, whatever the quota says; gives its id and value.
    pub(super) fn mint(&mut self, wish: Wish<'_>) -> (String, String) {
        let mut token = Token {
            id: random::hex::<32>(),
            value: format!("dapi{}", random::hex::<16>()),
            owner: wish.owner.to_owned(),
            created_by: if wish.created_by.is_empty() { wish.owner } else { wish.created_by }.to_owned(),
            comment: wish.comment.to_owned(),
            scopes: wish.scopes,
            created: wish.created,
            expires: wish.expires,
            last_accessed: None,
            entry: String::new(),
        };
        token.refresh_entry();
        let made = (token.id.clone(), token.value.clone());
        self.by_id.insert(token.id.clone(), self.slots.len());
        self.by_value.insert(token.value.clone(), self.slots.len());
        self.slots.push(Some(token));
        made
    }

    fn of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Token> {
        self.slots.iter().flatten().filter(move |token| token.owner == owner)
    }

    /// Every token of the workspace, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Token> {
        self.slots.iter().flatten()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Token> {
        self.slots[*self.by_id.get(id)?].as_ref()
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Token> {
        self.slots[*self.by_id.get(id)?].as_mut()
    }

    /// Removes a token; false if there is none with that id.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(slot) = self.by_id.remove(id) else {
            return false;
        };
        if let Some(token) = self.slots[slot].take() {
            self.by_value.remove(&token.value);
        }
        true
    }

    /// Moves the end of a token's life; false if there is none with that id.
    pub(super) fn set_expiry(&mut self, id: &str, expires: i64) -> bool {
        let Some(token) = self.get_mut(id) else {
            return false;
        };
        token.expires = Some(expires);
        token.refresh_entry();
        true
    }

    /// Fills up to `count` tokens of that owner: the comments people write, some with an end.
    pub(super) fn seed(&mut self, owner: &str, count: usize, now: i64) {
        const COMMENTS: [&str; 8] = ["laptop", "ci deploy", "terraform", "airflow", "dbt", "power bi", "notebook sync", "on-call"];
        const DAY: i64 = 86_400_000;
        let have = self.of(owner).count();
        for number in have..count {
            let age = DAY * i64::try_from(number % 60 + 1).expect("below 61");
            let expires = (number % 3 != 0).then(|| now - age + 90 * DAY);
            let comment = format!("{} {number}", COMMENTS[number % COMMENTS.len()]);
            self.mint(Wish { owner, comment: &comment, created: now - age, expires, ..Wish::default() });
        }
    }
}

fn create(call: &Call<'_>) -> Answer {
    let body = call.json()?;
    let now = call.state.clock.now_ms();
    let user = call.user();
    let wish = wish(&body, now)?;
    let mut tokens = call.state.tokens.lock().unwrap();
    if tokens.of(&user.id).count() >= tokens.quota {
        return Err(Response::error(400, "QUOTA_EXCEEDED", &format!("The number of tokens for user {} has exceeded the quota of {}", user.id, tokens.quota)));
    }
    let (id, value) = tokens.mint(Wish { owner: &user.id, ..wish });
    let info = tokens.get(&id).map(Token::info);
    Ok(Response::json(200, &json!({"token_value": value, "token_info": info})))
}

/// What a body asks for; whose token it is to be, the caller says.
pub(super) fn wish(body: &serde_json::Map<String, Value>, now: i64) -> Result<Wish<'_>, Response> {
    let comment = field::string(body, "comment")?.unwrap_or_default();
    let lifetime = field::integer(body, "lifetime_seconds")?;
    let scopes = scopes(body)?;
    field::boolean(body, "autoscope_enabled")?;
    let expires = lifetime
        .map(|seconds| {
            if seconds <= 0 {
                return Err(invalid(&format!("lifetime_seconds must be positive, got {seconds}")));
            }
            seconds
                .checked_mul(1000)
                .and_then(|lifetime| lifetime.checked_add(now))
                .ok_or_else(|| invalid(&format!("lifetime_seconds is too large: {seconds}")))
        })
        .transpose()?;
    Ok(Wish { comment, created: now, expires, scopes: scopes.unwrap_or_default(), ..Wish::default() })
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every handler")]
fn list(call: &Call<'_>) -> Answer {
    let tokens = call.state.tokens.lock().unwrap();
    let mut text = String::with_capacity(64 * 1024);
    for token in tokens.of(&call.user().id) {
        text.push_str(if text.is_empty() { "{\"token_infos\":[" } else { "," });
        text.push_str(&token.entry);
        if let Some(at) = token.last_accessed {
            text.push_str(",\"last_accessed_time\":");
            text.push_str(&at.to_string());
        }
        text.push('}');
    }
    // Like every empty list of the service, no tokens are an empty object.
    text.push_str(if text.is_empty() { "{}" } else { "]}" });
    Ok(Response::new(200).body("application/json; charset=utf-8", text))
}

fn delete(call: &Call<'_>) -> Answer {
    let body = call.json()?;
    let id = field::string(&body, "token_id")?.filter(|id| !id.is_empty()).ok_or_else(|| invalid("Missing required field: token_id"))?;
    let mut tokens = call.state.tokens.lock().unwrap();
    if !tokens.of(&call.user().id).any(|token| token.id == id) {
        return Err(no_such_token(id));
    }
    tokens.remove(id);
    Ok(Response::json(200, &json!({})))
}

fn update(call: &Call<'_>) -> Answer {
    let change = change(&call.json()?)?;
    let id = call.part("id");
    let owner = &call.user().id;
    let mut tokens = call.state.tokens.lock().unwrap();
    let Some(token) = tokens.get_mut(id).filter(|token| token.owner == *owner) else {
        return Err(no_such_token(id));
    };
    change.apply(token);
    Ok(Response::json(200, &json!({})))
}

/// What an update sets; `None` stays as it is.
#[derive(Debug)]
pub(super) struct Change {
    comment: Option<String>,
    scopes: Option<Vec<String>>,
}

impl Change {
    pub(super) fn apply(self, token: &mut Token) {
        if let Some(comment) = self.comment {
            token.comment = comment;
        }
        if let Some(scopes) = self.scopes {
            token.scopes = scopes;
        }
        token.refresh_entry();
    }
}

pub(super) fn change(body: &serde_json::Map<String, Value>) -> Result<Change, Response> {
    // The SDKs wrap the fields in `token`; the bare form is what people type.
    let (fields, wrapped) = match field::object(body, "token")? {
        Some(token) => (token, true),
        None => (body, false),
    };
    let comment = field::string(fields, "comment")?;
    let scopes = scopes(fields)?;
    let (mut set_comment, mut set_scopes) = (comment.is_some(), scopes.is_some());
    match field::string(body, "update_mask")? {
        Some(mask) => {
            (set_comment, set_scopes) = (false, false);
            for path in mask.split(',').map(str::trim) {
                match path {
                    "comment" => set_comment = true,
                    "scopes" => set_scopes = true,
                    "*" => (set_comment, set_scopes) = (true, true),
                    _ => {
                        return Err(invalid(&format!("update_mask names no field: '{path}'")));
                    }
                }
            }
        }
        None if wrapped => return Err(invalid("Missing required field: update_mask")),
        None if !set_comment && !set_scopes => {
            return Err(invalid("There is nothing to update"));
        }
        None => {}
    }
    Ok(Change { comment: set_comment.then(|| comment.unwrap_or_default().to_owned()), scopes: set_scopes.then(|| scopes.unwrap_or_default()) })
}

fn scopes(body: &serde_json::Map<String, Value>) -> Result<Option<Vec<String>>, Response> {
    let scopes = field::strings(body, "scopes")?;
    if scopes.iter().flatten().any(String::is_empty) {
        return Err(invalid("A scope must not be empty"));
    }
    Ok(scopes)
}

pub(super) fn no_such_token(id: &str) -> Response {
    Response::error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Token with id {id} does not exist"))
}
